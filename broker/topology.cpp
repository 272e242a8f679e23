#include "broker/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/crypto.h"
#include "base/log.h"
#include "broker/control.h"

namespace barid::broker {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

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

// Every stream that there is, as the broker describes it.
std::map<std::string, json> described_streams(Control& control) {
  std::map<std::string, json> streams;
  for (std::size_t total = 1; streams.size() < total;) {
    const json page = json::parse(control.js_api("STREAM.LIST", json{{"offset", streams.size()}}.dump()));
    if (page.contains("error"))
      throw Error("the broker lists no streams: " + page["error"].value("description", "unknown error"));
    if (!page.contains("streams") || page["streams"].empty()) break;
    total = page.at("total");
    for (const json& one : page["streams"]) streams[one["config"]["name"]] = one;
  }
  return streams;
}

// Their configurations.
std::map<std::string, json> present_streams(Control& control) {
  auto streams = described_streams(control);
  for (auto& [name, stream] : streams) stream = json(stream["config"]);
  return streams;
}

std::optional<std::string> meta(Control& control, const std::map<std::string, json>& present, const char* key) {
  if (!present.contains(std::string("KV_") + kMetaBucket)) return std::nullopt;
  const auto entry = control.get(kMetaBucket, key);
  return entry ? std::optional(entry->value) : std::nullopt;
}

// nullopt: not fixed yet. A topology of before the number was recorded has as many as it has streams.
std::optional<std::string> shards_there(Control& control, const std::map<std::string, json>& present, bool applied) {
  if (auto recorded = meta(control, present, kMetaInboxShards)) return recorded;
  const auto streams =
      std::count_if(present.begin(), present.end(), [](const auto& s) { return s.first.starts_with("INBOX_"); });
  return applied && streams != 0 ? std::optional(std::to_string(streams)) : std::nullopt;
}

// What the broker leaves out of a configuration is as if it were false, 0 or empty.
bool same(const json& want, const json& have, const std::string& key) {
  if (have.contains(key)) return have[key] == want[key];
  return want[key] == json(false) || want[key] == json(0);
}

// Limits of streams: smaller (and a limit where there was none: -1, for an age 0) loses what is beyond it.
bool smaller(std::int64_t want, std::int64_t have) { return want > 0 && (have <= 0 || want < have); }

void compare_stream(const json& want, const json& have, std::vector<TopologyChange>& plan) {
  using Kind = TopologyChange::Kind;
  const std::string name = want["name"];
  for (const auto& [key, value] : want.items()) {
    if (same(want, have, key)) continue;
    const std::string what =
        fmt::format("{}: {} there, {} declared", key, have.contains(key) ? have[key].dump() : "none", value.dump());
    const bool numbers = value.is_number() && have.contains(key) && have[key].is_number();
    if (key == "retention" || key == "storage")
      plan.push_back({Kind::refused, name, what + ": it is not Barid's, or of an unknown version"});
    else if (key == "subjects")
      plan.push_back({Kind::loses, name, what});
    else if (numbers && key == "num_replicas")
      plan.push_back({value.get<int>() < have[key].get<int>() ? Kind::loses : Kind::update, name, what});
    else if (numbers && key.starts_with("max_"))
      plan.push_back(
          {smaller(value.get<std::int64_t>(), have[key].get<std::int64_t>()) ? Kind::loses : Kind::update, name, what});
    else
      plan.push_back({Kind::update, name, what});
  }
}

void manage(Control& control, const std::string& subject, const std::string& body, const std::string& stream,
            const char* verb) {
  const json reply = json::parse(control.js_api(subject, body));
  if (reply.contains("error"))
    throw Error("stream " + stream + " can't be " + verb + ": " + reply["error"].value("description", "unknown error"));
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
std::string drain_subject(std::string_view process) { return "drain." + std::string(process); }
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

std::map<std::string, StreamThere> streams_there(Control& control) {
  std::map<std::string, StreamThere> there;
  for (const auto& [name, stream] : described_streams(control))
    there[name] = {stream.value("created", ""), StreamSeq(stream.at("state").value("last_seq", std::uint64_t{0}))};
  return there;
}

std::vector<std::string> declared_names(const NatsConfig& nats) {
  std::vector<std::string> names;
  for (const json& want : declared_streams(nats, MessagesConfig())) names.push_back(want["name"]);
  return names;
}

std::vector<std::string> missing_streams(const std::map<std::string, StreamThere>& present, const NatsConfig& nats,
                                         const MessagesConfig& messages) {
  std::vector<std::string> missing;
  for (const json& want : declared_streams(nats, messages))
    if (std::string name = want["name"]; !present.contains(name)) missing.push_back(std::move(name));
  return missing;
}

std::string declared_topology(const NatsConfig& nats, const MessagesConfig& messages) {
  const nlohmann::ordered_json all{{"format", kTopologyFormat},
                                   {"partitions", nats.partitions},
                                   {"inbox_shards", nats.inbox_shards},
                                   {"replicas", nats.replicas},
                                   {"streams", declared_streams(nats, messages)}};
  return all.dump(2);
}

std::vector<TopologyChange> plan_topology(Control& control, const NatsConfig& nats, const MessagesConfig& messages) {
  using Kind = TopologyChange::Kind;
  std::vector<TopologyChange> plan;
  const std::map<std::string, json> present = present_streams(control);
  const auto fixed = [&](const char* setting, const std::optional<std::string>& there, const std::string& wanted,
                         const char* why) {
    if (there && *there != wanted)
      plan.push_back({Kind::refused, setting, fmt::format("{} there, {} declared: {}", *there, wanted, why)});
  };
  const auto partitions = meta(control, present, kMetaPartitions);
  fixed("partitions", partitions, std::to_string(nats.partitions),
        "a user's messages would be looked for in another partition, and their order would be lost");
  fixed("inbox_shards", shards_there(control, present, partitions.has_value()), std::to_string(nats.inbox_shards),
        "waiting messages would be looked for in another stream");
  std::set<std::string> declared;
  for (const json& want : declared_streams(nats, messages)) {
    const std::string name = want["name"];
    declared.insert(name);
    const auto have = present.find(name);
    if (have == present.end())
      plan.push_back({Kind::create, name, ""});
    else
      compare_stream(want, have->second, plan);
  }
  for (const auto& [name, config] : present)
    if (!declared.contains(name) && !name.starts_with("INBOX_")) plan.push_back({Kind::unknown, name, ""});
  return plan;
}

std::vector<std::string> carry_out(Control& control, const NatsConfig& nats, const MessagesConfig& messages,
                                   const std::vector<TopologyChange>& plan, Losses losses) {
  using Kind = TopologyChange::Kind;
  for (const TopologyChange& change : plan)
    if (change.kind == Kind::refused) throw Error(change.name + " can't change: " + change.what);
  std::map<std::string, json> wanted;
  for (const json& want : declared_streams(nats, messages)) wanted[want["name"]] = want;
  // A change that loses nothing is not held up by another of the same stream that does: only its keys are set.
  std::map<std::string, json> updates;
  std::vector<std::string> done;
  for (const TopologyChange& change : plan) {
    if (change.kind == Kind::create) {
      manage(control, "STREAM.CREATE." + change.name, wanted.at(change.name).dump(), change.name, "created");
      done.push_back("created " + change.name);
    } else if (change.kind == Kind::update || (change.kind == Kind::loses && losses == Losses::accept)) {
      const std::string key = change.what.substr(0, change.what.find(':'));
      updates[change.name][key] = wanted.at(change.name).at(key);
    }
  }
  for (const auto& [name, keys] : updates) {
    json config = json::parse(control.js_api("STREAM.INFO." + name, "")).at("config");
    config.update(keys);
    manage(control, "STREAM.UPDATE." + name, config.dump(), name, "changed");
    done.push_back("changed " + name);
  }
  put_if_absent(control, kMetaInboxShards, std::to_string(nats.inbox_shards));
  put_if_absent(control, kMetaPartitions, std::to_string(nats.partitions));
  put_if_absent(control, kMetaIncarnation, hex_id(crypto::random_u64()));
  return done;
}

std::vector<std::string> apply_topology(Control& control, const NatsConfig& nats, const MessagesConfig& messages) {
  std::vector<std::string> created;
  for (const std::string& done :
       carry_out(control, nats, messages, plan_topology(control, nats, messages), Losses::leave))
    if (done.starts_with("created ")) created.push_back(done.substr(8));
  return created;
}

}  // namespace barid::broker
