#include "storage/accounts.h"

#include "storage/groups.h"
#include "storage/pool.h"
#include "storage/projections.h"
#include "storage/rows.h"

namespace barid::storage {
namespace {

using Work = pqxx::transaction_base;
using Outcome = Result<Accounts::Registration, Accounts::Errc>;

// The device that this claim has created before, if it has and it still lives.
std::optional<Accounts::Registration> earlier(Work& work, const Accounts::Claim& claim, WallMs now) {
  const auto rows = work.exec_params(
      "SELECT d.user_id, d.device_id FROM codes c JOIN devices d ON d.device_id = c.used_by "
      "WHERE c.phone_e164 = $1 AND c.mac = $2 AND c.expires_at_ms > $3 AND d.public_key = $4 AND "
      "d.revoked_at_ms IS NULL",
      claim.phone, bytea(claim.mac), now.value, bytea(crypto::view(claim.device_key)));
  if (rows.empty()) return {};
  return Accounts::Registration{id_of<UserId>(rows[0][0]), id_of<DeviceId>(rows[0][1]), {}};
}

UserId user_of(Work& work, const std::string& phone, UserId if_new, WallMs now) {
  // DO UPDATE rather than DO NOTHING: it locks the row, so that two registrations of one number take turns.
  const auto row = work.exec_params1(
      "INSERT INTO users (user_id, phone_e164, created_at_ms) VALUES ($1, $2, $3) "
      "ON CONFLICT (phone_e164) DO UPDATE SET phone_e164 = excluded.phone_e164 RETURNING user_id",
      bigint(if_new), phone, now.value);
  return id_of<UserId>(row[0]);
}

Outcome register_in(Work& work, const Accounts::Claim& claim, UserId if_new, DeviceId device, WallMs now) {
  const auto spent = work.exec_params(
      "UPDATE codes SET used_by = $3 WHERE phone_e164 = $1 AND mac = $2 AND used_by IS NULL AND "
      "expires_at_ms > $4",
      claim.phone, bytea(claim.mac), bigint(device), now.value);
  if (spent.affected_rows() == 0) {
    if (auto before = earlier(work, claim, now)) return *before;
    return fail(Accounts::Errc::code_spent);
  }
  Accounts::Registration done{user_of(work, claim.phone, if_new, now), device, {}};
  for (const auto& row : work.exec_params("UPDATE devices SET revoked_at_ms = $2 WHERE user_id = $1 AND "
                                          "revoked_at_ms IS NULL RETURNING device_id",
                                          bigint(done.user), now.value))
    done.revoked.push_back(id_of<DeviceId>(row[0]));
  for (const auto& old : done.revoked) note_change(work, {ProjectionKind::revoked, old.value});
  work.exec_params0(
      "INSERT INTO devices (device_id, user_id, public_key, name, created_at_ms) VALUES ($1, $2, $3, $4, $5)",
      bigint(device), bigint(done.user), bytea(crypto::view(claim.device_key)), claim.device_name, now.value);
  note_devices_changed(work, done.user);
  return done;
}

}  // namespace

Result<Accounts::Registration, Accounts::Errc> Accounts::register_device(const Claim& claim, WallMs now) {
  for (int attempt = 1;; ++attempt) {
    const auto user = random_id<UserId>();
    const auto device = random_id<DeviceId>();
    Outcome outcome = fail(Errc::code_spent);
    try {
      pool_->transact("register a device", [&](Work& work) { outcome = register_in(work, claim, user, device, now); });
      return outcome;
    } catch (const pqxx::unique_violation&) {  // an id is taken: throw the dice again
      if (attempt == kIdAttempts) throw;
    } catch (const InDoubt&) {
      std::optional<Registration> found;
      pool_->transact("look a registration up", [&](Work& work) { found = earlier(work, claim, now); });
      // The outbox carries the revocations of the commit that we did not hear of.
      if (found) return *found;
      if (attempt == kIdAttempts) throw Unavailable("registering: Postgres keeps breaking connections");
    }
  }
}

std::vector<UserDevices> Accounts::find_by_phone(const std::vector<std::string>& phones) {
  std::vector<UserDevices> found;
  pool_->transact("look phone numbers up", [&](Work& work) {
    found.clear();
    for (const auto& row : work.exec_params("SELECT u.user_id, u.phone_e164, d.device_id FROM users u JOIN "
                                            "devices d ON d.user_id = u.user_id AND "
                                            "d.revoked_at_ms IS NULL WHERE u.phone_e164 = ANY($1::text[]) "
                                            "ORDER BY u.user_id, d.created_at_ms",
                                            text_array(phones))) {
      const auto user = id_of<UserId>(row[0]);
      if (found.empty() || found.back().user != user) found.push_back({user, row[1].as<std::string>(), {}});
      found.back().devices.push_back(id_of<DeviceId>(row[2]));
    }
  });
  return found;
}

Result<UserDevices, Accounts::Errc> Accounts::devices_of(UserId user) {
  Result<UserDevices, Errc> found = fail(Errc::not_found);
  pool_->transact("look a user's devices up", [&](Work& work) {
    found = fail(Errc::not_found);
    for (const auto& row : work.exec_params(
             "SELECT u.phone_e164, d.device_id FROM users u LEFT JOIN devices d ON d.user_id = u.user_id AND "
             "d.revoked_at_ms IS NULL WHERE u.user_id = $1 ORDER BY d.created_at_ms",
             bigint(user))) {
      if (!found) found = UserDevices{user, row[0].as<std::string>(), {}};
      if (!row[1].is_null()) found->devices.push_back(id_of<DeviceId>(row[1]));
    }
  });
  return found;
}

std::vector<Device> Accounts::live_devices(UserId user) {
  std::vector<Device> devices;
  pool_->transact("list devices", [&](Work& work) {
    devices.clear();
    for (const auto& row : work.exec_params("SELECT device_id, name, created_at_ms FROM devices WHERE user_id = $1 AND "
                                            "revoked_at_ms IS NULL ORDER BY created_at_ms, device_id",
                                            bigint(user)))
      devices.push_back({id_of<DeviceId>(row[0]), row[1].as<std::string>(), wall_of(row[2])});
  });
  return devices;
}

Result<void, Accounts::Errc> Accounts::revoke_device(UserId user, DeviceId device, WallMs now) {
  bool known = false;
  const auto revoke = [&] {
    pool_->transact("revoke a device", [&](Work& work) {
      const auto changed = work.exec_params(
          "UPDATE devices SET revoked_at_ms = coalesce(revoked_at_ms, $3) WHERE device_id = $1 AND user_id = "
          "$2",
          bigint(device), bigint(user), now.value);
      known = changed.affected_rows() > 0;
      if (!known) return;
      note_change(work, {ProjectionKind::revoked, device.value});
      note_devices_changed(work, user);
    });
  };
  try {
    revoke();
  } catch (const InDoubt&) {
    revoke();  // harmless twice, so asking again is the look-up
  }
  if (!known) return fail(Errc::not_found);
  return {};
}

std::optional<WallMs> Accounts::revoked_at(DeviceId device) {
  std::optional<WallMs> at;
  pool_->transact("look a revocation up", [&](Work& work) {
    at.reset();
    const auto rows = work.exec_params(
        "SELECT revoked_at_ms FROM devices WHERE device_id = $1 AND revoked_at_ms IS NOT NULL", bigint(device));
    if (!rows.empty()) at = wall_of(rows[0][0]);
  });
  return at;
}

std::vector<Accounts::Revoked> Accounts::revoked_since(Revoked after, std::size_t most) {
  std::vector<Revoked> page;
  pool_->transact("list revoked devices", [&](Work& work) {
    page.clear();
    for (const auto& row :
         work.exec_params("SELECT revoked_at_ms, device_id FROM devices WHERE revoked_at_ms IS NOT NULL AND "
                          "(revoked_at_ms, device_id) > ($1, $2) ORDER BY revoked_at_ms, device_id LIMIT $3",
                          after.at.value, bigint(after.device), static_cast<std::int64_t>(most)))
      page.push_back({wall_of(row[0]), id_of<DeviceId>(row[1])});
  });
  return page;
}

}  // namespace barid::storage
