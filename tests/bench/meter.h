// Looks at a run from outside, once a second and around the measured window: counters of all plans, CPU of the server's
// processes and of this one. Used by the main thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/procfs.h"
#include "tests/bench/run.h"

namespace barid::bench {

struct Sample {
  std::int64_t at_ns = 0, own_cpu_ns = 0;
  std::map<std::string, std::int64_t> server_cpu_ns;
  std::uint64_t sent = 0, accepted = 0, delivered = 0, receipts = 0, online = 0, refused = 0;
  Histogram::Counts latency{}, first_latency{};
};

// What happened between two samples. `count`: what is being counted (delivered, accepted, logins) in that time.
struct Window {
  double seconds = 0;
  std::uint64_t count = 0;
  std::map<std::string, double> server_us;  // CPU per counted thing, by process
  double server_us_all = 0, own_us = 0;
  double server_share = 0, own_share = 0;  // of a core
  Histogram::Counts latency{};
  double per_second() const { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }
};

enum class Counted { delivered, accepted, online };
Window between(const Sample& from, const Sample& to, Counted counted);

class Meter {
 public:
  Meter(const ServerProcesses& processes, std::vector<const Tally*> tallies)
      : processes_(processes), tallies_(std::move(tallies)) {}
  Sample sample() const;

 private:
  const ServerProcesses& processes_;
  std::vector<const Tally*> tallies_;
};

// The live table: a heading, then a line a second.
void print_heading(const std::string& counted);
void print_line(const std::string& stage, const Window& window);

}  // namespace barid::bench
