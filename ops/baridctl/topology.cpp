#include "broker/topology.h"
#include "broker/roles.h"

#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "broker/control.h"
#include "ops/baridctl/commands.h"
#include "workers/directory/secrets.h"

namespace barid::ctl {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Kind = broker::TopologyChange::Kind;

constexpr std::chrono::seconds kPatience{10};  // for the broker to answer at all

// A key that every process must agree on: written once, then compared.
void agree_on(broker::Control& control, const char* key, const std::string& value) {
  if (!control.get(broker::kMetaBucket, key)) control.put_if(broker::kMetaBucket, key, value, 0);
  if (control.get(broker::kMetaBucket, key)->value != value)
    throw std::runtime_error(std::string("the broker was set up with another ") + key +
                             ": this instance's secrets are not the ones it was created with; restore them");
}

// All pages of one of JetStream's lists.
std::vector<json> list(broker::Control& control, const std::string& subject, const char* what) {
  std::vector<json> all;
  for (std::size_t total = 1; all.size() < total;) {
    const json page = json::parse(control.js_api(subject, json{{"offset", all.size()}}.dump()));
    if (page.contains("error"))
      throw broker::Error(subject + " is refused: " + page["error"].value("description", "unknown error"));
    if (!page.contains(what) || page[what].empty()) break;
    total = page.at("total");
    for (const json& one : page[what]) all.push_back(one);
  }
  return all;
}

// Who owns which partition of which stage, and how much waits for them.
ordered_json owned_partitions(broker::Control& control, const Config& config) {
  ordered_json partitions = ordered_json::array();
  for (const broker::Stage stage : {broker::Stage::delivery, broker::Stage::fanout}) {
    const auto consumers = list(control, "CONSUMER.LIST." + broker::source_stream(Partition(0), stage), "consumers");
    for (std::uint16_t p = 0; p < config.nats.partitions; ++p) {
      const std::string key = broker::owner_key(Partition(p), stage);
      const auto entry = control.get(broker::kOwnersBucket, key);
      const json owner = json::parse(entry ? entry->value : "{}", nullptr, false);
      ordered_json row{{"partition", key},
                       {"stage", stage == broker::Stage::delivery ? "delivery" : "fanout"},
                       {"owner", owner.is_object() && !owner.value("released", false) ? owner.value("worker", "") : ""},
                       {"epoch", owner.is_object() ? owner.value("epoch", std::uint64_t{0}) : 0},
                       {"consumer", ""},
                       {"waiting", 0},
                       {"in_hand", 0}};
      for (const json& consumer : consumers)
        if (consumer.value("name", "").starts_with(broker::consumer_prefix(Partition(p), stage)))
          row.update({{"consumer", consumer["name"]},
                      {"waiting", consumer.value("num_pending", std::uint64_t{0})},
                      {"in_hand", consumer.value("num_ack_pending", std::uint64_t{0})}});
      partitions.push_back(std::move(row));
    }
  }
  return partitions;
}

ordered_json observe(broker::Control& control, const Config& config) {
  ordered_json streams = ordered_json::array(), buckets = ordered_json::array(), workers = ordered_json::array();
  for (const json& stream : list(control, "STREAM.LIST", "streams")) {
    const json &state = stream.at("state"), &made = stream.at("config");
    const std::string name = made.at("name");
    ordered_json row{{"name", name},
                     {"messages", state.at("messages")},
                     {"bytes", state.at("bytes")},
                     {"consumers", state.at("consumer_count")},
                     {"replicas", made.value("num_replicas", 1)},
                     {"subjects", made.at("subjects")}};
    if (name.starts_with("KV_")) {
      row["name"] = name.substr(3);
      buckets.push_back(std::move(row));
    } else {
      streams.push_back(std::move(row));
    }
  }
  for (const std::string& key : control.keys(broker::kWorkersBucket)) workers.push_back(key);
  return {{"format", broker::kTopologyFormat},
          {"partitions", config.nats.partitions},
          {"inbox_shards", config.nats.inbox_shards},
          {"replicas", config.nats.replicas},
          {"streams", streams},
          {"buckets", buckets},
          {"owned", owned_partitions(control, config)},
          {"workers", workers}};
}

// The shards of the inboxes are one row: there are dozens, and alike.
ordered_json with_shards_joined(const ordered_json& streams) {
  ordered_json rows = ordered_json::array(), joined;
  for (const auto& stream : streams) {
    if (!stream["name"].get<std::string>().starts_with("INBOX_")) {
      rows.push_back(stream);
    } else if (joined.is_null()) {
      joined = stream;
      joined["shards"] = 1;
    } else {
      for (const char* sum : {"messages", "bytes", "consumers"})
        joined[sum] = joined[sum].get<std::uint64_t>() + stream[sum].get<std::uint64_t>();
      joined["shards"] = joined["shards"].get<int>() + 1;
      if (stream["replicas"] < joined["replicas"]) joined["replicas"] = stream["replicas"];
    }
  }
  if (!joined.is_null()) {
    joined["name"] = fmt::format("INBOX ({} shards)", joined["shards"].get<int>());
    rows.push_back(std::move(joined));
  }
  return rows;
}

void print_table(const ordered_json& seen) {
  const auto row = [](const ordered_json& s) {
    std::cout << fmt::format("{:<24} {:>12} {:>14} {:>9} {:>8}\n", s["name"].get<std::string>(),
                             s["messages"].get<std::uint64_t>(), s["bytes"].get<std::uint64_t>(),
                             s["consumers"].get<std::uint64_t>(), s["replicas"].get<int>());
  };
  const auto head = [](const char* what) {
    std::cout << fmt::format("{:<24} {:>12} {:>14} {:>9} {:>8}\n", what, "messages", "bytes", "consumers", "replicas");
  };
  head("stream");
  for (const auto& stream : with_shards_joined(seen["streams"])) row(stream);
  std::cout << "\n";
  head("bucket");
  for (const auto& bucket : seen["buckets"]) row(bucket);
  std::cout << fmt::format("\n{:<10} {:<9} {:<24} {:>7} {:>12} {:>8}\n", "partition", "stage", "owner", "epoch",
                           "waiting", "in hand");
  for (const auto& p : seen["owned"]) {
    const auto owner = p["owner"].get<std::string>();
    std::cout << fmt::format("{:<10} {:<9} {:<24} {:>7} {:>12} {:>8}\n", p["partition"].get<std::string>(),
                             p["stage"].get<std::string>(), owner.empty() ? "nobody" : owner,
                             p["epoch"].get<std::uint64_t>(), p["waiting"].get<std::uint64_t>(),
                             p["in_hand"].get<std::uint64_t>());
  }
}

// For Graphviz: streams, who consumes which partition of them, and where the letters go.
void print_dot(const ordered_json& seen) {
  std::cout << "digraph barid {\n  rankdir=LR; node [fontname=\"sans-serif\", fontsize=11];\n"
               "  edge [fontname=\"sans-serif\", fontsize=9];\n  edges [label=\"edges\", shape=component];\n"
               "  directory [label=\"directory\", shape=component];\n";
  for (const auto& s : with_shards_joined(seen["streams"]))
    std::cout << fmt::format("  \"{}\" [shape=cylinder, label=\"{}\\n{} messages, {} KiB\\nreplicas {}\"];\n",
                             s.contains("shards") ? "INBOX" : s["name"].get<std::string>(),
                             s["name"].get<std::string>(), s["messages"].get<std::uint64_t>(),
                             s["bytes"].get<std::uint64_t>() / 1024, s["replicas"].get<int>());
  for (const auto& p : seen["owned"]) {
    const bool delivers = p["stage"] == "delivery";
    const auto name = p["partition"].get<std::string>(), owner = p["owner"].get<std::string>();
    const std::string worker = (owner.empty() ? "nobody" : owner) + (delivers ? " delivery" : " fan-out");
    const auto lag = p["waiting"].get<std::uint64_t>() + p["in_hand"].get<std::uint64_t>();
    std::cout << fmt::format("  \"{}\" [shape=component{}];\n  \"{}\" -> \"{}\" [label=\"{}: {} waiting\"];\n", worker,
                             owner.empty() ? ", color=red" : "", delivers ? "INGRESS_0" : "FANOUT", worker, name, lag);
    std::cout << (delivers ? fmt::format("  \"{0}\" -> INBOX; \"{0}\" -> DEAD; \"{0}\" -> edges;\n", worker)
                           : fmt::format("  \"{}\" -> INGRESS_0;\n", worker));
  }
  std::cout << "  edges -> INGRESS_0; edges -> FANOUT; directory -> FANOUT;\n";
  for (const auto& b : seen["buckets"])
    std::cout << fmt::format("  \"{0}\" [shape=note, label=\"{0}\\n{1} entries\"];\n", b["name"].get<std::string>(),
                             b["messages"].get<std::uint64_t>());
  std::cout << "  { rank=sink;";
  for (const auto& b : seen["buckets"]) std::cout << " \"" << b["name"].get<std::string>() << "\";";
  std::cout << " }\n}\n";
}

const char* word(Kind kind) {
  switch (kind) {
    case Kind::create:
      return "create";
    case Kind::update:
      return "change";
    case Kind::loses:
      return "loses";
    case Kind::refused:
      return "refused";
    case Kind::unknown:
      return "unknown";
  }
  return "?";
}

void print_plan(const std::vector<broker::TopologyChange>& plan, const char* before) {
  for (const auto& change : plan)
    std::cout << before
              << fmt::format("{:<8} {}{}{}\n", word(change.kind), change.name, change.what.empty() ? "" : "  ",
                             change.what);
}

bool any(const std::vector<broker::TopologyChange>& plan, Kind kind) {
  return std::any_of(plan.begin(), plan.end(), [&](const auto& change) { return change.kind == kind; });
}

}  // namespace

int show_topology(const Config& config, Shape shape) {
  broker::Control control(broker::as_role(config.nats, broker::kOperatorRole), "baridctl", kPatience);
  const ordered_json seen = observe(control, config);
  if (shape == Shape::json)
    std::cout << seen.dump(2) << "\n";
  else if (shape == Shape::dot)
    print_dot(seen);
  else
    print_table(seen);
  return 0;
}

int diff_topology(const Config& config, Shape shape) {
  broker::Control control(broker::as_role(config.nats, broker::kOperatorRole), "baridctl", kPatience);
  const auto plan = broker::plan_topology(control, config.nats, config.messages);
  if (shape == Shape::json) {
    ordered_json changes = ordered_json::array();
    for (const auto& change : plan)
      changes.push_back({{"kind", word(change.kind)}, {"name", change.name}, {"what", change.what}});
    std::cout << ordered_json{{"format", broker::kTopologyFormat}, {"changes", changes}}.dump(2) << "\n";
  } else if (plan.empty()) {
    std::cout << "the topology is as declared\n";
  } else {
    print_plan(plan, "");
  }
  return plan.empty() ? 0 : 1;
}

int export_topology(const Config& config) {
  std::cout << broker::declared_topology(config.nats, config.messages) << "\n";
  return 0;
}

int apply_topology(const Config& config, const ApplyOptions& options) {
  broker::Control control(broker::as_role(config.nats, broker::kOperatorRole), "baridctl", kPatience);
  const auto plan = broker::plan_topology(control, config.nats, config.messages);
  print_plan(plan, "plan: ");
  if (any(plan, Kind::loses) && !options.force && !options.leave_losses && !options.dry_run)
    throw std::runtime_error(
        "what the plan calls \"loses\" can lose messages or copies of them: --force does it all the same, "
        "--leave-losses does the rest");
  if (options.dry_run) {
    if (plan.empty()) std::cout << "the topology is current\n";
    return any(plan, Kind::refused) ? 1 : 0;
  }
  const auto losses = options.force ? broker::Losses::accept : broker::Losses::leave;
  const auto done = broker::carry_out(control, config.nats, config.messages, plan, losses);
  if (!config.directory.secrets_dir.empty()) {
    const auto secrets = directory::DirectorySecrets::load(config.directory.secrets_dir);
    agree_on(control, broker::kMetaDirectoryKey, crypto::to_hex(crypto::view(secrets.signing.public_key)));
    agree_on(control, broker::kMetaAddressKey, crypto::to_hex(crypto::view(secrets.address)));
  }
  for (const std::string& what : done) std::cout << what << "\n";
  if (done.empty()) std::cout << "the topology is current\n";
  return 0;
}

}  // namespace barid::ctl
