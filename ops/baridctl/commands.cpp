#include "ops/baridctl/commands.h"

#include <iostream>

#include "storage/migrator.h"
#include "workers/directory/secrets.h"

namespace barid::ctl {

int init_secrets(const std::string& dir) {
  directory::DirectorySecrets::create(dir);
  directory::DirectorySecrets::load(dir);  // what was there before may be damaged: say so now
  return 0;
}

int migrate(const Config& config) {
  const auto applied = storage::migrate(config.postgres.url);
  for (const std::string& name : applied) std::cout << "applied " << name << "\n";
  if (applied.empty()) std::cout << "the schema is current\n";
  return 0;
}

}  // namespace barid::ctl
