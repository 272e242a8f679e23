#include "storage/migrator.h"

#include <map>
#include <pqxx/pqxx>

#include "base/crypto.h"
#include "storage/url.h"

namespace barid::storage {
namespace {

constexpr const char* kTakeTurns = "SELECT pg_advisory_lock(7021783309152044)";  // the number only has to be ours
constexpr const char* kWaitForTurn = "SET lock_timeout = '60s'";

std::string checksum(const std::string& sql) {
  const crypto::MacKey no_key{};  // a checksum, not a secret
  return crypto::to_hex(crypto::view(crypto::mac(sql, no_key)).substr(0, 16));
}

std::map<std::string, std::string> applied(pqxx::connection& connection) {
  pqxx::work work(connection);
  work.exec0(
      "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, checksum text NOT NULL, "
      "applied_at timestamptz NOT NULL DEFAULT now())");
  std::map<std::string, std::string> known;
  for (const auto& row : work.exec("SELECT name, checksum FROM schema_migrations"))
    known[row[0].as<std::string>()] = row[1].as<std::string>();
  work.commit();
  return known;
}

void apply(pqxx::connection& connection, const Migration& migration) {
  try {
    pqxx::work work(connection);
    work.exec(migration.sql);
    work.exec_params0("INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", migration.name,
                      checksum(migration.sql));
    work.commit();
  } catch (const pqxx::sql_error& error) {
    throw MigrationError("migration " + migration.name + " failed and was rolled back: " + error.what());
  }
}

// The directory's role, where the operator has made one, works on rows and can't change the schema or its history.
void grant_rows(pqxx::connection& connection) {
  pqxx::work work(connection);
  if (work.exec("SELECT FROM pg_roles WHERE rolname = 'barid_directory' AND rolname <> current_user").empty()) return;
  work.exec0("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO barid_directory");
  work.exec0("REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM barid_directory");
  work.exec0("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO barid_directory");
  work.commit();
}

}  // namespace

std::vector<std::string> migrate(const std::string& url, const std::vector<Migration>& migrations) {
  std::vector<std::string> done;
  try {
    pqxx::connection connection(with_connect_timeout(url));
    {
      pqxx::nontransaction session(connection);
      session.exec0("SET client_min_messages = warning");
      session.exec0(kWaitForTurn);
      session.exec(kTakeTurns);  // until the connection closes
    }
    const auto known = applied(connection);
    for (const auto& migration : migrations) {
      const auto before = known.find(migration.name);
      if (before != known.end() && before->second != checksum(migration.sql))
        throw MigrationError("migration " + migration.name +
                             " was changed after it was applied; undo the change and add a new migration instead");
    }
    for (const auto& migration : migrations) {
      if (known.contains(migration.name)) continue;
      apply(connection, migration);
      done.push_back(migration.name);
    }
    grant_rows(connection);
  } catch (const pqxx::failure& error) {
    throw MigrationError(std::string("cannot migrate the database: ") + error.what());
  }
  return done;
}

}  // namespace barid::storage
