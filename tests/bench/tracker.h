// Whether numbers came exactly once and in order. The common case, the next number, costs a comparison. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/id.h"

namespace barid::bench {

class Tracker {
 public:
  static constexpr std::size_t kGapsMax = 65'536;  // more holes than this is a broken server: counted as repeated

  explicit Tracker(std::uint64_t first = 1) : next_(first) {}

  // How many of these are new.
  std::uint64_t take(std::uint64_t first, std::uint64_t count = 1) {
    if (first == next_) {
      next_ += count;
      taken_ += count;
      return count;
    }
    std::uint64_t fresh = 0;
    for (std::uint64_t i = 0; i < count; ++i) fresh += take_one(first + i) ? 1 : 0;
    return fresh;
  }

  bool has(std::uint64_t number) const {
    if (number >= next_) return false;
    return std::none_of(gaps_.begin(), gaps_.end(), [&](const SeqRange& g) { return within(g, number); });
  }
  std::uint64_t next() const { return next_; }  // one above the highest
  std::uint64_t taken() const { return taken_; }
  std::uint64_t repeated() const { return repeated_; }
  std::uint64_t late() const { return late_; }  // came after a higher one

 private:
  static bool within(const SeqRange& g, std::uint64_t n) { return n >= g.first && n - g.first < g.count; }

  bool take_one(std::uint64_t number) {
    if (number >= next_) {
      if (number > next_ && gaps_.size() < kGapsMax)
        gaps_.push_back({next_, static_cast<std::uint32_t>(number - next_)});
      next_ = number + 1;
      ++taken_;
      return true;
    }
    for (std::size_t i = 0; i < gaps_.size(); ++i) {
      if (!within(gaps_[i], number)) continue;
      const SeqRange gap = gaps_[i];
      gaps_.erase(gaps_.begin() + static_cast<std::ptrdiff_t>(i));
      const auto before = static_cast<std::uint32_t>(number - gap.first);
      if (before != 0) gaps_.push_back({gap.first, before});
      if (gap.count - before > 1) gaps_.push_back({number + 1, gap.count - before - 1});
      ++late_;
      ++taken_;
      return true;
    }
    ++repeated_;
    return false;
  }

  std::uint64_t next_, taken_ = 0, repeated_ = 0, late_ = 0;
  std::vector<SeqRange> gaps_;  // below next_, not seen
};

}  // namespace barid::bench
