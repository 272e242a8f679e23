#include "ops/baridctl/commands.h"

#include <filesystem>
#include <iostream>

#include "base/secret_file.h"
#include "broker/roles.h"
#include "storage/migrator.h"
#include "storage/url.h"
#include "workers/directory/secrets.h"

namespace barid::ctl {

int init_secrets(const std::string& dir) {
  directory::DirectorySecrets::create(dir);
  directory::DirectorySecrets::load(dir);  // what was there before may be damaged: say so now
  return 0;
}

int migrate(const Config& config) {
  const auto applied = storage::migrate(storage::owner_url(config.postgres));
  for (const std::string& name : applied) std::cout << "applied " << name << "\n";
  if (applied.empty()) std::cout << "the schema is current\n";
  return 0;
}

int nats_users(const Config& config, const std::string& secrets_dir) {
  const std::string old = secrets_dir + "/nats.password";  // of an instance of before there were roles
  std::cout << broker::nats_users(config.nats, secrets_dir + "/nats",
                                  std::filesystem::exists(old) ? read_secret_file(old) : std::string());
  return 0;
}

}  // namespace barid::ctl
