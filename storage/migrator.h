// Brings a database to the schema this program was built with. Any thread; any number of processes at once:
// they take turns under an advisory lock.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace barid::storage {

struct Migration {
  std::string name;  // "0001_accounts": sorts in the order of application
  std::string sql;
};
const std::vector<Migration>& built_in_migrations();

class MigrationError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Applies what is missing, each migration in a transaction of its own, and records it with its checksum.
// Returns the names applied. Throws MigrationError when one fails or when one that was applied earlier has
// changed since; migrations that the database has and this program doesn't know are left alone (an older
// program beside a newer one).
std::vector<std::string> migrate(const std::string& url,
                                 const std::vector<Migration>& migrations = built_in_migrations());

}  // namespace barid::storage
