// barid-bench: reads the command line, runs one scenario.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>

#include "tests/bench/runner.h"

namespace {

using barid::bench::Options;

struct Defaults {
  std::uint32_t clients, in_flight, messages_each;
};
const std::map<std::string, Defaults> kScenarios = {
    {"throughput", {200, 8, 0}},   {"interactive", {200, 1, 0}},       {"many", {5'000, 1, 0}},
    {"latency", {2, 1, 0}},        {"latency-load", {200, 8, 0}},      {"idle", {10'000, 1, 1}},
    {"logins", {200, 1, 0}},       {"park", {100'000, 1, 1}},          {"drain", {10'000, 128, 10}},
    {"group-fanout", {256, 4, 0}}, {"presence-storm", {10'000, 1, 0}},
};

std::vector<std::string> names_of_scenarios() {
  std::vector<std::string> names;
  for (const auto& [name, defaults] : kScenarios) names.push_back(name);
  return names;
}

void complete(Options& options, const std::vector<std::string>& pids) {
  const Defaults& defaults = kScenarios.at(options.scenario);
  if (options.clients == 0) options.clients = defaults.clients;
  if (options.in_flight == 0) options.in_flight = defaults.in_flight;
  if (options.messages_each == 0) options.messages_each = defaults.messages_each;
  const bool groups = options.scenario == "group-fanout";
  if (groups && options.part != "fanout" && options.part != "" && options.protocol != "barid")
    throw CLI::ValidationError("--part", "peers run the part fanout only");
  if (groups && options.size < 24) throw CLI::ValidationError("--bytes", "group-fanout needs 24 or more");
  if (groups) options.messages_each = 0;
  const bool pairs = options.scenario != "logins" && options.scenario != "presence-storm" && !groups &&
                     options.scenario != "park" && options.scenario != "drain";
  if (pairs) options.clients += options.clients % 2;
  if (!pairs) options.threads = 1;
  if (options.scenario == "latency-load" && options.rate <= 0)
    throw CLI::ValidationError("--rate", "latency-load needs messages a second: half of what throughput measured");
  if (options.protocol == "barid" && options.secrets_dir.empty())
    throw CLI::ValidationError("--secrets", "the instance's secrets_dir is needed to mint users");
  if (options.protocol != "barid" && ((!pairs && !groups) || options.size < 24))
    throw CLI::ValidationError("--protocol", "peers run scenarios of pairs and group-fanout, with 24 bytes or more");
  for (const std::string& pid : pids) {
    const auto equals = pid.find('=');
    if (equals == std::string::npos) throw CLI::ValidationError("--pids", "must be name=pid,…");
    options.pids.emplace_back(pid.substr(0, equals), std::stoi(pid.substr(equals + 1)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli("barid-bench: many thousands of real client connections from one process, and what they measure");
  Options options;
  std::vector<std::string> pids;
  options.label = "barid";
  cli.add_option("scenario", options.scenario, "what to run")->required()->check(CLI::IsMember(names_of_scenarios()));
  cli.add_option("--port", options.ports, "ports on 127.0.0.1; several: clients are spread over them")
      ->required()
      ->delimiter(',');
  cli.add_option("--protocol", options.protocol)->check(CLI::IsMember({"barid", "xmpp", "mqtt"}));
  cli.add_option("--transport", options.transport)->check(CLI::IsMember({"tcp", "websocket", "tls"}));
  cli.add_option("--secrets", options.secrets_dir, "the instance's secrets folder (signing.key, address.key)");
  cli.add_option("--pids", pids, "server processes whose CPU counts: name=pid,…; children count too")->delimiter(',');
  cli.add_option("--worker-observe", options.worker_observe_port, "the worker's metrics port (park, drain)");
  cli.add_option("--broker-monitor", options.broker_monitor_port, "nats-server's monitoring port (group-fanout)");
  cli.add_option("--clients", options.clients, "pairs: all; logins: at once; park, drain: recipients");
  cli.add_option("--in-flight", options.in_flight, "messages under way of each client; drain: logins at once");
  cli.add_option("--messages", options.messages_each, "messages each, then it ends; park, drain: for each recipient");
  cli.add_option("--part", options.part, "group-fanout: this part only")
      ->check(CLI::IsMember({"fanout", "latency1024", "offline1024", "busy-groups"}));
  cli.add_option("--members", options.members, "group-fanout: of each group")->check(CLI::Range(2, 1'024));
  cli.add_option("--groups", options.groups, "group-fanout: in parts fanout and busy-groups")
      ->check(CLI::Range(1, 10'000));
  cli.add_option("--writers", options.writers, "group-fanout: members who write, in part fanout")
      ->check(CLI::Range(1, 1'023));
  cli.add_flag("--print-accounts", options.print_accounts,
               "group-fanout, presence-storm: SQL for the users (give --seed), and no run");
  cli.add_option("--bytes", options.size, "content of a message")->check(CLI::Range(1, 61'440));
  cli.add_option("--rate", options.rate, "open loop: messages a second of all clients together");
  cli.add_option("--seconds", options.seconds, "measured");
  cli.add_option("--warmup", options.warmup, "seconds before");
  cli.add_option("--threads", options.threads, "of the generator")->check(CLI::Range(1, 64));
  cli.add_flag("--until-receipt", options.until_receipt, "a message is in flight until its sender has the receipt");
  cli.add_option("--seed", options.seed, "the same seed is the same users (then give --first-seq too); 0: random");
  cli.add_option("--first-seq", options.first_seq, "first number of every sender")->check(CLI::PositiveNumber);
  cli.add_option("--wait-for", options.wait_for, "idle: say that all are online, then wait for this file")
      ->type_name("FILE");
  cli.add_option("--label", options.label, "name of the system under test, for the report");
  cli.add_flag("--json", options.json, "the last line is one JSON object");
  try {
    cli.parse(argc, argv);
    complete(options, pids);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error);
  }
  try {
    return barid::bench::Runner(options).run();
  } catch (const std::exception& error) {
    std::cerr << "barid-bench: " << error.what() << '\n';
    return 2;
  }
}
