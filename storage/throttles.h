// Token buckets in Postgres, shared by all directory workers and not forgotten by a restart. The arithmetic
// is pure; Throttles applies it under a row lock. A handle on a Pool; any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/config.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

struct Bucket {
  double level = 0;  // tokens left
  WallMs at;         // when that was
};
struct Taken {
  Bucket bucket;                      // afterwards
  std::chrono::milliseconds wait{0};  // 0: `cost` was taken; else nothing was, and this is when to try again
};
// A bucket that is new or has a time in the future (a clock went back) counts as it stands, full if new.
// Pure.
Taken take(const std::optional<Bucket>& before, const RateConfig& rate, double cost, WallMs now);

class Throttles {
 public:
  struct Throttled {
    std::chrono::milliseconds retry_after;
  };
  explicit Throttles(Pool& pool) : pool_(&pool) {}

  // `key`: opaque bytes. Does nothing when rate.per_second or rate.burst is 0 (switched off). cost 0: only
  // asks whether a whole token is there.
  Result<void, Throttled> take(const std::string& key, const RateConfig& rate, WallMs now);
  // Gives one back: what the token was taken for turned out to be harmless.
  void refund(const std::string& key, const RateConfig& rate);
  void forget_before(WallMs now);  // housekeeping: buckets not touched since

 private:
  Pool* pool_;
};

}  // namespace barid::storage
