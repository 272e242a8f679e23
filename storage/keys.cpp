#include "storage/keys.h"

#include <algorithm>
#include <map>

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {
namespace {

using Work = pqxx::transaction_base;

Keys::Status status_in(Work& work, DeviceId device) {
  const auto row = work.exec_params1(
      "SELECT coalesce((SELECT signed_prekey_id FROM device_keys WHERE device_id = $1), 0), "
      "(SELECT count(*) FROM prekeys WHERE device_id = $1)",
      bigint(device));
  return {row[1].as<std::uint32_t>(), row[0].as<std::uint32_t>()};
}

void add_prekeys(Work& work, DeviceId device, const std::vector<Keys::Prekey>& prekeys) {
  std::string ids = "{";
  std::vector<std::string> keys;
  for (const Keys::Prekey& p : prekeys) {
    if (ids.size() > 1) ids += ',';
    ids += std::to_string(p.id);
    keys.push_back(crypto::to_hex(p.key));
  }
  // Only what is above all ids ever seen: a key that was given out does not come back with a repeated upload.
  work.exec_params0(
      "INSERT INTO prekeys SELECT $1, n.id, decode(n.key, 'hex') FROM unnest($2::bigint[], $3::text[]) AS n(id, key) "
      "WHERE n.id > (SELECT prekey_id_max FROM device_keys WHERE device_id = $1) ORDER BY n.id "
      "LIMIT greatest(0, $4 - (SELECT count(*) FROM prekeys WHERE device_id = $1)) ON CONFLICT DO NOTHING",
      bigint(device), ids + "}", text_array(keys), Keys::kPrekeysPerDeviceMax);
  work.exec_params0(
      "UPDATE device_keys SET prekey_id_max = greatest(prekey_id_max, (SELECT max(id) FROM unnest($2::bigint[]) AS "
      "n(id))) WHERE device_id = $1",
      bigint(device), ids + "}");
}

Result<Keys::Status, Keys::Errc> upload_in(Work& work, DeviceId device, const Keys::Bundle& b,
                                           const std::vector<Keys::Prekey>& prekeys, WallMs now) {
  if (work.exec_params("SELECT 1 FROM devices WHERE device_id = $1 AND revoked_at_ms IS NULL FOR SHARE", bigint(device))
          .empty())
    return fail(Keys::Errc::not_live);
  work.exec_params0("INSERT INTO device_keys VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) ON CONFLICT DO NOTHING",
                    bigint(device), static_cast<int>(b.version), static_cast<std::int64_t>(b.registration),
                    bytea(b.identity), static_cast<std::int64_t>(b.signed_prekey_id), bytea(b.signed_prekey),
                    bytea(b.signature), now.value);
  const auto row =
      work.exec_params1("SELECT identity FROM device_keys WHERE device_id = $1 FOR UPDATE", bigint(device));
  if (bytes_of(row[0]) != b.identity) return fail(Keys::Errc::other_identity);
  work.exec_params0(
      "UPDATE device_keys SET version = $2, registration = $3, signed_prekey_id = $4, signed_prekey = $5, "
      "signature = $6, uploaded_at_ms = $7 WHERE device_id = $1 AND signed_prekey_id < $4",
      bigint(device), static_cast<int>(b.version), static_cast<std::int64_t>(b.registration),
      static_cast<std::int64_t>(b.signed_prekey_id), bytea(b.signed_prekey), bytea(b.signature), now.value);
  if (!prekeys.empty()) add_prekeys(work, device, prekeys);
  return status_in(work, device);
}

// SKIP LOCKED: two who ask at once get different keys, and neither waits.
std::optional<Keys::Prekey> take_prekey(Work& work, DeviceId device) {
  const auto rows = work.exec_params(
      "DELETE FROM prekeys WHERE device_id = $1 AND prekey_id = (SELECT prekey_id FROM prekeys WHERE device_id = $1 "
      "ORDER BY prekey_id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING prekey_id, public_key",
      bigint(device));
  if (rows.empty()) return {};
  return Keys::Prekey{rows[0][0].as<std::uint32_t>(), bytes_of(rows[0][1])};
}

}  // namespace

Result<Keys::Status, Keys::Errc> Keys::upload(DeviceId device, const Bundle& bundle, const std::vector<Prekey>& prekeys,
                                              WallMs now) {
  Result<Status, Errc> outcome = fail(Errc::not_live);
  const auto go = [&] {
    pool_->transact("upload keys", [&](Work& work) { outcome = upload_in(work, device, bundle, prekeys, now); });
  };
  try {
    go();
  } catch (const InDoubt&) {
    go();  // harmless twice, so asking again is the look-up
  }
  return outcome;
}

Keys::Status Keys::status(DeviceId device) {
  Status status;
  pool_->transact("look the state of keys up", [&](Work& work) { status = status_in(work, device); });
  return status;
}

std::vector<Keys::Device> Keys::take(const std::vector<Wanted>& wanted, std::size_t devices_max) {
  std::map<UserId, const Wanted*> asked;
  std::string users = "{";
  for (const Wanted& w : wanted) {
    if (users.size() > 1) users += ',';
    users += std::to_string(bigint(w.user));
    asked[w.user] = &w;
  }
  std::vector<Device> found;
  // In doubt: keys are gone that nobody has got. That is safe, and the caller is told to ask again.
  pool_->transact("take keys", [&](Work& work) {
    found.clear();
    const auto rows = work.exec_params(
        "SELECT d.user_id, d.device_id, k.version, k.registration, k.identity, k.signed_prekey_id, k.signed_prekey, "
        "k.signature FROM devices d LEFT JOIN device_keys k ON k.device_id = d.device_id "
        "WHERE d.user_id = ANY($1::bigint[]) AND d.revoked_at_ms IS NULL ORDER BY d.user_id, d.created_at_ms LIMIT $2",
        users + "}", static_cast<std::int64_t>(devices_max));
    for (const auto& row : rows) {
      Device d{id_of<UserId>(row[0]), id_of<DeviceId>(row[1]), {}};
      const Wanted& w = *asked.at(d.user);
      if (!row[2].is_null() && std::find(w.known.begin(), w.known.end(), d.device) == w.known.end()) {
        d.bundle = Bundle{static_cast<std::uint8_t>(row[2].as<int>()),
                          row[3].as<std::uint32_t>(),
                          bytes_of(row[4]),
                          row[5].as<std::uint32_t>(),
                          bytes_of(row[6]),
                          bytes_of(row[7]),
                          {}};
        if (w.prekey) d.bundle->prekey = take_prekey(work, d.device);
      }
      found.push_back(std::move(d));
    }
  });
  return found;
}

void Keys::forget_revoked() {
  pool_->transact("forget keys of revoked devices", [&](Work& work) {
    work.exec0(
        "DELETE FROM device_keys k USING devices d WHERE d.device_id = k.device_id AND d.revoked_at_ms IS NOT NULL");
  });
}

}  // namespace barid::storage
