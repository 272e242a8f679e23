#include "tests/bench/runner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "base/clock.h"
#include "tests/bench/pair_plan.h"

namespace barid::bench {
namespace {

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
  if (options_.scenario == "presence-storm") return run_presence();
  if (options_.scenario == "park") return run_store(false);
  if (options_.scenario == "drain") return run_store(true);
  if (options_.scenario == "idle") return run_idle();
  if (options_.scenario == "group-fanout") return run_groups();
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

std::uint64_t Runner::stream_messages(const std::string& stream) const {
  const std::string page = http_get(options_.broker_monitor_port, "/jsz?streams=true");
  const auto body = nlohmann::json::parse(page.substr(std::min(page.find("\r\n\r\n"), page.size())), nullptr, false);
  std::optional<std::uint64_t> messages;
  if (!body.is_discarded() && body.contains("account_details"))
    for (const auto& account : body["account_details"])
      for (const auto& s : account.value("stream_detail", nlohmann::json::array()))
        if (const std::string name = s.value("name", ""); name == stream || name.starts_with(stream + "_"))
          messages = messages.value_or(0) + s["state"].value("messages", std::uint64_t{0});
  if (messages) return *messages;
  throw std::runtime_error("the broker's monitoring does not show the stream " + stream +
                           " (is --broker-monitor right?)");
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

}  // namespace barid::bench
