// How many phone numbers each device has looked up on a day (UTC): a brake on walking the number space. A
// handle on a Pool; any thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

inline constexpr std::int64_t kDayMs = 24LL * 3'600 * 1'000;
inline std::int32_t day_of(WallMs now) { return static_cast<std::int32_t>(now.value / kDayMs); }
inline std::chrono::milliseconds until_next_day(WallMs now) {
  return std::chrono::milliseconds(kDayMs - now.value % kDayMs);
}

class Lookups {
 public:
  enum class Errc { over_quota };
  explicit Lookups(Pool& pool) : pool_(&pool) {}

  // Takes `count` from the day's quota, or nothing at all when it does not suffice.
  Result<void, Errc> take(DeviceId device, std::uint32_t count, std::uint32_t per_day, WallMs now);
  void forget_before(WallMs now);  // housekeeping: days before yesterday

 private:
  Pool* pool_;
};

}  // namespace barid::storage
