// Scenario group-fanout: its parts, each with groups and users of its own.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/clock.h"
#include "tests/bench/pair_plan.h"
#include "tests/bench/runner.h"

namespace barid::bench {

using nlohmann::ordered_json;

namespace {

const std::vector<std::string> kParts = {"fanout", "latency1024", "offline1024", "busy-groups"};
constexpr std::uint32_t kLatencyMessages = 200, kAwayMessages = 20, kBusyPairClients = 100;
constexpr std::uint32_t kBusyGroupsOfAUser = 10;
constexpr double kBusyRate = 1'000;       // messages a second of all groups together
constexpr double kBusyPairRate = 10'000;  // … and of all pairs: in a closed loop they would take all there is
constexpr std::int64_t kLatencyPauseNs = 50'000'000;  // so that each message finds the system idle

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

}  // namespace

GroupPart Runner::part_of(const std::string& name, std::uint32_t first) const {
  GroupPart part{name, {}, first, 0};
  GroupPlan::Shape& s = part.shape;
  const bool fanout = name == "fanout", busy = name == "busy-groups";
  const auto or_else = [](std::uint32_t given, std::uint32_t otherwise) { return given != 0 ? given : otherwise; };
  s.members = or_else(options_.members, fanout ? 256 : busy ? 8 : 1'024);
  s.groups = or_else(fanout || busy ? options_.groups : 1, busy ? 1'000 : 1);
  s.writers = fanout ? std::min(or_else(options_.writers, 8), s.members - 1) : 1;
  s.in_flight = options_.in_flight;
  s.users = std::max(s.members, s.groups * s.members / (busy ? kBusyGroupsOfAUser : 1));
  if (fanout) s.users = s.groups * s.members;
  if (name == "latency1024") s.in_flight = 1, s.pause_ns = kLatencyPauseNs;
  if (name == "offline1024") s.in_flight = kAwayMessages, s.others_away = true;
  if (busy) s.rate = options_.rate > 0 ? options_.rate : kBusyRate, part.pair_clients = kBusyPairClients;
  return part;
}

// The directory makes groups of users that it knows, and a minted user is not in its tables.
std::uint32_t Runner::group_users() const {
  std::uint32_t users = 0;
  for (const std::string& name : kParts) users += part_of(name, 0).shape.users + part_of(name, 0).pair_clients;
  return users;
}

int Runner::print_accounts(std::uint32_t users) const {
  const auto identities = mint_->identities(0, users);
  std::cout << "COPY users (user_id, phone_e164, created_at_ms) FROM stdin;\n";
  for (std::size_t i = 0; i < identities.size(); ++i)
    std::cout << identities[i].address.user.value << "\t+999" << 100'000'000 + i << "\t1\n";
  std::cout << "\\.\nCOPY devices (device_id, user_id, public_key, name, created_at_ms) FROM stdin;\n";
  for (const Identity& i : identities)
    std::cout << i.address.device.value << '\t' << i.address.user.value << "\t\\\\x"
              << crypto::to_hex(crypto::view(i.public_key)) << "\tbench\t1\n";
  std::cout << "\\.\n";
  return 0;
}

int Runner::run_groups() {
  if (options_.print_accounts) return print_accounts(group_users());
  ordered_json json;
  std::uint32_t first = 0;
  for (const std::string& name : kParts) {
    const GroupPart part = part_of(name, first);
    first += part.shape.users + part.pair_clients;
    const bool wanted = options_.part.empty() ? name == "fanout" || mint_ != nullptr : options_.part == name;
    if (!wanted) continue;
    std::printf("%s: %u groups of %u members\n", name.c_str(), part.shape.groups, part.shape.members);
    control_.stage = Stage::connect;
    control_.group_messages_max = ~std::uint64_t{0};
    if (name == "fanout") run_fanout(part, json);
    if (name == "latency1024") run_one_at_a_time(part, json[name]);
    if (name == "offline1024") run_away(part, json[name]);
    if (name == "busy-groups") run_busy(part, json[name]);
  }
  if (!json.contains("scenario")) json["scenario"] = options_.scenario, json["system"] = options_.label;
  return finish(json, group_verdict_);
}

GroupPlan& Runner::begin_groups(const GroupPart& part, const Options& options,
                                std::vector<std::unique_ptr<Scenario>> plans) {
  std::vector<Identity> identities;
  if (mint_) identities = mint_->identities(part.first, part.shape.users);
  plans.push_back(std::make_unique<GroupPlan>(options, control_, part.shape, part.first, std::move(identities)));
  auto& plan = static_cast<GroupPlan&>(*plans.back());
  start(std::move(plans));
  wait_online(part.pair_clients + plan.present());
  std::uint64_t before = 0;
  for (auto moved = steady_now(); !plan.ready(); std::this_thread::sleep_for(milliseconds(5))) {
    check();
    if (plan.progress() != before) moved = steady_now();
    before = plan.progress();
    if (steady_now() - moved > kPatience)
      throw std::runtime_error("the groups were not made, or not told to all members");
  }
  return plan;
}

void Runner::end_groups() {
  stop();
  check();
  group_verdict_ += judge();
}

void Runner::run_fanout(const GroupPart& part, ordered_json& json) {
  begin_groups(part, options_, {});
  print_heading("copies");
  go(Stage::send);
  watch("warm-up", options_.warmup, Counted::delivered);
  const Sample from = meter_->sample();
  watch("measured", options_.seconds, Counted::delivered);
  const Sample to = meter_->sample();
  go(Stage::settle);
  wait_done();
  end_groups();
  const Window w = between(from, to, Counted::delivered);
  add_common(json, w, Counted::delivered);
  json["clients"] = part.shape.users;
  json["members"] = part.shape.members;
  json["groups"] = part.shape.groups;
  json["writers"] = part.shape.writers;
  json["copies_per_s"] = w.per_second();
  json["messages_per_s"] = static_cast<double>(to.sent - from.sent) / w.seconds;
  json["server_cpu_us_per_copy"] = w.server_us_all;
  Histogram::Counts copies{};
  for (std::size_t i = 0; i < copies.size(); ++i) copies[i] = to.first_latency[i] - from.first_latency[i];
  json["copy_p50_ms"] = percentile_ms(copies, 0.5);
  json["copy_p99_ms"] = percentile_ms(copies, 0.99);
}

void Runner::run_one_at_a_time(const GroupPart& part, ordered_json& json) {
  Options options = options_;
  options.messages_each = kLatencyMessages;
  begin_groups(part, options, {});
  const Sample from = meter_->sample();
  go(Stage::send);
  wait_done();
  const Sample to = meter_->sample();
  end_groups();
  const Window w = between(from, to, Counted::delivered);
  json["members"] = part.shape.members;
  json["messages"] = to.sent - from.sent;
  for (const auto& [key, share] : {std::pair{"p50_ms", 0.5}, {"p99_ms", 0.99}, {"max_ms", 1.0}})
    json[key] = percentile_ms(w.latency, share);
  json["server_cpu_us_per_copy"] = w.server_us_all;
  std::printf("  until the last member has it: p50 %.1f ms, p99 %.1f ms\n", json["p50_ms"].get<double>(),
              json["p99_ms"].get<double>());
}

// From the moment at which the frame is written until the broker's stream of inboxes holds a message more for every
// member: the worker's own count of parked letters is renewed too seldom to time anything.
void Runner::run_away(const GroupPart& part, ordered_json& json) {
  const auto parked = [&] { return stream_messages("INBOX"); };
  auto letters = static_cast<std::uint64_t>(worker_metric("barid_parked_total"));
  const std::uint64_t away = part.shape.members - part.shape.writers;
  Options options = options_;
  control_.group_messages_max = 0;
  const GroupPlan& plan = begin_groups(part, options, {});
  letters += plan.events_of_the_away();
  wait_parked(letters);
  std::uint64_t wanted = parked();
  Histogram took;
  go(Stage::send);
  for (std::uint32_t i = 1; i <= kAwayMessages; ++i) {
    wanted += away;
    letters += away;
    control_.group_messages_max = i;
    for (const auto start = steady_now(); plan.tally.sent.get() < i || parked() < wanted;
         std::this_thread::sleep_for(milliseconds(1))) {
      check();
      if (steady_now() - start > kPatience) throw std::runtime_error("a group message was not parked for everybody");
    }
    took.record(now_ns() - plan.last_sent_ns());
    wait_parked(letters);
  }
  go(Stage::come_back);
  wait_done();
  end_groups();
  Histogram::Counts counts{};
  took.add_to(counts);
  json["members"] = part.shape.members;
  json["messages"] = kAwayMessages;
  json["parked_letters_each"] = away;
  for (const auto& [key, share] : {std::pair{"p50_ms", 0.5}, {"p99_ms", 0.99}, {"max_ms", 1.0}})
    json[key] = percentile_ms(counts, share);
  std::printf("  until it is parked for all: p50 %.1f ms, max %.1f ms\n", json["p50_ms"].get<double>(),
              json["max_ms"].get<double>());
}

// Pairs on a schedule, with and without the groups' load beside them, also on a schedule.
void Runner::run_busy(const GroupPart& part, ordered_json& json) {
  Options pairs = options_;
  pairs.in_flight = 1;
  pairs.messages_each = 0;
  pairs.clients = part.pair_clients;
  std::vector<std::unique_ptr<Scenario>> plans;
  plans.push_back(std::make_unique<PairPlan>(pairs, control_, part.first + part.shape.users, part.pair_clients,
                                             kBusyPairRate,
                                             mint_->identities(part.first + part.shape.users, part.pair_clients)));
  control_.group_messages_max = 0;
  const Tally& one_to_one = plans.front()->tally;
  const GroupPlan& groups = begin_groups(part, options_, std::move(plans));
  const Meter pair_meter(processes_, {&one_to_one});
  const Meter group_meter(processes_, {&groups.tally});
  print_heading("all");
  const auto measure = [&](const char* stage) {
    watch("warm-up", options_.warmup, Counted::delivered);
    const Sample from = pair_meter.sample(), groups_from = group_meter.sample();
    watch(stage, options_.seconds, Counted::delivered);
    return std::pair(between(from, pair_meter.sample(), Counted::delivered),
                     between(groups_from, group_meter.sample(), Counted::delivered));
  };
  go(Stage::send);
  const Window quiet = measure("quiet").first;
  control_.group_messages_max = ~std::uint64_t{0};
  const auto [busy, copies] = measure("busy");
  go(Stage::settle);
  wait_done();
  end_groups();
  json["groups"] = part.shape.groups;
  json["members"] = part.shape.members;
  json["group_messages_per_s"] = part.shape.rate;
  json["copies_per_s"] = copies.per_second();
  json["copies_p99_ms"] = percentile_ms(copies.latency, 0.99);
  for (const auto& [name, w] : {std::pair{"quiet", &quiet}, {"busy", &busy}}) {
    json[name]["one_to_one_per_s"] = w->per_second();
    json[name]["p50_ms"] = percentile_ms(w->latency, 0.5);
    json[name]["p99_ms"] = percentile_ms(w->latency, 0.99);
  }
  json["throughput_ratio"] = ratio(busy.per_second(), quiet.per_second());
  json["p50_ratio"] = ratio(percentile_ms(busy.latency, 0.5), percentile_ms(quiet.latency, 0.5));
  json["p99_ratio"] = ratio(percentile_ms(busy.latency, 0.99), percentile_ms(quiet.latency, 0.99));
  std::printf("  one to one, busy / quiet: throughput %.2f, p50 %.2f, p99 %.2f\n",
              json["throughput_ratio"].get<double>(), json["p50_ratio"].get<double>(), json["p99_ratio"].get<double>());
}

}  // namespace barid::bench
