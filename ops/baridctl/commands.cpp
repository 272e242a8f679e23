#include "ops/baridctl/commands.h"

#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "broker/control.h"
#include "broker/topology.h"
#include "storage/migrator.h"
#include "workers/directory/secrets.h"

namespace barid::ctl {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPatience{10};  // for the broker to answer at all

// A key that every process must agree on: written once, then compared.
void agree_on(broker::Control& control, const char* key, const std::string& value) {
  if (!control.get(broker::kMetaBucket, key)) control.put_if(broker::kMetaBucket, key, value, 0);
  if (control.get(broker::kMetaBucket, key)->value != value)
    throw std::runtime_error(std::string("the broker was set up with another ") + key +
                             ": this instance's secrets are not the ones it was created with; restore them");
}

}  // namespace

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

int apply_topology(const Config& config) {
  broker::Control control(config.nats, "baridctl", kPatience);
  const auto created = broker::apply_topology(control, config.nats, config.messages);
  if (!config.directory.secrets_dir.empty()) {
    const auto secrets = directory::DirectorySecrets::load(config.directory.secrets_dir);
    agree_on(control, broker::kMetaDirectoryKey, crypto::to_hex(crypto::view(secrets.signing.public_key)));
    agree_on(control, broker::kMetaAddressKey, crypto::to_hex(crypto::view(secrets.address)));
  }
  for (const std::string& name : created) std::cout << "created " << name << "\n";
  if (created.empty()) std::cout << "the topology is current\n";
  return 0;
}

int show_topology(const Config& config) {
  broker::Control control(config.nats, "baridctl", kPatience);
  std::cout << fmt::format("{:<24} {:>12} {:>14} {:>9} {:>8}\n", "stream", "messages", "bytes", "consumers",
                           "replicas");
  for (std::size_t offset = 0, total = 1; offset < total;) {
    const json page = json::parse(control.js_api("STREAM.LIST", json{{"offset", offset}}.dump()));
    if (page.contains("error"))
      throw broker::Error("the broker lists no streams: " + page["error"].value("description", "?"));
    if (!page.contains("streams") || page["streams"].empty()) break;
    total = page.at("total");
    for (const json& stream : page["streams"]) {
      const json& state = stream.at("state");
      std::cout << fmt::format("{:<24} {:>12} {:>14} {:>9} {:>8}\n", stream["config"]["name"].get<std::string>(),
                               state.at("messages").get<std::uint64_t>(), state.at("bytes").get<std::uint64_t>(),
                               state.at("consumer_count").get<std::uint64_t>(),
                               stream["config"].value("num_replicas", 1));
      ++offset;
    }
  }
  for (const std::string& key : control.keys(broker::kOwnersBucket))
    if (const auto entry = control.get(broker::kOwnersBucket, key)) std::cout << key << " " << entry->value << "\n";
  return 0;
}

}  // namespace barid::ctl
