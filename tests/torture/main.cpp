// barid-torture: many clients, a real instance, faults by a seed, and the verdict. Started by ops/torture; `member` is
// one of the clients and started by itself.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "base/config.h"
#include "base/crypto.h"
#include "tests/torture/member.h"
#include "tests/torture/run.h"

namespace {

using namespace barid;
using namespace barid::torture;

void print_table(const Outcome& outcome, const Options& options) {
  std::printf("\n%-22s %6s %14s\n", "fault", "times", "worst recovery");
  for (const auto& [fault, tally] : outcome.tallies)
    std::printf("%-22s %6llu %12.1f s\n", std::string(info(fault).name).c_str(),
                static_cast<unsigned long long>(tally.times), static_cast<double>(tally.worst.count()) / 1000);
  for (const auto& [fault, why] : outcome.not_run)
    std::printf("%-22s not run: %s\n", std::string(info(fault).name).c_str(), why.c_str());
  const Verdict& v = outcome.verdict;
  const auto n = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf("\n%llu written, %llu accepted, %llu shown\n", n(v.written), n(v.accepted), n(v.shown));
  std::printf("lost %llu, doubled %llu, reordered %llu, corrupted %llu, invented %llu, failed %llu\n", n(v.lost),
              n(v.doubled), n(v.reordered), n(v.corrupted), n(v.invented), n(v.failed));
  std::printf("receipts: missing %llu, early %llu, backwards %llu; unsettled %llu\n", n(v.receipts_missing), n(v.early),
              n(v.backwards), n(v.unsettled));
  if (outcome.quiet_after.count() >= 0)
    std::printf("quiet %.1f s after the last fault\n", static_cast<double>(outcome.quiet_after.count()) / 1000);
  if (outcome.well()) {
    std::printf("all is well\n");
    return;
  }
  for (const std::string& example : v.examples) std::printf("  %s\n", example.c_str());
  for (const std::string& complaint : outcome.complaints) std::printf("  %s\n", complaint.c_str());
  std::printf("NOT WELL; again: ops/torture --seed %u --clients %zu --minutes %g\n", options.seed, options.clients,
              options.minutes);
}

nlohmann::json to_json(const Outcome& outcome, const Options& options) {
  const Verdict& v = outcome.verdict;
  nlohmann::json by_fault = nlohmann::json::object(), not_run = nlohmann::json::object();
  for (const auto& [fault, tally] : outcome.tallies)
    by_fault[std::string(info(fault).name)] = {{"times", tally.times}, {"worst_recovery_ms", tally.worst.count()}};
  for (const auto& [fault, why] : outcome.not_run) not_run[std::string(info(fault).name)] = why;
  return {{"ok", outcome.well()},       {"seed", options.seed},
          {"clients", options.clients}, {"minutes", options.minutes},
          {"written", v.written},       {"accepted", v.accepted},
          {"shown", v.shown},           {"lost", v.lost},
          {"doubled", v.doubled},       {"reordered", v.reordered},
          {"corrupted", v.corrupted},   {"invented", v.invented},
          {"failed", v.failed},         {"receipts_missing", v.receipts_missing},
          {"receipts_early", v.early},  {"receipts_backwards", v.backwards},
          {"unsettled", v.unsettled},   {"quiet_after_ms", outcome.quiet_after.count()},
          {"faults", outcome.strikes},  {"by_fault", by_fault},
          {"not_run", not_run},         {"complaints", outcome.complaints},
          {"examples", v.examples}};
}

int run_and_report(Options options, const std::vector<std::string>& names, bool json) {
  for (const std::string& name : names) {
    const auto fault = fault_named(name);
    if (!fault) {
      std::cerr << "barid-torture: there is no fault named " << name << "\n";
      return 2;
    }
    options.faults.push_back(*fault);
  }
  std::printf("seed %u, %zu clients, %g minutes\n", options.seed, options.clients, options.minutes);
  std::fflush(stdout);
  Run run(options);
  const Outcome outcome = run();
  print_table(outcome, options);
  if (json) std::cout << to_json(outcome, options).dump() << std::endl;
  return outcome.well() ? 0 : 1;
}

void list_faults() {
  for (std::size_t i = 0; i < kFaults; ++i) {
    const FaultInfo& about = info(static_cast<Fault>(i));
    std::printf("%-22s %s%s%s\n", std::string(about.name).c_str(), std::string(about.what).c_str(),
                about.not_run.empty() ? "" : "; not run: ", std::string(about.not_run).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"barid-torture: does Barid keep its promise while everything breaks?"};
  Options options;
  std::vector<std::string> faults;
  std::int64_t seed = -1, pace_ms = 250;
  bool json = false, list = false;
  app.add_option("--minutes", options.minutes, "faults begin within this time (default: 1)")
      ->check(CLI::Range(0.0, 10'000.0));
  app.add_option("--seed", seed, "of the schedule (default: drawn)");
  app.add_option("--clients", options.clients, "how many (default: 14)")->check(CLI::Range(5, 200));
  app.add_option("--pace-ms", pace_ms, "between two messages of a client, on average (default: 250)")
      ->check(CLI::Range(1, 60'000));
  app.add_option("--faults", faults, "only these, by name")->delimiter(',');
  app.add_option("--keep", options.keep, "folder that logs and records are copied to");
  app.add_option("--out", options.out, "the same, when something is wrong")->default_str("torture");
  app.add_flag("--json", json, "the last line is one JSON object");
  app.add_flag("--list", list, "print the faults");
  MemberOptions member;
  auto* member_app = app.add_subcommand("member", "one of the clients; started by the run");
  member_app->group("");
  std::int64_t member_pace = 250;
  member_app->add_option("--name", member.name)->required();
  member_app->add_option("--folder", member.folder)->required();
  member_app->add_option("--record", member.record)->required();
  member_app->add_option("--server", member.server)->required();
  member_app->add_option("--person", member.people);
  member_app->add_option("--group", member.groups);
  member_app->add_option("--steady", member.steady);
  member_app->add_option("--seed", member.seed);
  member_app->add_option("--pace-ms", member_pace);
  member_app->add_flag("--quiet", member.quiet);
  CLI11_PARSE(app, argc, argv);
  try {
    crypto::init_crypto();
    if (member_app->parsed()) {
      member.pace = milliseconds(member_pace);
      run_member(member);
      return 0;
    }
    if (list) {
      list_faults();
      return 0;
    }
    options.seed = seed >= 0 ? static_cast<std::uint32_t>(seed) : std::random_device()() % 1'000'000;
    options.pace = milliseconds(pace_ms);
    options.program = std::filesystem::canonical("/proc/self/exe");
    if (options.out.empty()) options.out = "torture";
    std::signal(SIGINT, [](int) { Run::interrupt(); });
    std::signal(SIGTERM, [](int) { Run::interrupt(); });
    return run_and_report(options, faults, json);
  } catch (const std::exception& error) {
    std::cerr << "barid-torture: " << error.what() << std::endl;
    return 1;
  }
}
