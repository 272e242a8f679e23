#include "client/core/sqlite_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "base/assert.h"
#include "client/core/migrations.h"

namespace barid::client {
namespace {

std::string prepare_file(const std::string& directory) {
  if (directory == ":memory:") return directory;
  std::filesystem::create_directories(directory);
  ::chmod(directory.c_str(), 0700);  // holds keys and messages
  return directory + "/barid.db";
}

}  // namespace

std::string_view name_of(State state) {
  static constexpr std::string_view kNames[] = {"queued", "sent", "accepted", "failed", "delivered", "read"};
  return kNames[static_cast<std::size_t>(state)];
}

SqliteStore::SqliteStore(const std::string& directory, Sealing sealing)
    : sealing_(sealing), db_(prepare_file(directory)), sealer_(std::make_unique<e2ee::Sealer>(keys_)) {
  if (directory != ":memory:") ::chmod((directory + "/barid.db").c_str(), 0600);
  db_.script("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;");
  migrate();
  // A profile of before there were keys.
  if (!seals() || db_.value("SELECT count(*) FROM account WHERE NOT EXISTS(SELECT 1 FROM own_keys)") == 0) return;
  Scope scope(*this);
  new_device_keys(account(), account());
  scope.commit();
}

SqliteStore::~SqliteStore() = default;

void SqliteStore::migrate() {
  constexpr auto kNewest = static_cast<std::int64_t>(std::size(kMigrations));
  if (db_.value("PRAGMA user_version") == kNewest) return;
  begin(Durability::durable);  // another process may be at it: look again, under the lock
  const std::int64_t version = db_.value("PRAGMA user_version /* locked */");
  if (version > kNewest) {
    rollback();
    throw SqliteError("this history was written by a newer barid (layout " + std::to_string(version) +
                      "): update barid, or give another --data directory");
  }
  for (std::int64_t i = version; i < kNewest; ++i) {
    db_.script(kMigrations[i]);
    db_.script(("PRAGMA user_version = " + std::to_string(i + 1)).c_str());
  }
  commit();
}

void SqliteStore::begin(Durability durability) {
  BARID_ASSERT(!open_);
  // WAL: FULL syncs the log at this commit (and with it all earlier ones), NORMAL leaves it to a later one.
  db_.script(durability == Durability::durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  db_.script("BEGIN IMMEDIATE");
  open_ = true;
  touched_ = Revision();
}

void SqliteStore::commit() {
  BARID_ASSERT(open_);
  db_.script("COMMIT");
  open_ = false;
  if (hook_) hook_();
}

void SqliteStore::rollback() noexcept {
  if (!open_) return;
  open_ = false;
  try {
    db_.script("ROLLBACK");
  } catch (const SqliteError&) {  // SQLite rolls back by itself after some failures (disk full)
  }
}

Scope::Scope(SqliteStore& store, Store::Durability durability) : store_(store), mine_(!store.open_) {
  if (mine_) store_.begin(durability);
}
Scope::~Scope() {
  if (mine_) store_.rollback();
}
void Scope::commit() {
  if (mine_) store_.commit();
  mine_ = false;
}

Revision SqliteStore::touch() {
  BARID_ASSERT(open_);
  if (touched_ == Revision()) {
    auto q = db_.query("UPDATE meta SET revision = revision + 1 RETURNING revision");
    BARID_ASSERT(q.step());
    touched_ = Revision(q.integer(0));
    while (q.step()) {
    }
  }
  return touched_;
}

Revision SqliteStore::revision() { return Revision(db_.value("SELECT revision FROM meta")); }
std::int64_t SqliteStore::data_version() { return db_.value("PRAGMA data_version"); }

bool SqliteStore::has_account() { return db_.value("SELECT count(*) FROM account") != 0; }

Account SqliteStore::account() {
  auto q =
      db_.query("SELECT phone, name, server, tls_ca, key, token, user, device, session_no, incarnation FROM account");
  Account a;
  if (!q.step()) return a;
  a.phone = q.text(0);
  a.name = q.text(1);
  a.server = q.text(2);
  a.tls_ca = q.text(3);
  const std::string key = q.text(4);
  BARID_ASSERT(key.size() == a.key.size());
  std::copy(key.begin(), key.end(), a.key.begin());
  a.token = q.text(5);
  a.user = UserId(q.id(6));
  a.device = DeviceId(q.id(7));
  a.session_no = SessionNo(q.id(8));
  a.incarnation = q.id(9);
  return a;
}

void SqliteStore::save_account(const Account& a) {
  Scope scope(*this);
  const Account before = account();
  db_.run("INSERT OR REPLACE INTO account VALUES(1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", a.phone, a.name, a.server, a.tls_ca,
          Blob{crypto::view(a.key)}, Blob{a.token}, a.user.value, a.device.value, a.session_no.value, a.incarnation);
  if (seals() && before.device != a.device) new_device_keys(before, a);
  scope.commit();
}

void SqliteStore::set_server(const std::string& server, const std::string& tls_ca) {
  Scope scope(*this);
  db_.run("UPDATE account SET server = ?, tls_ca = ?", server, tls_ca);
  scope.commit();
}

void SqliteStore::set_session_no(SessionNo number) { db_.run("UPDATE account SET session_no = ?", number.value); }

std::int64_t SqliteStore::post_call(std::string_view request_frame, WallMs at) {
  Scope scope(*this);
  if (db_.value("SELECT count(*) FROM calls") >= static_cast<std::int64_t>(kCallsOpenMax))
    db_.run("DELETE FROM calls WHERE id IN (SELECT id FROM calls ORDER BY id LIMIT 1)");  // abandoned long ago
  db_.run("INSERT INTO calls(request, at_ms) VALUES(?, ?)", Blob{request_frame}, at.value);
  const std::int64_t id = db_.last_row();
  scope.commit();
  return id;
}

std::vector<std::pair<std::int64_t, std::string>> SqliteStore::open_calls(std::size_t max, WallMs not_before) {
  std::vector<std::pair<std::int64_t, std::string>> calls;
  auto q = db_.query("SELECT id, request FROM calls WHERE response IS NULL AND at_ms >= ? ORDER BY id LIMIT ?",
                     not_before.value, static_cast<std::int64_t>(max));
  while (q.step()) calls.emplace_back(q.integer(0), q.text(1));
  return calls;
}

void SqliteStore::answer_call(std::int64_t id, std::string_view response_frame) {
  Scope scope(*this, Durability::relaxed);
  db_.run("UPDATE calls SET response = ? WHERE id = ?", Blob{response_frame}, id);
  scope.commit();
}

std::optional<std::string> SqliteStore::take_answer(std::int64_t id) {
  std::optional<std::string> answer;
  {
    auto q = db_.query("SELECT response FROM calls WHERE id = ? AND response IS NOT NULL", id);
    if (q.step()) answer = q.text(0);
  }
  if (answer) drop_call(id);
  return answer;
}

void SqliteStore::drop_call(std::int64_t id) {
  Scope scope(*this, Durability::relaxed);
  db_.run("DELETE FROM calls WHERE id = ?", id);
  scope.commit();
}

}  // namespace barid::client
