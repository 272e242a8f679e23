#include "storage/user_data.h"

#include "storage/pool.h"
#include "storage/projections.h"
#include "storage/rows.h"

namespace barid::storage {
namespace {

using Work = pqxx::transaction_base;

constexpr const char* kExport = R"(SELECT json_build_object(
  'user', (SELECT json_build_object('id', to_hex(user_id), 'phone', phone_e164, 'created_at_ms', created_at_ms)
           FROM users WHERE user_id = $1),
  'devices', (SELECT coalesce(json_agg(json_build_object('id', to_hex(d.device_id), 'name', d.name,
                'created_at_ms', d.created_at_ms, 'revoked_at_ms', d.revoked_at_ms,
                'public_key', encode(d.public_key, 'hex'), 'identity_key', encode(k.identity, 'hex'),
                'keys_uploaded_at_ms', k.uploaded_at_ms,
                'one_time_prekeys', (SELECT count(*) FROM prekeys p WHERE p.device_id = d.device_id),
                'lookups', (SELECT coalesce(json_agg(json_build_object('day', l.day, 'numbers', l.used)), '[]')
                            FROM lookup_counts l WHERE l.device_id = d.device_id)) ORDER BY d.created_at_ms), '[]')
              FROM devices d LEFT JOIN device_keys k USING (device_id) WHERE d.user_id = $1),
  'code', (SELECT json_build_object('sent_at_ms', sent_at_ms, 'expires_at_ms', expires_at_ms)
           FROM codes WHERE phone_e164 = (SELECT phone_e164 FROM users WHERE user_id = $1)),
  'privacy', (SELECT json_build_object('last_seen', last_seen, 'online', online) FROM privacy WHERE user_id = $1),
  'last_seen_at_ms', (SELECT at_ms FROM last_seen WHERE user_id = $1),
  'contacts', (SELECT coalesce(json_agg(to_hex(contact_id)), '[]') FROM contacts WHERE user_id = $1),
  'blocked', (SELECT coalesce(json_agg(json_build_object('user', to_hex(blocked_id), 'since_ms', created_at_ms)), '[]')
              FROM blocks WHERE user_id = $1),
  'groups', (SELECT coalesce(json_agg(json_build_object('id', to_hex(m.group_id), 'name', g.name, 'role', m.role,
               'joined_version', m.joined_version, 'left_version', m.left_version, 'created_it', g.creator_id = $1)
               ORDER BY m.group_id, m.joined_version), '[]')
             FROM group_members m JOIN groups g USING (group_id) WHERE m.user_id = $1),
  'requests_to_join', (SELECT coalesce(json_agg(json_build_object('group', to_hex(group_id), 'at_ms', at_ms)), '[]')
                       FROM group_join_requests WHERE user_id = $1)))";

}  // namespace

std::optional<UserId> UserData::find(const std::string& phone) {
  std::optional<UserId> user;
  pool_->transact("look a phone number up", [&](Work& work) {
    const auto rows = work.exec_params("SELECT user_id FROM users WHERE phone_e164 = $1", phone);
    user = rows.empty() ? std::nullopt : std::optional(id_of<UserId>(rows[0][0]));
  });
  return user;
}

bool UserData::exists(UserId user) {
  bool found = false;
  pool_->transact("look a user up", [&](Work& work) {
    found = !work.exec_params("SELECT FROM users WHERE user_id = $1", bigint(user)).empty();
  });
  return found;
}

std::vector<DeviceId> UserData::all_devices(UserId user) {
  std::vector<DeviceId> devices;
  pool_->transact("list all devices", [&](Work& work) {
    devices.clear();
    for (const auto& row : work.exec_params("SELECT device_id FROM devices WHERE user_id = $1", bigint(user)))
      devices.push_back(id_of<DeviceId>(row[0]));
  });
  return devices;
}

std::string UserData::export_json(UserId user) {
  std::string text;
  pool_->transact("export a user",
                  [&](Work& work) { text = work.exec_params(kExport, bigint(user))[0][0].as<std::string>(); });
  return text;
}

void UserData::erase(UserId user) {
  pool_->transact("erase a user", [&](Work& work) {
    const auto id = bigint(user);
    for (const auto& row : work.exec_params("DELETE FROM blocks WHERE blocked_id = $1 RETURNING user_id", id))
      note_change(work, {ProjectionKind::blocks, id_of<UserId>(row[0]).value});
    for (const char* statement :
         {"DELETE FROM codes WHERE phone_e164 = (SELECT phone_e164 FROM users WHERE user_id = $1)",
          "DELETE FROM lookup_counts WHERE device_id IN (SELECT device_id FROM devices WHERE user_id = $1)",
          "DELETE FROM blocks WHERE user_id = $1", "DELETE FROM contacts WHERE user_id = $1 OR contact_id = $1",
          "DELETE FROM privacy WHERE user_id = $1", "DELETE FROM last_seen WHERE user_id = $1",
          "DELETE FROM group_join_requests WHERE user_id = $1",
          "DELETE FROM device_keys WHERE device_id IN (SELECT device_id FROM devices WHERE user_id = $1)",
          "UPDATE devices SET name = '', public_key = decode(repeat('00', 32), 'hex') WHERE user_id = $1",
          "UPDATE users SET phone_e164 = 'erased ' || user_id, created_at_ms = 0 WHERE user_id = $1"})
      work.exec_params0(statement, id);
    note_change(work, {ProjectionKind::blocks, user.value});
  });
}

}  // namespace barid::storage
