// A rate limit in 16 bytes. Pure: the caller passes the time. Belongs to whoever holds it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/clock.h"
#include "base/config.h"

namespace barid::edge {

class TokenBucket {
 public:
  // 0: taken. Else nothing was taken: milliseconds until one is there, at least 1.
  std::uint32_t take(const RateConfig& rate, TimePoint now) {
    if (rate.per_second <= 0) return 0;
    refill(rate, now);
    if (level_ >= 1) {
      level_ -= 1;
      return 0;
    }
    const double wait_ms = std::ceil((1 - level_) / rate.per_second * 1000);
    return static_cast<std::uint32_t>(std::clamp(wait_ms, 1.0, kRetryMsMax));
  }
  // A full bucket says nothing that a new one would not.
  bool full(const RateConfig& rate, TimePoint now) const {
    if (rate.per_second <= 0) return true;
    TokenBucket later = *this;
    later.refill(rate, now);
    return later.level_ >= burst(rate);
  }

 private:
  static constexpr double kRetryMsMax = 3'600'000;

  static double burst(const RateConfig& rate) { return std::max(rate.burst, 1.0); }
  void refill(const RateConfig& rate, TimePoint now) {
    if (level_ < 0) {
      level_ = burst(rate);
    } else if (now > filled_) {
      level_ = std::min(burst(rate), level_ + std::chrono::duration<double>(now - filled_).count() * rate.per_second);
    }
    filled_ = std::max(filled_, now);
  }

  TimePoint filled_{};
  double level_ = -1;  // not used yet: full
};

}  // namespace barid::edge
