// The scenarios: what each measures between which samples.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/clock.h"
#include "base/limits.h"
#include "tests/bench/login_plan.h"
#include "tests/bench/presence_plan.h"
#include "tests/bench/runner.h"
#include "tests/bench/store_plan.h"

namespace barid::bench {

using nlohmann::ordered_json;

int Runner::run_pairs() {
  start(make_pairs());
  wait_online(options_.clients);
  print_heading("delivered");
  go(Stage::send);
  watch("warm-up", options_.warmup, Counted::delivered);
  const Sample from = meter_->sample();
  watch("measured", options_.seconds, Counted::delivered);
  const Sample to = meter_->sample();
  go(Stage::settle);
  wait_done();
  const Sample end = meter_->sample();
  stop();
  check();
  const Window window = between(from, to, Counted::delivered);
  ordered_json json;
  add_common(json, window, Counted::delivered);
  json["refused"] = end.refused;
  if (options_.rate > 0) json["rate_per_s"] = options_.rate;
  return finish(json, judge());
}

// What an edge takes once, with its first connections (buffers for a burst), is not what each further one costs: that
// is counted from kFirstConnections on.
int Runner::run_idle() {
  const auto at_start = processes_.memory("edge");
  const std::uint32_t first = std::min(kFirstConnections, options_.clients / 2);
  control_.connections_max = first / options_.threads;
  start(make_pairs());
  wait_online(std::uint64_t{first / options_.threads} * options_.threads);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const std::uint64_t before_count = meter_->sample().online;
  const auto before = processes_.memory("edge");
  const std::int64_t slab_before = kernel_slab_bytes();
  control_.connections_max = options_.clients;
  wait_online(options_.clients);
  if (!options_.wait_for.empty()) wait_for_file();
  const Sample from = meter_->sample();
  std::this_thread::sleep_for(std::chrono::seconds(options_.warmup));  // what a login left behind is given back
  check();
  const auto after = processes_.memory("edge");
  const std::int64_t slab_after = kernel_slab_bytes();
  const Sample to = meter_->sample();
  go(Stage::send);  // one message each: every connection is alive
  wait_done();
  stop();
  check();
  ordered_json json;
  Window idle = between(from, to, Counted::delivered);
  add_common(json, idle, Counted::delivered);
  const auto per_connection = [&](std::int64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(options_.clients - before_count);
  };
  json["edge_bytes_per_connection"] = per_connection(after.private_bytes - before.private_bytes);
  json["edge_pss_bytes_per_connection"] = per_connection(after.pss_bytes - before.pss_bytes);
  json["edge_bytes_first_connections_included"] =
      static_cast<double>(after.private_bytes - at_start.private_bytes) / options_.clients;
  json["kernel_slab_bytes_per_connection_both_ends"] = per_connection(slab_after - slab_before);
  std::printf(
      "%u idle connections over %s: %.0f bytes each in the edge (private), %.0f (Pss); kernel slab %.0f, both ends\n",
      options_.clients, options_.transport.c_str(), json["edge_bytes_per_connection"].get<double>(),
      json["edge_pss_bytes_per_connection"].get<double>(), per_connection(slab_after - slab_before));
  return finish(json, judge());
}

int Runner::run_logins() {
  std::vector<std::unique_ptr<Scenario>> plans;
  plans.push_back(std::make_unique<LoginPlan>(options_, control_, mint_->identities(0, LoginPlan::kUsers)));
  start(std::move(plans));
  print_heading("logins");
  go(Stage::send);
  watch("warm-up", options_.warmup, Counted::online);
  const Sample from = meter_->sample();
  watch("measured", options_.seconds, Counted::online);
  const Sample to = meter_->sample();
  go(Stage::settle);
  wait_done();
  stop();
  check();
  const Window window = between(from, to, Counted::online);
  ordered_json json;
  add_common(json, window, Counted::online);
  return finish(json, judge());
}

// The bound: a watching client gets at most one Presence frame a second, whatever happens. Frames leave on time and are
// seen by a busy generator a little early or late, so the mean is judged, and what was seen within one second is shown.
int Runner::run_presence() {
  std::vector<std::unique_ptr<Scenario>> plans;
  const std::uint32_t watchers = PresencePlan::watchers_for(options_.clients);
  if (options_.print_accounts) return print_accounts(watchers + options_.clients);
  plans.push_back(
      std::make_unique<PresencePlan>(options_, control_, mint_->identities(0, watchers + options_.clients)));
  const auto& plan = static_cast<const PresencePlan&>(*plans.front());
  start(std::move(plans));
  wait_online(watchers);
  std::printf("%u watchers are online; %u users come and go\n", watchers, options_.clients);
  print_heading("logins");
  go(Stage::send);
  watch("warm-up", std::max(options_.warmup, 25U), Counted::online);
  const Sample from = meter_->sample();
  watch("measured", options_.seconds, Counted::online);
  const Sample to = meter_->sample();
  stop();
  check();
  const PresencePlan::Told told = plan.told(from.at_ns, to.at_ns);
  const Window window = between(from, to, Counted::online);
  ordered_json json;
  add_common(json, window, Counted::online);
  json["watchers"] = watchers;
  json["presence_frames"] = told.frames;
  json["presence_entries"] = told.entries;
  json["frames_per_watcher_per_s"] = told.frames_per_watcher_per_s;
  json["most_frames_in_a_second"] = told.most_in_a_second;
  json["shortest_gap_ms"] = told.shortest_gap_ms;
  std::printf(
      "each watcher of %zu users: %.2f frames a second with %.1f entries; at most %llu within one second, shortest gap "
      "%lld ms\n",
      limits::kWatchUsersMax, told.frames_per_watcher_per_s,
      told.frames == 0 ? 0.0 : static_cast<double>(told.entries) / static_cast<double>(told.frames),
      static_cast<unsigned long long>(told.most_in_a_second), static_cast<long long>(told.shortest_gap_ms));
  const bool bounded = told.frames > 0 && told.frames_per_watcher_per_s <= 1.0 + 1.0 / window.seconds;
  if (!bounded) std::printf("A WATCHER WAS TOLD MORE OFTEN THAN ONCE A SECOND, OR NEVER\n");
  return std::max(finish(json, judge()), bounded ? 0 : 1);
}

int Runner::run_store(bool drain) {
  StorePlan::Return how;
  how.stay = drain;
  how.logins_under_way = drain ? options_.in_flight : 256;
  std::vector<std::unique_ptr<Scenario>> plans;
  plans.push_back(std::make_unique<StorePlan>(options_, control_, *mint_, how));
  const auto& plan = static_cast<const StorePlan&>(*plans.front());
  start(std::move(plans));
  wait_online(StorePlan::kSenders);
  const double parked_before = worker_metric("barid_parked_total");
  std::printf("parking %llu messages for %u users\n", static_cast<unsigned long long>(plan.messages()),
              options_.clients);
  std::fflush(stdout);
  const Sample from = meter_->sample();
  go(Stage::send);
  const bool sent = wait_done();
  if (sent) wait_parked(static_cast<std::uint64_t>(parked_before) + plan.messages());
  const Sample parked = meter_->sample();
  const Window parking = between(from, parked, Counted::accepted);
  print_heading("parked");
  print_line("parked", parking);
  go(Stage::come_back);
  const bool back = sent && wait_done();
  const Sample to = meter_->sample();
  stop();
  check();
  const Window coming = between(parked, to, Counted::delivered);
  const double back_s = static_cast<double>(plan.come_back_ns()) / 1e9;
  print_line("drained", coming);
  ordered_json json;
  add_common(json, drain ? coming : parking, drain ? Counted::delivered : Counted::accepted);
  json["users"] = options_.clients;
  json["parked_per_s"] = parking.per_second();
  json["park_cpu_us_per_message"] = parking.server_us_all;
  json["drain_cpu_us_per_message"] = coming.server_us_all;
  json["drained_per_s"] = back_s > 0 ? static_cast<double>(plan.messages()) / back_s : 0;
  json["first_message_p50_ms"] = percentile_ms(to.first_latency, 0.5);
  json["first_message_p99_ms"] = percentile_ms(to.first_latency, 0.99);
  if (drain) json["delivered_per_s"] = json["drained_per_s"];
  if (!back) std::printf("not everything came back: see the last line\n");
  return finish(json, judge());
}

}  // namespace barid::bench
