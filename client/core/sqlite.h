// SQLite as two owners: the connection and a prepared statement. One thread at a time. Failures throw
// SqliteError, whose text names the statement and the file.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace barid::client {

class SqliteError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Sqlite {
 public:
  explicit Sqlite(const std::string& path);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // A run of one statement: bind in order, then step. The compiled statement is kept and reused.
  class Query {
   public:
    Query(Sqlite& db, sqlite3_stmt* statement) : db_(&db), statement_(statement) {}
    ~Query();
    Query(Query&& other) noexcept : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;
    Query& operator=(Query&&) = delete;

    bool step();  // true: a row is there
    void run() {
      while (step()) {
      }
    }
    std::int64_t integer(int column) const;
    std::uint64_t id(int column) const { return static_cast<std::uint64_t>(integer(column)); }
    std::string text(int column) const;  // also for blobs; null is empty
    bool null(int column) const;

    void bind(int index, std::int64_t value);
    void bind(int index, std::uint64_t value) { bind(index, static_cast<std::int64_t>(value)); }
    void bind(int index, int value) { bind(index, static_cast<std::int64_t>(value)); }
    void bind(int index, std::string_view text);
    void bind_blob(int index, std::string_view bytes);
    void bind(int index, const struct Blob& blob);

   private:
    Sqlite* db_;
    sqlite3_stmt* statement_;
  };

  template <class... Values>
  Query query(const char* sql, const Values&... values) {
    Query q(*this, prepare(sql));
    int index = 0;
    (q.bind(++index, values), ...);
    return q;
  }
  template <class... Values>
  void run(const char* sql, const Values&... values) {
    query(sql, values...).run();
  }
  void script(const char* sql);

  std::int64_t last_row() const;
  std::int64_t changed() const;  // rows, by the last statement
  std::int64_t value(const char* sql);
  [[noreturn]] void fail(const char* sql) const;

 private:
  sqlite3_stmt* prepare(const char* sql);  // `sql` must be a literal: its address is the key

  std::string path_;
  sqlite3* db_ = nullptr;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

struct Blob {
  std::string_view bytes;
};

}  // namespace barid::client
