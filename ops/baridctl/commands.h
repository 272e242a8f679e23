// What baridctl can do: one function a command. Each prints its result on standard output, returns the exit
// code, and throws with one sentence that says what failed and what to do. One thread.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace barid::ctl {

int init_secrets(const std::string& dir);
int migrate(const Config& config);
// The block of nats-server's configuration that says who may do what. It holds passwords: for a private file only.
int nats_users(const Config& config, const std::string& secrets_dir);

// The broker's streams and buckets: what is there, how it differs from the configuration (1 when it does), and to make
// it the same. The plan is printed before anything is done.
enum class Shape : char { table, json, dot };
struct ApplyOptions {
  bool dry_run = false;
  bool force = false;         // also what can lose messages or copies
  bool leave_losses = false;  // not that, and say so, and do the rest
};
int show_topology(const Config& config, Shape shape);
int diff_topology(const Config& config, Shape shape);
int export_topology(const Config& config);
int apply_topology(const Config& config, const ApplyOptions& options);

// All that the server holds on a user, as one JSON object; and to erase it, after a plan. `who`: a phone number or an
// id.
int export_account(const Config& config, const std::string& who);
int erase_account(const Config& config, const std::string& who, bool dry_run, bool yes);

// A picture of what goes on now: rates, times of stages, partitions, and the broker. `once`: one picture on standard
// output; else again and again until a signal.
struct TopOptions {
  std::vector<std::uint16_t> edge_ports, worker_ports;  // empty: the configuration's
  std::uint16_t nats_monitor_port = 0;
  int seconds = 2;
  bool once = false;
};
int top(const Config& config, const TopOptions& options);

// Tells a process to empty itself, and waits until it has. Progress on standard output.
struct DrainOptions {
  std::string name;
  int over_s = 10;
  bool force = false;
};
int drain(const Config& config, const DrainOptions& options);
int settled(const Config& config, int seconds);  // 0 once every partition has a living owner; 1: not in that time

// Is each part there and able to work? One line a part; 1 if any is not.
int health(const Config& config);

// What the supervisor of an instance runs and whether a message could be delivered. 0 ready, 1 not ready, 3
// not running.
int status(const std::string& data_dir, const std::string& run_dir, bool json);
std::uint16_t port_in(const std::string& data_dir, const std::string& name);  // ports.env's; 0: it has none
// Metrics ports of all workers or edges of an instance, those that do not run too. kind: worker or edge.
std::vector<std::uint16_t> observe_ports(const std::string& data_dir, const std::string& kind);

// The parts that health and status look at: empty when it works, else why not.
std::string why_not_nats(const Config& config);
std::string why_not_postgres(const Config& config);
std::string why_not_ready(std::uint16_t observe_port);  // a process's /readyz

}  // namespace barid::ctl
