// The verbs of SqliteStore about whom one writes to: identity keys, safety numbers, trust.
#include "client/core/sqlite_store.h"

namespace barid::client {

bool SqliteStore::keys_published() { return db_.value("SELECT count(*) FROM own_keys WHERE uploaded = 1") != 0; }

std::optional<PeerIdentity> SqliteStore::identity(UserId user) {
  auto q = db_.query("SELECT key, verified, strict, held FROM identities WHERE user = ?", user.value);
  if (!q.step()) return std::nullopt;
  return PeerIdentity{q.text(0), q.integer(1) != 0, q.integer(2) != 0, q.integer(3) != 0};
}

e2ee::SafetyNumber SqliteStore::safety_number(UserId user) {
  return sealer_->safety_number(account().user, keys_.identity().public_key, user, identity(user).value().key);
}

bool SqliteStore::compare_code(UserId user, std::string_view scanned) {
  return sealer_->compare_code(safety_number(user).code, scanned);
}

void SqliteStore::set_verified(UserId user, bool verified) {
  Scope scope(*this);
  db_.run("UPDATE identities SET verified = ?1, held = CASE WHEN ?1 = 1 THEN 0 ELSE held END WHERE user = ?2",
          verified ? 1 : 0, user.value);
  scope.commit();
}

void SqliteStore::trust(UserId user, std::optional<bool> strict) {
  Scope scope(*this);
  db_.run("UPDATE identities SET held = 0, strict = coalesce(nullif(?, -1), strict) WHERE user = ?",
          strict ? (*strict ? 1 : 0) : -1, user.value);
  scope.commit();
}

std::vector<IdentityNote> SqliteStore::identity_notes_after(std::int64_t id, std::size_t limit) {
  std::vector<IdentityNote> notes;
  auto q = db_.query("SELECT id, user, at_ms FROM identity_notes WHERE id > ? ORDER BY id LIMIT ?", id,
                     static_cast<std::int64_t>(limit));
  while (q.step()) notes.push_back({q.integer(0), UserId(q.id(1)), q.integer(2)});
  return notes;
}

std::int64_t SqliteStore::listened_identities() { return db_.value("SELECT listened_identities FROM meta"); }

void SqliteStore::set_listened_identities(std::int64_t last) {
  Scope scope(*this, Durability::relaxed);
  db_.run("UPDATE meta SET listened_identities = max(listened_identities, ?)", last);
  scope.commit();
}

}  // namespace barid::client
