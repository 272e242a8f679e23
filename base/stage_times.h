// How long one stage of a message's way takes, as a histogram that costs the message path two additions a message: of
// each tick the first kEachTick are measured, of the rest one in kOneIn. Plain numbers of one thread; a shell carries
// them over to Prometheus. Pure: whoever measures brings the times.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace barid {

class StageTimes {
 public:
  static constexpr std::uint32_t kOneIn = 64, kEachTick = 32;  // kOneIn: a power of two
  static constexpr std::array kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                      0.25,   0.5,   1.0,    2.5,   5.0,  10.0,  30.0};  // seconds

  // Is this one to be measured? Called once for each.
  bool due() { return (++seen_ & (kOneIn - 1)) == 0 || seen_ <= kEachTick; }

  void add(std::chrono::steady_clock::duration took) {
    const double took_s = std::max(0.0, std::chrono::duration<double>(took).count());  // clocks of two machines
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && took_s > kBounds[bucket]) ++bucket;
    ++buckets_[bucket];
    sum_ += took_s;
  }

  // About twice a second. `to`: a prometheus::Histogram with kBounds.
  template <class Histogram>
  void carry_over(Histogram& to) {
    seen_ = 0;
    std::vector<double> increments(buckets_.size());
    bool any = false;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      increments[i] = static_cast<double>(std::exchange(buckets_[i], 0));
      any = any || increments[i] != 0;
    }
    if (any) to.ObserveMultiple(increments, std::exchange(sum_, 0.0));
  }

 private:
  std::uint32_t seen_ = 0;  // since the last tick
  std::array<std::uint64_t, kBounds.size() + 1> buckets_{};
  double sum_ = 0;
};

}  // namespace barid
