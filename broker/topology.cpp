#include "broker/topology.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/log.h"
#include "broker/control.h"

namespace barid::broker {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr int kStreamNotFound = 10059;
constexpr std::chrono::seconds kWorkerTtl = 10s;
constexpr const char* kFanoutWorker = "/fanout";
constexpr std::chrono::hours kDeadLettersKept = 24h * 7;
constexpr std::chrono::seconds kDuplicateWindow = 120s;  // longer than any batch is repeated

std::int64_t nanos(std::chrono::nanoseconds d) { return d.count(); }

json stream(const std::string& name, const std::vector<std::string>& subjects, std::uint8_t replicas) {
  return {{"name", name},
          {"subjects", subjects},
          {"storage", "file"},
          {"num_replicas", replicas},
          {"discard", "new"},
          {"max_consumers", -1},
          {"max_msgs", -1},
          {"max_bytes", -1},
          {"max_age", 0},
          {"retention", "limits"},
          {"duplicate_window", nanos(kDuplicateWindow)}};
}

json bucket(const char* name, std::uint8_t replicas, std::chrono::nanoseconds ttl = 0s) {
  json config = stream(std::string("KV_") + name, {std::string("$KV.") + name + ".>"}, replicas);
  config["max_msgs_per_subject"] = 1;
  config["max_age"] = nanos(ttl);
  config["allow_rollup_hdrs"] = true;
  config["deny_delete"] = true;
  config["allow_direct"] = true;
  if (ttl.count() != 0 && ttl < kDuplicateWindow) config["duplicate_window"] = nanos(ttl);
  return config;
}

std::vector<json> declared_streams(const NatsConfig& nats, const MessagesConfig& messages) {
  std::vector<json> streams;
  json ingress = stream("INGRESS_0", {"ingress.*"}, nats.replicas);
  ingress["retention"] = "workqueue";
  streams.push_back(ingress);
  json fanout = stream(kFanoutStream, {"group.*"}, nats.replicas);
  fanout["retention"] = "workqueue";
  streams.push_back(fanout);
  for (std::uint16_t s = 0; s < nats.inbox_shards; ++s) {
    json inbox = stream(inbox_stream(s), {fmt::format("inbox.{}.>", s)}, nats.replicas);
    // Expiry is the owner's sweep (the sender learns it); the stream's own limit is only the backstop behind
    // it.
    inbox["max_age"] = nanos(messages.ttl + 48h);
    inbox["max_msgs_per_subject"] = static_cast<std::int64_t>(messages.inbox_messages_max);
    inbox["discard_new_per_subject"] = true;
    inbox["allow_direct"] = true;
    streams.push_back(inbox);
  }
  json dead = stream("DEAD", {"dead.>"}, nats.replicas);
  dead["max_age"] = nanos(kDeadLettersKept);
  dead["discard"] = "old";
  streams.push_back(dead);
  streams.push_back(bucket(kOwnersBucket, nats.replicas));
  streams.push_back(bucket(kWorkersBucket, nats.replicas, kWorkerTtl));
  streams.push_back(bucket(kRevokedBucket, nats.replicas));
  streams.push_back(bucket(kBlocksBucket, nats.replicas));
  streams.push_back(bucket(kMetaBucket, nats.replicas));
  return streams;
}

void put_if_absent(Control& control, const char* key, const std::string& value) {
  if (!control.get(kMetaBucket, key)) control.put_if(kMetaBucket, key, value, 0);
}

}  // namespace

std::string ingress_subject(Partition p) { return fmt::format("ingress.{}", p.value); }
std::string ingress_stream(Partition) { return "INGRESS_0"; }
std::uint16_t inbox_shard(DeviceId device, std::uint16_t shards) {
  return static_cast<std::uint16_t>(std::hash<DeviceId>{}(device) % shards);
}
std::string inbox_stream(std::uint16_t shard) { return fmt::format("INBOX_{:02}", shard); }
std::string inbox_subject(std::uint16_t shard, Partition p, UserId user, DeviceId device) {
  return fmt::format("inbox.{}.{}.{:x}.{:x}", shard, p.value, user.value, device.value);
}
std::string inbox_subjects_of(std::uint16_t shard, Partition p) { return fmt::format("inbox.{}.{}.>", shard, p.value); }
std::string dead_subject(std::string_view reason) { return "dead." + std::string(reason); }
std::string fanout_subject(Partition p) { return fmt::format("group.{}", p.value); }

std::string owner_key(Partition p, Stage stage) { return fmt::format("{}{}", static_cast<char>(stage), p.value); }
bool is_owner_key(std::string_view key, Stage stage) { return key.starts_with(static_cast<char>(stage)); }
std::string consumer_prefix(Partition p, Stage stage) { return owner_key(p, stage) + "-e"; }
std::string consumer_name(Partition p, Epoch e, Stage stage) {
  return consumer_prefix(p, stage) + std::to_string(e.value);
}
std::string source_stream(Partition p, Stage stage) {
  return stage == Stage::delivery ? ingress_stream(p) : std::string(kFanoutStream);
}
std::string source_subject(Partition p, Stage stage) {
  return stage == Stage::delivery ? ingress_subject(p) : fanout_subject(p);
}

std::string worker_key(std::string_view worker, Stage stage) {
  return std::string(worker) + (stage == Stage::fanout ? kFanoutWorker : "");
}
std::optional<std::string> worker_of_key(std::string_view key, Stage stage) {
  const bool fans_out = key.ends_with(kFanoutWorker);
  if (fans_out != (stage == Stage::fanout)) return std::nullopt;
  if (fans_out) key.remove_suffix(std::string_view(kFanoutWorker).size());
  return std::string(key);
}

Partition partition_of_owner_key(std::string_view key) {
  std::uint16_t value = 0;
  if (key.size() < 2 || (!is_owner_key(key, Stage::delivery) && !is_owner_key(key, Stage::fanout)) ||
      std::from_chars(key.data() + 1, key.data() + key.size(), value).ptr != key.data() + key.size())
    throw Error("not an owner key: " + std::string(key));
  return Partition(value);
}

std::vector<std::string> apply_topology(Control& control, const NatsConfig& nats, const MessagesConfig& messages) {
  std::vector<std::string> created;
  for (const json& want : declared_streams(nats, messages)) {
    const std::string name = want["name"];
    const json have = json::parse(control.js_api("STREAM.INFO." + name, ""));
    if (have.contains("error")) {
      if (have["error"].value("err_code", 0) != kStreamNotFound)
        throw Error("stream " + name + ": " + have["error"].value("description", "unknown error"));
      const json made = json::parse(control.js_api("STREAM.CREATE." + name, want.dump()));
      if (made.contains("error"))
        throw Error("stream " + name + " can't be created: " + made["error"].value("description", "unknown error"));
      created.push_back(name);
    } else if (have["config"]["retention"] != want["retention"] || have["config"]["storage"] != want["storage"]) {
      throw Error("stream " + name +
                  " exists with another retention or storage: it is not Barid's, or of an unknown version");
    }
  }
  const std::string partitions = std::to_string(nats.partitions);
  put_if_absent(control, kMetaPartitions, partitions);
  if (control.get(kMetaBucket, kMetaPartitions)->value != partitions)
    throw Error("the broker was set up with " + control.get(kMetaBucket, kMetaPartitions)->value +
                " partitions, the configuration says " + partitions + ": they can't differ");
  put_if_absent(control, kMetaIncarnation, hex_id(crypto::random_u64()));
  return created;
}

}  // namespace barid::broker
