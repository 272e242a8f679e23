// The verbs of SqliteStore that keep keys, begin sessions and encrypt. A message is encrypted when it becomes a copy,
// in the same transaction; what is sent again is the same bytes.
#include <algorithm>

#include "base/log.h"
#include "client/core/sqlite_store.h"

namespace barid::client {
namespace {

constexpr int kMessageKind = static_cast<int>(wire::SendKind::message);
constexpr int kFailed = static_cast<int>(State::failed);
constexpr std::int64_t kPrekeysLow = 20, kPrekeysMade = 100;
constexpr std::int64_t kPrekeysKept = 1'000;                             // given out long ago and never used: forgotten
constexpr std::int64_t kSignedPrekeyLifeMs = 7LL * 24 * 3'600 * 1'000;   // then there is a new one
constexpr std::int64_t kSignedPrekeyKeptMs = 30LL * 24 * 3'600 * 1'000;  // for what is still under way
constexpr std::int64_t kKeyStatusMs = 6LL * 3'600 * 1'000;               // the server is asked what it has
constexpr std::int64_t kKeylessRetryMs = 30'000;                         // a device without keys is looked at again

std::string sealed_content(const e2ee::Ciphertext& c) {
  return content::encode(content::Sealed{wire::kKeysVersion, static_cast<content::SealedType>(c.type), c.body}).value();
}

e2ee::Bundle bundle_of(const wire::DeviceKeys& k) {
  return {k.registration, k.identity, k.signed_prekey_id, k.signed_prekey, k.signature, k.prekey_id, k.prekey};
}

}  // namespace

// Sessions are with a device, so a new device has none; its user keeps the identity key, as people know it.
void SqliteStore::new_device_keys(const Account& before, const Account& after) {
  const bool same_user =
      before.user == after.user && db_.query("SELECT 1 FROM own_keys WHERE user = ?", after.user.value).step();
  const e2ee::Identity mine = same_user ? keys_.identity() : sealer_->make_identity();
  for (const char* table : {"DELETE FROM sessions", "DELETE FROM prekeys", "DELETE FROM signed_prekeys",
                            "DELETE FROM sender_keys", "DELETE FROM key_holders", "DELETE FROM controls"})
    db_.script(table);
  db_.run("INSERT OR REPLACE INTO own_keys(one, user, public, private, registration) VALUES(1, ?, ?, ?, ?)",
          after.user.value, Blob{mine.public_key}, Blob{mine.private_key},
          static_cast<std::int64_t>(mine.registration));
  // What was encrypted by the device before and has not gone out is encrypted anew.
  db_.script(
      "UPDATE messages SET addressed = 0, state = 0 WHERE incoming = 0 AND state < 2 AND id IN (SELECT message FROM "
      "copies WHERE pending = 1);"
      "DELETE FROM copies WHERE pending = 1 AND (message = 0 OR message IN (SELECT id FROM messages WHERE addressed = "
      "0)) AND kind IN (0, 2)");
}

std::optional<wire::UploadKeys> SqliteStore::keys_to_upload(WallMs now) {
  std::int64_t next = 0, signed_id = 0, signed_ms = 0, uploaded = 0;
  {
    auto q = db_.query("SELECT next_prekey, signed_id, signed_ms, uploaded FROM own_keys");
    if (!q.step()) return std::nullopt;
    next = q.integer(0), signed_id = q.integer(1), signed_ms = q.integer(2), uploaded = q.integer(3);
  }
  const bool rotate = signed_id == 0 || now.value - signed_ms > kSignedPrekeyLifeMs || now.value < signed_ms;
  const bool low = db_.value("SELECT count(*) FROM prekeys") < kPrekeysLow;
  if (!rotate && !low && uploaded == 1) return std::nullopt;
  if (rotate) {
    const auto key = sealer_->make_signed_prekey(keys_.identity(), static_cast<std::uint32_t>(++signed_id), now.value);
    db_.run("INSERT INTO signed_prekeys VALUES(?, ?, ?, ?, ?)", signed_id, Blob{key.public_key}, Blob{key.signature},
            Blob{key.record}, now.value);
    db_.run("DELETE FROM signed_prekeys WHERE made_ms < ? AND id != ?", now.value - kSignedPrekeyKeptMs, signed_id);
    db_.run("UPDATE own_keys SET signed_id = ?, signed_ms = ?", signed_id, now.value);
  }
  if (low) {
    for (const auto& key : sealer_->make_prekeys(static_cast<std::uint32_t>(next), kPrekeysMade))
      db_.run("INSERT INTO prekeys VALUES(?, ?, ?, 0)", static_cast<std::int64_t>(key.id), Blob{key.public_key},
              Blob{key.record});
    db_.run("UPDATE own_keys SET next_prekey = ?", next + kPrekeysMade);
  }
  db_.script("UPDATE own_keys SET uploaded = 0");
  const e2ee::Identity mine = keys_.identity();
  wire::UploadKeys upload;
  upload.registration = mine.registration, upload.identity = mine.public_key;
  {
    auto q = db_.query("SELECT public, signature FROM signed_prekeys WHERE id = ?", signed_id);
    if (!q.step()) return std::nullopt;
    upload.signed_prekey_id = static_cast<std::uint32_t>(signed_id);
    upload.signed_prekey = q.text(0), upload.signature = q.text(1);
  }
  auto q = db_.query("SELECT id, public FROM prekeys WHERE uploaded = 0 ORDER BY id LIMIT ?",
                     static_cast<std::int64_t>(limits::kPrekeysUploadMax));
  while (q.step()) upload.prekeys.push_back({static_cast<std::uint32_t>(q.integer(0)), q.text(1)});
  return upload;
}

bool SqliteStore::key_status_due(WallMs now) {
  return db_
      .query("SELECT 1 FROM own_keys WHERE uploaded = 1 AND checked_ms NOT BETWEEN ? AND ?", now.value - kKeyStatusMs,
             now.value)
      .step();
}

void SqliteStore::keys_uploaded(const wire::KeyStatus& status, std::uint32_t up_to, WallMs now) {
  if (up_to != 0) db_.run("UPDATE prekeys SET uploaded = 1 WHERE id <= ?", static_cast<std::int64_t>(up_to));
  db_.run(
      "UPDATE own_keys SET checked_ms = ?, uploaded = (signed_id = ?) AND NOT EXISTS(SELECT 1 FROM prekeys WHERE "
      "uploaded = 0)",
      now.value, static_cast<std::int64_t>(status.signed_prekey_id));
  if (status.prekeys >= kPrekeysLow) return;
  // The server runs low on what we count as unused: given out, and nobody has written yet.
  const std::int64_t next = db_.value("SELECT next_prekey FROM own_keys");
  for (const auto& key : sealer_->make_prekeys(static_cast<std::uint32_t>(next), kPrekeysMade))
    db_.run("INSERT INTO prekeys VALUES(?, ?, ?, 0)", static_cast<std::int64_t>(key.id), Blob{key.public_key},
            Blob{key.record});
  db_.run("UPDATE own_keys SET next_prekey = ?, uploaded = 0", next + kPrekeysMade);
  db_.run("DELETE FROM prekeys WHERE id < ?", next + kPrekeysMade - kPrekeysKept);
}

std::vector<wire::KeysWanted> SqliteStore::keys_to_fetch(std::size_t max, WallMs now) {
  // Whose keys are missing: of those written to, of members of groups written to, of those a client has something to
  // say to, of those whose device is gone.
  std::vector<wire::KeysWanted> wanted;
  {
    auto q = db_.query(
        "SELECT user FROM (SELECT p.user AS user FROM messages m INDEXED BY messages_waiting_peer JOIN peers p ON p.id "
        "= "
        "m.peer JOIN devices d ON d.user = p.user LEFT JOIN sessions s ON s.user = d.user AND s.device = d.device "
        "WHERE m.incoming = 0 AND m.addressed = 0 AND (s.fresh = 1 OR (s.record IS NULL AND coalesce(s.checked_ms, 0) "
        "< "
        "?1)) "
        "UNION SELECT g.user FROM messages m INDEXED BY messages_waiting JOIN peers p ON p.id = m.peer JOIN "
        "group_members g ON g.group_id = p.group_id LEFT JOIN key_checks k ON k.user = g.user WHERE m.incoming = 0 AND "
        "m.addressed = 0 AND g.user != (SELECT user FROM account) AND (k.user IS NULL OR k.stale = 1 OR EXISTS(SELECT "
        "1 "
        "FROM devices d LEFT JOIN sessions s ON s.user = d.user AND s.device = d.device WHERE d.user = g.user AND "
        "(s.user IS NULL OR s.fresh = 1))) "
        "UNION SELECT c.user FROM controls c LEFT JOIN sessions s ON s.user = c.user AND s.device = c.device WHERE "
        "s.fresh = 1 OR (s.record IS NULL AND coalesce(s.checked_ms, 0) < ?1) OR NOT EXISTS(SELECT 1 FROM key_checks k "
        "WHERE k.user = c.user AND k.stale = 0) "
        "UNION SELECT user FROM copies WHERE gone = 1 AND NOT EXISTS(SELECT 1 FROM sessions s WHERE s.user = "
        "copies.user AND s.record IS NULL AND s.checked_ms >= ?1) AND NOT EXISTS(SELECT 1 FROM identities i WHERE "
        "i.user = copies.user AND i.held = 1)) WHERE user != 0 LIMIT ?2",
        now.value - kKeylessRetryMs, static_cast<std::int64_t>(std::min(max, limits::kKeysUsersMax)));
    while (q.step()) wanted.push_back({UserId(q.id(0)), {}});
  }
  for (wire::KeysWanted& w : wanted) {
    auto q = db_.query("SELECT device FROM sessions WHERE user = ? AND record IS NOT NULL AND fresh = 0 LIMIT ?",
                       w.user.value, static_cast<std::int64_t>(limits::kKeysKnownMax));
    while (q.step()) w.known.emplace_back(q.id(0));
  }
  return wanted;
}

std::uint64_t SqliteStore::set_keys(const wire::UserKeys& keys, WallMs now) {
  std::vector<wire::Address> devices;
  for (const wire::DeviceKeys& d : keys.devices) devices.push_back(d.address);
  set_devices(keys.user, devices);
  db_.run("INSERT OR REPLACE INTO key_checks VALUES(?, 0)", keys.user.value);
  db_.run("DELETE FROM key_holders WHERE user = ?1 AND device NOT IN (SELECT device FROM devices WHERE user = ?1)",
          keys.user.value);
  for (const wire::DeviceKeys& d : keys.devices) {
    if (d.address.user != keys.user) continue;
    const e2ee::Device with{keys.user, d.address.device};
    bool begun = false;
    if (d.version == wire::kKeysVersion) {
      const auto started = sealer_->start(with, bundle_of(d));
      begun = started.has_value();
      if (!begun)
        spdlog::warn("the keys of device {} are not good ({}): nothing is sent to it", hex_id(with.device.value),
                     static_cast<int>(started.error()));
    }
    // A device that is to have a new session and has no keys any more goes on with the one it has.
    if (begun || has_session(with) || d.version != 0)
      db_.run(
          "UPDATE sessions SET fresh = 0, begun_ms = CASE WHEN ?1 = 1 THEN ?2 ELSE begun_ms END WHERE user = ?3 AND "
          "device = ?4",
          begun ? 1 : 0, now.value, with.user.value, with.device.value);
    if (!begun)
      db_.run(
          "INSERT INTO sessions(user, device, checked_ms) VALUES(?, ?, ?) ON CONFLICT(user, device) DO UPDATE SET "
          "checked_ms = excluded.checked_ms, fresh = 0",
          with.user.value, with.device.value, now.value);
  }
  if (devices.empty()) {  // nobody is there to write to
    db_.run(
        "UPDATE messages SET addressed = 1, state = ?, reason = ?, revision = ? WHERE incoming = 0 AND addressed = 0 "
        "AND "
        "peer = (SELECT id FROM peers WHERE user = ?)",
        kFailed, static_cast<int>(wire::Code::recipient_gone), touch().value, keys.user.value);
  }
  touch();
  return readdress(keys.user, now);
}

bool SqliteStore::has_session(e2ee::Device with) {
  return db_
      .query("SELECT 1 FROM sessions WHERE user = ? AND device = ? AND record IS NOT NULL AND fresh = 0",
             with.user.value, with.device.value)
      .step();
}

// False: the copy has failed. A device of 0 is a group.
bool SqliteStore::seal_copy(std::uint64_t seq, e2ee::Device to, std::string_view plain) {
  const Account me = account();
  const auto sealed = to.device == DeviceId(0)
                          ? sealer_->seal_for_group(GroupId(to.user.value), {me.user, me.device}, plain)
                          : sealer_->seal(to, plain);
  if (!sealed) {
    const bool large = sealed.error() == e2ee::Errc::too_large;
    fail(seq, large ? wire::Code::content_too_large : wire::Code::undeliverable, wall_now());
    return false;
  }
  db_.run("UPDATE copies SET sealed = ? WHERE seq = ?", Blob{sealed_content(*sealed)}, seq);
  return true;
}

bool SqliteStore::is_held(UserId user) {
  return db_.query("SELECT 1 FROM identities WHERE user = ? AND held = 1", user.value).step();
}

void SqliteStore::add_control(e2ee::Device to, const content::Content& said, std::uint64_t origin) {
  constexpr std::int64_t kControlsMax = 256;  // waiting; beyond it nobody is asked or answered
  if (db_.value("SELECT count(*) FROM controls") >= kControlsMax) return;
  const auto bytes = content::encode(said);
  if (!bytes) return;
  db_.run("INSERT INTO controls(user, device, content, origin) VALUES(?, ?, ?, ?)", to.user.value, to.device.value,
          Blob{*bytes}, origin);
  keys_moved_ = true;
}

std::uint64_t SqliteStore::add_control_copy(const wire::Address& to, std::int64_t at_ms, std::uint64_t origin) {
  const std::uint64_t seq = next_seq();
  db_.run(
      "INSERT INTO copies(seq, message, kind, user, device, tag, created_ms, origin) VALUES(?, 0, ?, ?, ?, ?, ?, ?)",
      seq, kMessageKind, to.user.value, to.device.value, to.tag, at_ms, origin);
  return seq;
}

std::size_t SqliteStore::address_controls(std::size_t copies_max) {
  struct Said {
    std::int64_t id;
    wire::Address to;
    std::string content;
    std::uint64_t origin;
  };
  std::vector<Said> said;
  // To a device that is gone there is nothing to say.
  db_.script(
      "DELETE FROM controls WHERE EXISTS(SELECT 1 FROM key_checks k WHERE k.user = controls.user AND k.stale = 0) AND "
      "NOT "
      "EXISTS(SELECT 1 FROM devices d WHERE d.user = controls.user AND d.device = controls.device)");
  {
    auto q = db_.query(
        "SELECT c.id, c.user, c.device, d.tag, c.content, c.origin FROM controls c JOIN devices d ON d.user = c.user "
        "AND "
        "d.device "
        "= c.device JOIN sessions s ON s.user = c.user AND s.device = c.device AND s.record IS NOT NULL AND s.fresh = "
        "0 "
        "WHERE NOT EXISTS(SELECT 1 FROM identities i WHERE i.user = c.user AND i.held = 1) ORDER BY c.id LIMIT ?",
        static_cast<std::int64_t>(copies_max));
    while (q.step()) said.push_back({q.integer(0), {UserId(q.id(1)), DeviceId(q.id(2)), q.id(3)}, q.text(4), q.id(5)});
  }
  for (const Said& s : said) {
    seal_copy(add_control_copy(s.to, wall_now().value, s.origin), {s.to.user, s.to.device}, s.content);
    db_.run("DELETE FROM controls WHERE id = ?", s.id);
  }
  return said.size();
}

bool SqliteStore::group_is_ready(GroupId group) {
  return !db_.query(
                 "SELECT 1 FROM group_members g LEFT JOIN key_checks k ON k.user = g.user WHERE g.group_id = ? AND "
                 "g.user "
                 "!= (SELECT user FROM account) AND (k.user IS NULL OR k.stale = 1 OR EXISTS(SELECT 1 FROM devices d "
                 "LEFT "
                 "JOIN sessions s ON s.user = d.user AND s.device = d.device WHERE d.user = g.user AND (s.user IS NULL "
                 "OR "
                 "s.fresh = 1))) LIMIT 1",
                 group.value)
              .step();
}

void SqliteStore::rekey(GroupId group) {
  const Account me = account();
  db_.run("DELETE FROM sender_keys WHERE group_id = ? AND user = ? AND device = ?", group.value, me.user.value,
          me.device.value);
  db_.run("DELETE FROM key_holders WHERE group_id = ?", group.value);
  db_.run("UPDATE groups SET rekey = 0 WHERE id = ?", group.value);
}

// The sender key as it is now to every device that has not got it. A member without keys, or whose changed identity the
// person does not trust, gets none.
std::size_t SqliteStore::send_group_keys(GroupId group, std::size_t copies_max) {
  if (db_.query("SELECT 1 FROM groups WHERE id = ? AND rekey = 1", group.value).step()) rekey(group);
  std::vector<wire::Address> without;
  {
    auto q = db_.query(
        "SELECT d.user, d.device, d.tag FROM group_members g JOIN devices d ON d.user = g.user JOIN sessions s ON "
        "s.user "
        "= d.user AND s.device = d.device AND s.record IS NOT NULL WHERE g.group_id = ?1 AND g.user != (SELECT user "
        "FROM "
        "account) AND NOT EXISTS(SELECT 1 FROM key_holders h WHERE h.group_id = ?1 AND h.user = d.user AND h.device = "
        "d.device) AND NOT EXISTS(SELECT 1 FROM identities i WHERE i.user = d.user AND i.held = 1) LIMIT ?2",
        group.value, static_cast<std::int64_t>(copies_max));
    while (q.step()) without.push_back({UserId(q.id(0)), DeviceId(q.id(1)), q.id(2)});
  }
  if (without.empty()) return 0;
  const Account me = account();
  const auto key = sealer_->distribution(group, {me.user, me.device});
  if (!key) throw SqliteError("the sender key of a group cannot be read");
  const std::string plain = content::encode(content::SenderKey{group, *key}).value();
  for (const wire::Address& to : without) {
    db_.run("INSERT INTO key_holders VALUES(?, ?, ?)", group.value, to.user.value, to.device.value);
    seal_copy(add_control_copy(to, wall_now().value), {to.user, to.device}, plain);
  }
  return without.size();
}

}  // namespace barid::client
