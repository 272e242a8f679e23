#include "tests/bench/runner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/clock.h"
#include "tests/bench/login_plan.h"
#include "tests/bench/pair_plan.h"
#include "tests/bench/store_plan.h"

namespace barid::bench {
namespace {

using nlohmann::ordered_json;

Transport transport_of(const std::string& name) {
  if (name == "tls") return Transport::tls;
  return name == "websocket" ? Transport::websocket : Transport::tcp;
}

std::unique_ptr<Dialect> dialect_of(const std::string& protocol) {
  if (protocol == "xmpp") return make_xmpp();
  if (protocol == "mqtt") return make_mqtt();
  return make_barid();
}

void drive(Scenario& plan, const Options& options, const TlsContext* tls, Control& control) {
  try {
    const auto dialect = dialect_of(options.protocol);
    Crowd crowd({options.ports, transport_of(options.transport), tls}, *dialect, plan);
    plan.attach(crowd);
    while (control.stage.load(std::memory_order_relaxed) != Stage::finish) {
      const std::int64_t now = now_ns();
      crowd.turn(now, plan.on_turn(now));
    }
    plan.verdict = plan.judge();
  } catch (const std::exception& error) {
    control.fail(error.what());
  }
}

// GET over HTTP/1.0 from 127.0.0.1; empty on any failure.
std::string http_get(std::uint16_t port, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return answer;
}

}  // namespace

Runner::Runner(const Options& options) : options_(options) {
  for (const auto& [name, pid] : options_.pids) processes_.add(name, pid);
  if (options_.transport == "tls") tls_ = std::make_unique<TlsContext>();
  if (options_.protocol == "barid") {
    crypto::init_crypto();
    const std::uint64_t seed = options_.seed != 0 ? options_.seed : crypto::random_u64();
    mint_ = std::make_unique<Mint>(options_.secrets_dir, seed);
  }
}

Runner::~Runner() { stop(); }

int Runner::run() {
  if (options_.scenario == "logins") return run_logins();
  if (options_.scenario == "park") return run_store(false);
  if (options_.scenario == "drain") return run_store(true);
  if (options_.scenario == "idle") return run_idle();
  return run_pairs();
}

// ---- threads and stages

std::vector<std::unique_ptr<Scenario>> Runner::make_pairs() {
  std::vector<std::unique_ptr<Scenario>> plans;
  const std::uint32_t pairs = options_.clients / 2;
  std::uint32_t first = 0;
  for (std::uint32_t t = 0; t < options_.threads; ++t) {
    const std::uint32_t count = 2 * (pairs / options_.threads + (t < pairs % options_.threads ? 1 : 0));
    if (count == 0) continue;
    std::vector<Identity> identities;
    if (mint_) identities = mint_->identities(first, count);
    const double rate = options_.rate * count / options_.clients;
    plans.push_back(std::make_unique<PairPlan>(options_, control_, first, count, rate, std::move(identities)));
    first += count;
  }
  return plans;
}

void Runner::start(std::vector<std::unique_ptr<Scenario>> plans) {
  plans_ = std::move(plans);
  std::vector<const Tally*> tallies;
  for (const auto& plan : plans_) tallies.push_back(&plan->tally);
  meter_ = std::make_unique<Meter>(processes_, tallies);
  for (const auto& plan : plans_)
    threads_.emplace_back([this, p = plan.get()] { drive(*p, options_, tls_.get(), control_); });
}

void Runner::go(Stage stage) { control_.stage = stage; }

void Runner::stop() {
  control_.stage = Stage::finish;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Runner::check() const {
  if (!control_.failed) return;
  auto& control = const_cast<Control&>(control_);
  std::lock_guard lock(control.mutex);
  throw std::runtime_error(control.why);
}

void Runner::wait_online(std::uint64_t wanted) {
  std::uint64_t before = 0;
  for (auto moved = steady_now(); meter_->sample().online < wanted; std::this_thread::sleep_for(milliseconds(20))) {
    check();
    const std::uint64_t online = meter_->sample().online;
    if (online != before) moved = steady_now();
    before = online;
    if (steady_now() - moved > kPatience)
      throw std::runtime_error("only " + std::to_string(online) + " of " + std::to_string(wanted) + " logged in");
  }
}

bool Runner::all_done() const {
  return std::all_of(plans_.begin(), plans_.end(),
                     [&](const auto& plan) { return plan->tally.done == control_.stage; });
}

bool Runner::wait_done() {
  std::uint64_t before = 0;
  for (auto moved = steady_now(); !all_done(); std::this_thread::sleep_for(milliseconds(5))) {
    check();
    const Sample s = meter_->sample();
    const std::uint64_t progress = s.accepted + s.delivered + s.receipts + s.online;
    if (progress != before) moved = steady_now();
    before = progress;
    if (steady_now() - moved > kPatience) return false;
  }
  return true;
}

// Lets it run, a line a second; returns the last sample.
Sample Runner::watch(const std::string& stage, std::uint32_t seconds, Counted counted) {
  Sample last = meter_->sample();
  for (std::uint32_t i = 0; i < seconds; ++i) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    check();
    Sample next = meter_->sample();
    print_line(stage, between(last, next, counted));
    last = std::move(next);
  }
  return last;
}

double Runner::worker_metric(const std::string& name) const {
  const std::string page = http_get(options_.worker_observe_port, "/metrics");
  double sum = 0;
  bool found = false;
  for (std::size_t at = 0; (at = page.find("\n" + name, at)) != std::string::npos; ++at) {
    const char after = page[at + 1 + name.size()];
    if (after != ' ' && after != '{') continue;
    const auto space = page.find(' ', at + 1);
    sum += std::strtod(page.c_str() + space, nullptr);
    found = true;
  }
  if (!found) throw std::runtime_error("the worker's metrics have no " + name + " (is --worker-observe right?)");
  return sum;
}

// Accepted is not parked yet: the owner still has it in hand.
void Runner::wait_parked(std::uint64_t wanted) const {
  const auto start = steady_now();
  while (worker_metric("barid_parked_total") < static_cast<double>(wanted) ||
         worker_metric("barid_batches_in_hand") > 0) {
    check();
    if (steady_now() - start > 2 * kPatience) throw std::runtime_error("the messages were not parked in time");
    std::this_thread::sleep_for(milliseconds(20));
  }
}

// Several generators, each with an edge of its own, hold their connections at the same time.
void Runner::wait_for_file() const {
  std::printf("all %u are online\n", options_.clients);
  std::fflush(stdout);
  for (const auto start = steady_now(); ::access(options_.wait_for.c_str(), F_OK) != 0;) {
    check();
    if (steady_now() - start > 20 * kPatience) throw std::runtime_error(options_.wait_for + " never came");
    std::this_thread::sleep_for(milliseconds(20));
  }
}

// ---- scenarios

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

// ---- the report

Verdict Runner::judge() const {
  Verdict all;
  for (const auto& plan : plans_) all += plan->verdict;
  return all;
}

void Runner::add_common(ordered_json& json, const Window& w, Counted counted) const {
  json["scenario"] = options_.scenario;
  json["system"] = options_.label;
  json["protocol"] = options_.protocol;
  json["transport"] = options_.transport;
  json["clients"] = options_.clients;
  json["in_flight"] = options_.in_flight;
  json["bytes"] = options_.size;
  json["in_flight_until"] = options_.until_receipt ? "receipt" : "delivered";
  json["seconds"] = w.seconds;
  const char* per_second = counted == Counted::online ? "logins_per_s" : "delivered_per_s";
  json[counted == Counted::accepted ? "accepted_per_s" : per_second] = w.per_second();
  json["server_cpu_us_per_message"] = w.server_us_all;
  for (const auto& [name, us] : w.server_us) json["server_cpu_us_per_message_by_process"][name] = us;
  json["server_cpu_share"] = w.server_share;
  json["generator_cpu_us_per_message"] = w.own_us;
  json["generator_cpu_share"] = w.own_share;
  if (count_of(w.latency) == 0) return;
  for (const auto& [key, share] :
       {std::pair{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"p999_ms", 0.999}, {"max_ms", 1.0}})
    json[key] = percentile_ms(w.latency, share);
}

int Runner::finish(ordered_json& json, const Verdict& v) const {
  for (const auto& [key, value] : {std::pair{"sent", v.sent},
                                   {"delivered", v.delivered},
                                   {"unaccepted", v.unaccepted},
                                   {"lost", v.lost},
                                   {"doubled", v.doubled},
                                   {"reordered", v.reordered},
                                   {"corrupted", v.corrupted},
                                   {"receipts_missing", v.receipts_missing}})
    json[key] = value;
  json["ok"] = v.good();
  std::printf("\n%s, %s: %u clients, %u in flight each, %u bytes\n", options_.label.c_str(), options_.scenario.c_str(),
              options_.clients, options_.in_flight, options_.size);
  for (const char* key :
       {"delivered_per_s", "accepted_per_s", "logins_per_s", "p50_ms", "p99_ms", "p999_ms", "server_cpu_us_per_message",
        "generator_cpu_us_per_message", "drained_per_s", "first_message_p99_ms"})
    if (json.contains(key) && json[key].get<double>() != 0)
      std::printf("  %-32s %14.3f\n", key, json[key].get<double>());
  if (json.contains("server_cpu_us_per_message_by_process"))
    for (const auto& [name, us] : json["server_cpu_us_per_message_by_process"].items())
      std::printf("    %-30s %14.3f\n", name.c_str(), us.get<double>());
  std::printf(
      "  sent %llu, delivered %llu, lost %llu, doubled %llu, reordered %llu, corrupted %llu, unaccepted %llu, "
      "receipts missing %llu: %s\n",
      static_cast<unsigned long long>(v.sent), static_cast<unsigned long long>(v.delivered),
      static_cast<unsigned long long>(v.lost), static_cast<unsigned long long>(v.doubled),
      static_cast<unsigned long long>(v.reordered), static_cast<unsigned long long>(v.corrupted),
      static_cast<unsigned long long>(v.unaccepted), static_cast<unsigned long long>(v.receipts_missing),
      v.good() ? "all promises kept" : "A PROMISE WAS BROKEN");
  if (options_.json) std::cout << json.dump() << std::endl;
  return v.good() ? 0 : 1;
}

}  // namespace barid::bench
