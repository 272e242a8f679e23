#include "client/core/sqlite.h"

#include <sqlite3.h>

#include "base/assert.h"

namespace barid::client {
namespace {
constexpr int kBusyTimeoutMs = 10'000;  // another barid process writes; its transactions last milliseconds
}  // namespace

Sqlite::Sqlite(const std::string& path) : path_(path) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &db_, flags, nullptr) != SQLITE_OK) {
    const std::string why = db_ != nullptr ? sqlite3_errmsg(db_) : "out of memory";
    sqlite3_close(db_);
    throw SqliteError("cannot open " + path + ": " + why);
  }
  sqlite3_busy_timeout(db_, kBusyTimeoutMs);
}

Sqlite::~Sqlite() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

void Sqlite::fail(const char* sql) const {
  std::string head(sql);
  if (head.size() > 80) head = head.substr(0, 80) + "…";
  throw SqliteError(path_ + ": " + sqlite3_errmsg(db_) + " (" + head + ")");
}

sqlite3_stmt* Sqlite::prepare(const char* sql) {
  auto& statement = statements_[sql];
  if (statement == nullptr &&
      sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK)
    fail(sql);
  return statement;
}

void Sqlite::script(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
}

std::int64_t Sqlite::last_row() const { return sqlite3_last_insert_rowid(db_); }
std::int64_t Sqlite::changed() const { return sqlite3_changes(db_); }

std::int64_t Sqlite::value(const char* sql) {
  Query q = query(sql);
  return q.step() ? q.integer(0) : 0;
}

Sqlite::Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Sqlite::Query::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) db_->fail(sqlite3_sql(statement_));
  return false;
}

std::int64_t Sqlite::Query::integer(int column) const { return sqlite3_column_int64(statement_, column); }
bool Sqlite::Query::null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string Sqlite::Query::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string()
                          : std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

void Sqlite::Query::bind(int index, std::int64_t value) {
  if (sqlite3_bind_int64(statement_, index, value) != SQLITE_OK) db_->fail(sqlite3_sql(statement_));
}
void Sqlite::Query::bind(int index, std::string_view text) {
  if (sqlite3_bind_text64(statement_, index, text.data() != nullptr ? text.data() : "", text.size(), SQLITE_TRANSIENT,
                          SQLITE_UTF8) != SQLITE_OK)
    db_->fail(sqlite3_sql(statement_));
}
void Sqlite::Query::bind_blob(int index, std::string_view bytes) {
  if (sqlite3_bind_blob64(statement_, index, bytes.data() != nullptr ? bytes.data() : "", bytes.size(),
                          SQLITE_TRANSIENT) != SQLITE_OK)
    db_->fail(sqlite3_sql(statement_));
}
void Sqlite::Query::bind(int index, const Blob& blob) { bind_blob(index, blob.bytes); }

}  // namespace barid::client
