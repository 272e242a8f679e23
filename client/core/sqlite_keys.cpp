#include "client/core/sqlite_keys.h"

#include "base/clock.h"

namespace barid::client {
namespace {

std::optional<std::string> only(Sqlite::Query q) {
  if (!q.step() || q.null(0)) return std::nullopt;
  return q.text(0);
}

}  // namespace

e2ee::Identity SqliteKeys::identity() {
  auto q = db_.query("SELECT public, private, registration FROM own_keys");
  if (!q.step()) throw SqliteError("this profile has no identity key: register again");
  return {q.text(0), q.text(1), static_cast<std::uint32_t>(q.integer(2))};
}

std::optional<std::string> SqliteKeys::session(e2ee::Device with) {
  return only(
      db_.query("SELECT record FROM sessions WHERE user = ? AND device = ?", with.user.value, with.device.value));
}

void SqliteKeys::put_session(e2ee::Device with, std::string_view record) {
  db_.run(
      "INSERT INTO sessions(user, device, record) VALUES(?, ?, ?) ON CONFLICT(user, device) DO UPDATE SET record = "
      "excluded.record",
      with.user.value, with.device.value, Blob{record});
}

std::optional<std::string> SqliteKeys::prekey(std::uint32_t id) {
  return only(db_.query("SELECT record FROM prekeys WHERE id = ?", static_cast<std::int64_t>(id)));
}
void SqliteKeys::drop_prekey(std::uint32_t id) {
  db_.run("DELETE FROM prekeys WHERE id = ?", static_cast<std::int64_t>(id));
}
std::optional<std::string> SqliteKeys::signed_prekey(std::uint32_t id) {
  return only(db_.query("SELECT record FROM signed_prekeys WHERE id = ?", static_cast<std::int64_t>(id)));
}

std::optional<std::string> SqliteKeys::sender_key(GroupId group, e2ee::Device of) {
  return only(db_.query("SELECT record FROM sender_keys WHERE group_id = ? AND user = ? AND device = ?", group.value,
                        of.user.value, of.device.value));
}
void SqliteKeys::put_sender_key(GroupId group, e2ee::Device of, std::string_view record) {
  db_.run("INSERT OR REPLACE INTO sender_keys VALUES(?, ?, ?, ?)", group.value, of.user.value, of.device.value,
          Blob{record});
}

// A device keeps its identity for life; so one that wrote before and writes late changes nothing. A change is a device
// that we have not seen with another key than the one that we know the user by.
void SqliteKeys::saw_identity(e2ee::Device of, std::string_view key) {
  {
    auto q = db_.query("SELECT 1 FROM identity_devices WHERE user = ? AND device = ? AND key = ?", of.user.value,
                       of.device.value, Blob{key});
    if (q.step()) return;
  }
  db_.run("INSERT OR REPLACE INTO identity_devices VALUES(?, ?, ?)", of.user.value, of.device.value, Blob{key});
  const auto known = only(db_.query("SELECT key FROM identities WHERE user = ?", of.user.value));
  if (!known) return db_.run("INSERT INTO identities(user, key) VALUES(?, ?)", of.user.value, Blob{key});
  if (*known == key) return;
  db_.run("UPDATE identities SET key = ?, verified = 0, held = strict WHERE user = ?", Blob{key}, of.user.value);
  db_.run("INSERT INTO identity_notes(user, at_ms) VALUES(?, ?)", of.user.value, wall_now().value);
}

}  // namespace barid::client
