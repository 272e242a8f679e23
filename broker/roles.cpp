#include "broker/roles.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/secret_file.h"
#include "broker/continuity.h"
#include "broker/drain_desk.h"
#include "broker/topology.h"
#include "schemas/control.h"

namespace barid::broker {
namespace {

using Subjects = std::vector<std::string>;

constexpr const char* kOldUser = "barid";

std::string api(const std::string& call) { return "$JS.API." + call; }
std::string kv_stream(const char* bucket) { return std::string("KV_") + bucket; }
std::string kv_key(const char* bucket, const std::string& key) { return std::string("$KV.") + bucket + "." + key; }

// Reading a bucket: its settings, one key, and a consumer for watching or listing. It reads and changes nothing.
void may_read(Subjects& to, const char* bucket) {
  const std::string stream = kv_stream(bucket);
  if (to.empty() || to.front() != api("STREAM.NAMES")) to.insert(to.begin(), api("STREAM.NAMES"));  // for a watch
  for (const char* call : {"STREAM.INFO.", "STREAM.MSG.GET.", "DIRECT.GET.", "CONSUMER.CREATE."})
    to.push_back(api(call + stream));
  for (const char* call : {"DIRECT.GET.", "CONSUMER.CREATE."}) to.push_back(api(call + stream + ".>"));
  to.push_back(api("CONSUMER.DELETE." + stream + ".*"));
}

// Owning the partitions of a work queue: consumers come and go with the epochs.
void may_own(Subjects& to, const std::string& stream) {
  to.push_back(api("CONSUMER.NAMES." + stream));
  for (const char* call : {"CONSUMER.INFO.", "CONSUMER.DELETE.", "CONSUMER.DURABLE.CREATE."})
    to.push_back(api(call + stream + ".*"));
  to.push_back("$JS.ACK." + stream + ".>");
}

// Looking at all streams, and making those that the broker has lost (broker/guard.h).
void may_mend(Subjects& to, const NatsConfig& config) {
  to.push_back(api("STREAM.LIST"));
  for (const char* key : {kMetaIncarnation, kMetaPartitions, kMetaInboxShards}) to.push_back(kv_key(kMetaBucket, key));
  for (const std::string& stream : declared_names(config)) to.push_back(api("STREAM.CREATE." + stream));
}

Role edge() {
  Role role{kEdgeRole,
            {"ingress.*", "group.*", control::kDirectorySubject, "$JS.FC.>", kv_key(kMetaBucket, kMetaIncarnation)},
            {drain_subject("*")},
            true};
  for (const std::string& stream : HighWater::of_senders()) role.publish.push_back(api("STREAM.INFO." + stream));
  for (const char* bucket : {kMetaBucket, kOwnersBucket, kRevokedBucket}) may_read(role.publish, bucket);
  return role;
}

Role worker(const NatsConfig& config) {
  Role role{kWorkerRole,
            {"ingress.*", "inbox.>", "dead.>", control::kGroupSubject, control::kPresenceSubject, "$JS.FC.>",
             kv_key(kOwnersBucket, "*"), kv_key(kWorkersBucket, ">")},
            {control::kPresenceChangedSubject, drain_subject("*")},
            true};
  may_mend(role.publish, config);
  may_own(role.publish, ingress_stream(Partition(0)));
  may_own(role.publish, kFanoutStream);
  for (std::uint16_t shard = 0; shard < config.inbox_shards; ++shard)
    for (const char* call : {"DIRECT.GET.", "STREAM.MSG.DELETE.", "STREAM.INFO."})
      role.publish.push_back(api(call + inbox_stream(shard)));
  for (const char* bucket : {kMetaBucket, kOwnersBucket, kWorkersBucket, kRevokedBucket, kBlocksBucket})
    may_read(role.publish, bucket);
  return role;
}

Role directory() {
  Role role{kDirectoryRole,
            {"group.*", control::kPresenceChangedSubject, "$JS.FC.>", kv_key(kRevokedBucket, "*"),
             kv_key(kBlocksBucket, "*"), kv_key(kMetaBucket, kMetaDirectoryKey), kv_key(kMetaBucket, kMetaAddressKey)},
            {control::kDirectorySubject, control::kGroupSubject, control::kPresenceSubject},
            true};
  for (const char* bucket : {kMetaBucket, kRevokedBucket, kBlocksBucket}) may_read(role.publish, bucket);
  return role;
}

std::string password_file(const std::string& dir, const std::string& role) { return dir + "/" + role + ".password"; }

// nats-server's configuration takes JSON's strings and lists.
std::string literal(const nlohmann::json& value) { return value.dump(); }

}  // namespace

std::vector<Role> roles(const NatsConfig& config) {
  std::vector<Role> all{edge(), worker(config), directory(), {kOperatorRole, {">"}, {">"}}};
  for (Role& role : all)
    if (role.user != kOperatorRole) role.subscribe.push_back(reply_prefix(role.user) + ".>");
  return all;
}

NatsConfig as_role(NatsConfig config, const char* role) {
  if (config.credentials_dir.empty()) return config;
  config.user = role;
  config.password = read_secret_file(password_file(config.credentials_dir, role));
  return config;
}

std::string reply_prefix(std::string_view user) {
  return user.empty() ? std::string("_BARID") : "_BARID." + std::string(user);
}

std::string nats_users(const NatsConfig& config, const std::string& credentials_dir, const std::string& old_password) {
  std::string text = "authorization {\n  users = [\n";
  if (config.credentials_dir.empty() && !old_password.empty())
    text += fmt::format("    {{ user: {}, password: {} }}\n", kOldUser, literal(old_password));
  for (const Role& role : roles(config)) {
    text += fmt::format("    {{ user: {}, password: {}, permissions: {{\n      publish: {}\n      subscribe: {}\n",
                        role.user, literal(read_secret_file(password_file(credentials_dir, role.user))),
                        literal(role.publish), literal(role.subscribe));
    if (role.answers) text += "      allow_responses: { max: 1, expires: \"1m\" }\n";
    text += "    } }\n";
  }
  return text + "  ]\n}\n";
}

}  // namespace barid::broker
