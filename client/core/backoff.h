// When to try again: exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015),
// so that a restarted server is not met by everybody at once. Owned by a Session; its thread.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace barid::client {

// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for jitter.
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  milliseconds below(milliseconds bound) {
    return bound.count() <= 0 ? milliseconds(0) : milliseconds(next() % static_cast<std::uint64_t>(bound.count()));
  }

 private:
  std::uint64_t next() {
    std::uint64_t x = (state_ += 0x9e3779b97f4a7c15ULL);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }
  std::uint64_t state_;
};

class Backoff {
 public:
  static constexpr milliseconds kFirst{250};
  static constexpr milliseconds kMost{30'000};

  // How long to wait before the next try; never less than what the server asked for.
  milliseconds next(Jitter& jitter, milliseconds asked = milliseconds(0)) {
    const milliseconds bound = bound_;
    bound_ = bound_ * 2 > kMost ? kMost : bound_ * 2;
    return asked + jitter.below(bound);
  }
  void at_least(milliseconds bound) { bound_ = bound_ < bound ? bound : bound_; }
  void reset() { bound_ = kFirst; }

 private:
  milliseconds bound_ = kFirst;
};

}  // namespace barid::client
