// How long an event loop under load waits for company before its next turn. A turn has a price of its own (system
// calls, wake-ups, a batch to the broker, a write for each peer); a loop that is busy pays it less often when it takes
// its events in fewer, fuller turns. A loop that has time to spare never waits, so a lone message is not delayed. Pure:
// time comes in. Belongs to its loop's thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace barid {

class Pace {
 public:
  using nanoseconds = std::chrono::nanoseconds;
  static constexpr std::chrono::milliseconds kWindow{4};  // over which the busy share is taken
  // Load begins when the loop is busy for kBusyPercent and moves kCompany things in the time of a turn, and ends when
  // it falls below half of either.
  static constexpr int kBusyPercent = 20;
  static constexpr std::int64_t kCompany = 8;

  // turn: the shortest time from turn to turn under load.
  explicit Pace(std::chrono::microseconds turn) : turn_(turn) {}

  void moved(std::size_t things) { moved_ += static_cast<std::int64_t>(things); }  // messages, acknowledgements …

  // Events are there, or the hold is over: a turn begins.
  void woke(TimePoint now) {
    woke_ = now;
    const nanoseconds span = now - window_;
    if (span < kWindow) return;
    const int share = loaded_ ? 2 : 1;
    loaded_ = 100 * busy_ * share >= span * kBusyPercent && moved_ * turn_ * share >= kCompany * span;
    window_ = now;
    busy_ = {};
    moved_ = 0;
  }
  // The turn's work is done. Under load: how long to leave new events alone, after which the next turn begins whether
  // there are any or not (so what a turn under load puts off is never forgotten). 0: take them as they come.
  nanoseconds hold(TimePoint now) {
    busy_ += now - woke_;
    return loaded_ ? std::max<nanoseconds>(woke_ + turn_ - now, nanoseconds(1)) : nanoseconds(0);
  }
  bool loaded() const { return loaded_; }

 private:
  nanoseconds turn_;
  TimePoint woke_{}, window_{};
  nanoseconds busy_{};
  std::int64_t moved_ = 0;
  bool loaded_ = false;
};

}  // namespace barid
