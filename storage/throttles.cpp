#include "storage/throttles.h"

#include <algorithm>
#include <cmath>

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {

using Work = pqxx::transaction_base;

namespace {
bool is_off(const RateConfig& rate) { return rate.per_second <= 0 || rate.burst <= 0; }

}  // namespace

Taken take(const std::optional<Bucket>& before, const RateConfig& rate, double cost, WallMs now) {
  Bucket bucket{rate.burst, now};
  if (before) {
    const double elapsed_s = static_cast<double>(std::max<std::int64_t>(0, now.value - before->at.value)) / 1000.0;
    bucket.level = std::min(rate.burst, before->level + elapsed_s * rate.per_second);
  }
  if (bucket.level + 1e-9 >= cost) {
    bucket.level -= cost;
    return {bucket, std::chrono::milliseconds(0)};
  }
  const double wait_ms = std::ceil((cost - bucket.level) / rate.per_second * 1000.0);
  return {bucket, std::chrono::milliseconds(std::max<std::int64_t>(1, static_cast<std::int64_t>(wait_ms)))};
}

Result<void, Throttles::Throttled> Throttles::take(const std::string& key, const RateConfig& rate, WallMs now) {
  if (is_off(rate)) return {};
  Result<void, Throttled> outcome;
  try {
    pool_->transact("take from a throttle", [&](Work& work) {
      outcome = {};
      work.exec_params0("INSERT INTO throttles (key, level, at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        bytea(key), rate.burst, now.value);
      const auto row = work.exec_params1("SELECT level, at_ms FROM throttles WHERE key = $1 FOR UPDATE", bytea(key));
      const Taken taken = storage::take(Bucket{row[0].as<double>(), wall_of(row[1])}, rate, 1, now);
      work.exec_params0("UPDATE throttles SET level = $2, at_ms = $3 WHERE key = $1", bytea(key), taken.bucket.level,
                        taken.bucket.at.value);
      if (taken.wait > std::chrono::milliseconds(0)) outcome = fail(Throttled{taken.wait});
    });
  } catch (const InDoubt&) {  // taken or not: what was decided stands
  }
  return outcome;
}

void Throttles::refund(const std::string& key, const RateConfig& rate) {
  if (is_off(rate)) return;
  try {
    pool_->transact("refund a throttle", [&](Work& work) {
      work.exec_params0("UPDATE throttles SET level = least($2, level + 1) WHERE key = $1", bytea(key), rate.burst);
    });
  } catch (const InDoubt&) {  // one token is not worth a second try
  }
}

void Throttles::forget_before(WallMs now) {
  pool_->transact("forget old throttles",
                  [&](Work& work) { work.exec_params0("DELETE FROM throttles WHERE at_ms < $1", now.value); });
}

}  // namespace barid::storage
