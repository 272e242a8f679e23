#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "broker/control.h"
#include "broker/roles.h"
#include "broker/topology.h"
#include "ops/baridctl/commands.h"
#include "ops/baridctl/scrape.h"
#include "ops/supervisor/probe.h"

namespace barid::ctl {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPatience{2};
constexpr std::size_t kColumns = 79, kPartitionsShown = 16, kDevicesShown = 5;

struct Look {
  std::chrono::steady_clock::time_point at;
  Scrape edge, worker;  // of all of them together
  std::size_t edges = 0, workers = 0, edges_up = 0, workers_up = 0;
  json broker, streams, devices;  // null: no answer
};

// Empty: no answer.
std::string page(std::uint16_t port, const std::string& path) {
  return supervisor::http_get("127.0.0.1:" + std::to_string(port) + path).value_or("");
}

// A restart of one between two looks makes a rate too small, never negative.
Scrape sum_of(const std::vector<std::uint16_t>& ports, std::size_t& up) {
  Scrape sum;
  for (const std::uint16_t port : ports) {
    const Scrape one = Scrape::parse(page(port, "/metrics"));
    up += one.empty() ? 0U : 1U;
    sum.add(one);
  }
  return sum;
}

std::string how_many(const char* kind, std::size_t up, std::size_t all) {
  if (up == 0) return std::string(kind) + " NO ANSWER";
  return all == 1 ? std::string(kind) + " up" : fmt::format("{}s {} of {} up", kind, up, all);
}

Look look(const TopOptions& from) {
  const auto parsed = [](const std::string& text) { return json::parse(text, nullptr, false); };
  Look now;
  now.at = std::chrono::steady_clock::now();
  now.edge = sum_of(from.edge_ports, now.edges_up);
  now.worker = sum_of(from.worker_ports, now.workers_up);
  now.edges = from.edge_ports.size();
  now.workers = from.worker_ports.size();
  now.devices = json::array();
  for (const std::uint16_t port : from.worker_ports)
    if (const json some = parsed(page(port, "/slowest")); some.is_array())
      now.devices.insert(now.devices.end(), some.begin(), some.end());
  std::stable_sort(now.devices.begin(), now.devices.end(),
                   [](const json& a, const json& b) { return a.value("waited_ms", 0.0) > b.value("waited_ms", 0.0); });
  if (from.nats_monitor_port != 0) {
    now.broker = parsed(page(from.nats_monitor_port, "/varz"));
    now.streams = parsed(page(from.nats_monitor_port, "/jsz"));
  }
  return now;
}

std::string in_time(double seconds) {
  if (seconds < 0) return "-";
  if (seconds < 0.0095) return fmt::format("{:.1f} ms", seconds * 1e3);
  return seconds < 0.95 ? fmt::format("{:.0f} ms", seconds * 1e3) : fmt::format("{:.1f} s", seconds);
}

std::string in_bytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(units); ++unit) bytes /= 1024;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 || bytes >= 100 ? 0 : 1, units[unit]);
}

class Picture {
 public:
  Picture(const Look& before, const Look& now) : before_(before), now_(now) {
    seconds_ = std::max(0.001, std::chrono::duration<double>(now.at - before.at).count());
  }

  std::vector<std::string> draw(const std::map<std::string, std::string>& owners) {
    head();
    messages();
    stages();
    partitions(owners);
    devices();
    broker();
    for (std::string& line : lines_)
      if (line.size() > kColumns) line.resize(kColumns);
    return std::move(lines_);
  }

 private:
  double edge(std::string_view name, const std::vector<std::string>& labels = {}) const {
    return std::max(0.0, now_.edge.sum(name, labels) - before_.edge.sum(name, labels)) / seconds_;
  }
  double worker(std::string_view name) const {
    return std::max(0.0, now_.worker.sum(name) - before_.worker.sum(name)) / seconds_;
  }
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    lines_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void head() {
    const auto clock = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    line("Barid {:%H:%M:%S} UTC   {}   {}   broker {}", clock, how_many("edge", now_.edges_up, now_.edges),
         how_many("worker", now_.workers_up, now_.workers),
         now_.broker.is_object() ? "up"
         : now_.broker.is_null() ? "not looked at"
                                 : "NO ANSWER");
    line("connections {:.0f}   sessions {:.0f}   logins {:.1f}/s   today {:.0f} users, {:.0f} devices",
         now_.edge.sum("barid_edge_connections"), now_.worker.sum("barid_sessions"), edge("barid_edge_logins_total"),
         now_.worker.sum("barid_active_today", {"of=\"users\""}),
         now_.worker.sum("barid_active_today", {"of=\"devices\""}));
  }

  void messages() {
    const double accepted = edge("barid_edge_accepted_total"), refused = edge("barid_edge_refused_total");
    const double failed = worker("barid_expired_total") + worker("barid_dead_letters_total");
    line("");
    line("{:<12}{:>12}{:>12}{:>12}{:>12}{:>12}", "per second", "accepted", "delivered", "acked", "parked", "drained");
    line("{:<12}{:>12.1f}{:>12.1f}{:>12.1f}{:>12.1f}{:>12.1f}", "messages", accepted, worker("barid_delivered_total"),
         worker("barid_acknowledged_total"), worker("barid_parked_total"), worker("barid_drained_total"));
    line("{:<12}{:>12}{:>12}{:>12}{:>12}{:>12}", "", "refused", "failed", "kicked", "groups", "fan-out");
    line("{:<12}{:>12.1f}{:>12.1f}{:>12.1f}{:>12.1f}{:>12.1f}", "", refused, failed,
         worker("barid_sessions_kicked_total"), worker("barid_fanout_messages_total"),
         worker("barid_fanout_letters_total"));
    const double all = accepted + refused;
    line("error rate {:.2f} %", all > 0 ? 100 * std::min(1.0, (refused + failed) / all) : 0.0);
  }

  void stages() {
    line("");
    line("{:<28}{:>12}{:>12}{:>12}", "stage", "median", "p95", "p99");
    const auto stage = [&](const Scrape& before, const Scrape& now, const char* text, const std::string& name) {
      const auto at = [&](double q) {
        return in_time(now.quantile(before, "barid_stage_seconds", "stage=\"" + name + "\"", q));
      };
      line("{:<28}{:>12}{:>12}{:>12}", text, at(0.5), at(0.95), at(0.99));
    };
    stage(before_.edge, now_.edge, "read, then durable", "read_to_durable");
    stage(before_.worker, now_.worker, "durable, then handed on", "durable_to_handed");
    stage(before_.worker, now_.worker, "handed on, then acknowledged", "handed_to_acknowledged");
  }

  void partitions(const std::map<std::string, std::string>& owners) {
    line("");
    line("{:<12}{:<28}{:>14}{:>16}", "partition", "owner", "lag, batches", "letters in hand");
    std::size_t shown = 0;
    for (const auto& [partition, owner] : owners) {
      if (++shown > kPartitionsShown) continue;
      const std::vector<std::string> label{"partition=\"" + partition.substr(1) + "\""};
      if (partition.starts_with('p'))
        line("{:<12}{:<28}{:>14.0f}{:>16.0f}", partition, owner.empty() ? "NOBODY" : owner,
             now_.worker.sum("barid_lag_batches", label), now_.worker.sum("barid_lag_letters", label));
      else
        line("{:<12}{:<28}", partition, owner.empty() ? "NOBODY" : owner);
    }
    if (shown > kPartitionsShown) line("... and {} more", shown - kPartitionsShown);
    line("{:<40}{:>14.0f}", "groups, all partitions", now_.worker.sum("barid_fanout_lag_batches"));
  }

  void devices() {
    line("");
    line("{:<24}{:>12}{:>14}{:>14}", "slowest devices", "partition", "unanswered", "for");
    if (!now_.devices.is_array() || now_.devices.empty()) return line("none waits");
    for (std::size_t i = 0; i < std::min(kDevicesShown, now_.devices.size()); ++i) {
      const json& d = now_.devices[i];
      line("{:<24}{:>12}{:>14}{:>14}", d.value("device", "?"), d.value("partition", 0), d.value("in_flight", 0),
           in_time(d.value("waited_ms", 0.0) / 1e3));
    }
  }

  void broker() {
    if (!now_.broker.is_object() || !before_.broker.is_object()) return;
    const auto rate = [&](const char* key) {
      return std::max(0.0, now_.broker.value(key, 0.0) - before_.broker.value(key, 0.0)) / seconds_;
    };
    line("");
    line("broker      in {:.0f}/s   out {:.0f}/s   connections {}   slow consumers {}", rate("in_msgs"),
         rate("out_msgs"), now_.broker.value("connections", 0), now_.broker.value("slow_consumers", 0));
    if (now_.streams.is_object())
      line("            stored {} messages, {}   memory {}   cpu {:.0f} %", now_.streams.value("messages", 0),
           in_bytes(now_.streams.value("bytes", 0.0)), in_bytes(now_.broker.value("mem", 0.0)),
           now_.broker.value("cpu", 0.0));
  }

  const Look &before_, &now_;
  double seconds_ = 1;
  std::vector<std::string> lines_;
};

// The broker may be away: then nobody is known to own anything.
class Owners {
 public:
  explicit Owners(const Config& config) : config_(config) {}
  std::map<std::string, std::string> read() try {
    if (!control_)
      control_ = std::make_unique<broker::Control>(broker::as_role(config_.nats, broker::kOperatorRole), "baridctl",
                                                   kPatience);
    std::map<std::string, std::string> owners;
    for (const broker::Stage stage : {broker::Stage::delivery, broker::Stage::fanout})
      for (std::uint16_t p = 0; p < config_.nats.partitions; ++p) {
        const std::string key = broker::owner_key(Partition(p), stage);
        const auto entry = control_->get(broker::kOwnersBucket, key);
        const json owner = json::parse(entry ? entry->value : "{}", nullptr, false);
        owners[key] = owner.is_object() && !owner.value("released", false) ? owner.value("worker", "") : "";
      }
    return owners;
  } catch (const std::exception&) {
    return {};
  }

 private:
  const Config& config_;
  std::unique_ptr<broker::Control> control_;
};

}  // namespace

int top(const Config& config, const TopOptions& options) {
  TopOptions from = options;
  if (from.edge_ports.empty()) from.edge_ports = {config.edge.observe_port};
  if (from.worker_ports.empty()) from.worker_ports = {config.worker.observe_port};
  Owners owners(config);
  Look before = look(from);
  if (!from.once) std::cout << "\x1b[2J";
  for (;;) {
    std::this_thread::sleep_for(std::chrono::seconds(from.once ? 1 : from.seconds));
    Look now = look(from);
    const auto lines = Picture(before, now).draw(owners.read());
    if (!from.once) std::cout << "\x1b[H";
    for (const std::string& line : lines) std::cout << line << (from.once ? "\n" : "\x1b[K\n");
    if (from.once) return now.edge.empty() && now.worker.empty() ? 1 : 0;
    std::cout << "\x1b[J" << std::flush;
    before = std::move(now);
  }
}

}  // namespace barid::ctl
