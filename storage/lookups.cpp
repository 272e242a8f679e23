#include "storage/lookups.h"

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {

Result<void, Lookups::Errc> Lookups::take(DeviceId device, std::uint32_t count, std::uint32_t per_day, WallMs now) {
  if (count == 0) return {};
  if (count > per_day) return fail(Errc::over_quota);
  bool taken = false;
  try {
    pool_->transact("count look-ups", [&](pqxx::transaction_base& work) {
      taken =
          !work.exec_params(
                   "INSERT INTO lookup_counts AS l (device_id, day, used) VALUES ($1, $2, $3) "
                   "ON CONFLICT (device_id, day) DO UPDATE SET used = l.used + excluded.used "
                   "WHERE l.used + excluded.used <= $4 RETURNING used",
                   bigint(device), day_of(now), static_cast<std::int64_t>(count), static_cast<std::int64_t>(per_day))
               .empty();
    });
  } catch (const InDoubt&) {
    // Counted or not, nobody is harmed by answering what was decided: at worst one look-up is free of charge.
  }
  if (!taken) return fail(Errc::over_quota);
  return {};
}

void Lookups::forget_before(WallMs now) {
  pool_->transact("forget old look-up counts", [&](pqxx::transaction_base& work) {
    work.exec_params0("DELETE FROM lookup_counts WHERE day < $1", day_of(now) - 1);
  });
}

}  // namespace barid::storage
