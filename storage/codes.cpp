#include "storage/codes.h"

#include <algorithm>

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {

using std::chrono::milliseconds;
using Work = pqxx::transaction_base;

milliseconds resend_after(int streak, const CodePolicy& policy) {
  milliseconds wait = policy.resend;
  for (int i = 1; i < streak && wait < policy.resend_max; ++i) wait *= 2;
  return std::min(wait, std::max(policy.resend, policy.resend_max));
}

NextCode next_code(const std::optional<LastCode>& last, const CodePolicy& policy, WallMs now) {
  if (!last || last->streak <= 0) return {};
  // A clock that went back must not lock a number out for longer than the wait itself.
  const milliseconds since{std::max<std::int64_t>(0, now.value - last->sent_at.value)};
  if (since >= policy.quiet) return {};
  const milliseconds wait = resend_after(last->streak, policy);
  if (since < wait) return {wait - since, last->streak};
  return {milliseconds(0), last->streak + 1};
}

Result<Codes::Stored, Codes::Throttled> Codes::store(const std::string& phone, const std::string& mac,
                                                     const CodePolicy& policy, WallMs now) {
  Result<Stored, Throttled> outcome;
  try {
    pool_->transact("store a code", [&](Work& work) {
      // First a row to lock, so that two requests for one number take turns; streak 0 is "never sent".
      work.exec_params0(
          "INSERT INTO codes (phone_e164, mac, expires_at_ms, tries_left, sent_at_ms, streak) "
          "VALUES ($1, '', 0, 0, $2, 0) ON CONFLICT DO NOTHING",
          phone, now.value);
      const auto row =
          work.exec_params1("SELECT sent_at_ms, streak FROM codes WHERE phone_e164 = $1 FOR UPDATE", phone);
      const NextCode next = next_code(LastCode{wall_of(row[0]), row[1].as<int>()}, policy, now);
      if (next.wait > milliseconds(0)) {
        outcome = fail(Throttled{next.wait});
        return;
      }
      work.exec_params0(
          "UPDATE codes SET mac = $2, expires_at_ms = $3, tries_left = $4, sent_at_ms = $5, streak = $6, "
          "used_by = NULL WHERE phone_e164 = $1",
          phone, bytea(mac), now.value + policy.ttl.count(), policy.tries, now.value, next.streak);
      outcome = Stored{resend_after(next.streak, policy)};
    });
  } catch (const InDoubt&) {
    bool stored = false;
    pool_->transact("look a code up", [&](Work& work) {
      stored = !work.exec_params("SELECT 1 FROM codes WHERE phone_e164 = $1 AND mac = $2", phone, bytea(mac)).empty();
    });
    if (outcome && !stored) throw Unavailable("the code could not be stored");
  }
  return outcome;
}

Result<std::string, Codes::Errc> Codes::spend_try(const std::string& phone, WallMs now) {
  const auto try_id = random_id<Id<struct TryTag, std::uint64_t>>();
  Result<std::string, Errc> outcome = fail(Errc::none);
  const auto read = [&](Work& work) -> Result<std::string, Errc> {
    const auto rows = work.exec_params(
        "SELECT mac, expires_at_ms, tries_left, last_try FROM codes WHERE phone_e164 = $1 AND streak > 0", phone);
    if (rows.empty()) return fail(Errc::none);
    if (rows[0][3].as<std::int64_t>() == bigint(try_id)) return bytes_of(rows[0][0]);
    if (rows[0][1].as<std::int64_t>() <= now.value) return fail(Errc::expired);
    return fail(rows[0][2].as<int>() > 0 ? Errc::none : Errc::tries_exhausted);
  };
  try {
    pool_->transact("count a try", [&](Work& work) {
      work.exec_params0(
          "UPDATE codes SET tries_left = tries_left - 1, last_try = $2 WHERE phone_e164 = $1 AND "
          "tries_left > 0 AND expires_at_ms > $3",
          phone, bigint(try_id), now.value);
      outcome = read(work);
    });
  } catch (const InDoubt&) {
    pool_->transact("look a try up", [&](Work& work) { outcome = read(work); });
    if (!outcome && outcome.error() == Errc::none) throw Unavailable("the try could not be counted");
  }
  return outcome;
}

void Codes::forget_before(WallMs sent_before) {
  pool_->transact("forget old codes",
                  [&](Work& work) { work.exec_params0("DELETE FROM codes WHERE sent_at_ms < $1", sent_before.value); });
}

}  // namespace barid::storage
