#include "tests/bench/meter.h"

#include <cstdio>

namespace barid::bench {

Sample Meter::sample() const {
  Sample s;
  s.server_cpu_ns = processes_.cpu_ns();
  s.own_cpu_ns = own_cpu_ns();
  s.at_ns = now_ns();
  for (const Tally* t : tallies_) {
    s.sent += t->sent.get();
    s.accepted += t->accepted.get();
    s.delivered += t->delivered.get();
    s.receipts += t->receipts.get();
    s.online += t->online.get();
    s.refused += t->refused.get();
    t->latency.add_to(s.latency);
    t->first_latency.add_to(s.first_latency);
  }
  return s;
}

Window between(const Sample& from, const Sample& to, Counted counted) {
  Window w;
  w.seconds = static_cast<double>(to.at_ns - from.at_ns) / 1e9;
  switch (counted) {
    case Counted::delivered:
      w.count = to.delivered - from.delivered;
      break;
    case Counted::accepted:
      w.count = to.accepted - from.accepted;
      break;
    case Counted::online:
      w.count = to.online - from.online;
      break;
  }
  // Nothing was counted: nothing cost anything, and shares say what the processes did.
  const double each = w.count > 0 ? 1 / static_cast<double>(w.count) : 0;
  for (const auto& [name, ns] : to.server_cpu_ns) {
    const auto before = from.server_cpu_ns.find(name);
    const double us = static_cast<double>(ns - (before == from.server_cpu_ns.end() ? 0 : before->second)) / 1e3;
    w.server_us[name] = us * each;
    w.server_us_all += us * each;
    w.server_share += us / 1e6 / w.seconds;
  }
  const auto own = static_cast<double>(to.own_cpu_ns - from.own_cpu_ns);
  w.own_us = own / 1e3 * each;
  w.own_share = w.seconds > 0 ? own / 1e9 / w.seconds : 0;
  for (std::size_t i = 0; i < w.latency.size(); ++i) w.latency[i] = to.latency[i] - from.latency[i];
  return w;
}

void print_heading(const std::string& counted) {
  std::printf("%-10s %12s %9s %9s %14s %12s\n", "", (counted + "/s").c_str(), "p50 ms", "p99 ms", "server µs each",
              "generator");
}

void print_line(const std::string& stage, const Window& w) {
  std::printf("%-10s %12.0f %9.3f %9.3f %14.2f %10.0f %%\n", stage.c_str(), w.per_second(),
              percentile_ms(w.latency, 0.5), percentile_ms(w.latency, 0.99), w.server_us_all, 100 * w.own_share);
  std::fflush(stdout);
}

}  // namespace barid::bench
