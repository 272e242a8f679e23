// When a connection's time is to be looked at: a timer wheel of coarse ticks. One live entry a connection; moving it
// leaves a stale entry behind, which its owner recognises by the tick. Owner and thread: the reactor.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/id.h"

namespace barid::edge {

class Wheel {
 public:
  static constexpr milliseconds kTick{250};
  static constexpr std::size_t kSlots = 512;  // 128 s ahead; what is due later is looked at then, and put back

  explicit Wheel(TimePoint start) : start_(start) {}

  // Returns the tick that the entry belongs to: the one after `due`, never one that has passed.
  std::uint32_t put(ConnId id, TimePoint due) {
    const auto ahead = due <= start_ ? 0 : static_cast<std::uint64_t>((due - start_) / kTick) + 1;
    const std::uint64_t first = static_cast<std::uint64_t>(next_), last = first + kSlots - 1;
    const std::uint64_t tick = ahead < first ? first : ahead > last ? last : ahead;
    slots_[tick % kSlots].push_back(id);
    return static_cast<std::uint32_t>(tick);
  }
  // Calls visit(id, tick) for every entry that is due. Visits may put.
  template <class Visit>
  void advance(TimePoint now, Visit&& visit) {
    while (start_ + next_ * kTick <= now) {
      const std::uint32_t tick = next_++;
      due_.swap(slots_[tick % kSlots]);
      for (const ConnId id : due_) visit(id, tick);
      due_.clear();
    }
  }

 private:
  TimePoint start_;
  std::uint32_t next_ = 0;
  std::array<std::vector<ConnId>, kSlots> slots_;
  std::vector<ConnId> due_;
};

}  // namespace barid::edge
