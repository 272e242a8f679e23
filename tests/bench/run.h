// What all scenarios share: the options of a run, the stages it goes through, the counters that a plan fills on its
// thread and the main thread reads, and the verdict at the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "tests/bench/crowd.h"
#include "tests/bench/histogram.h"

namespace barid::bench {

struct Options {
  std::string scenario;
  std::string protocol = "barid";  // barid, xmpp, mqtt
  std::string transport = "tcp";   // tcp, websocket, tls
  std::vector<std::uint16_t> ports;
  std::string secrets_dir;
  std::vector<std::pair<std::string, int>> pids;  // name=pid
  std::uint16_t worker_observe_port = 0;
  std::uint16_t broker_monitor_port = 0;
  std::uint64_t seed = 0;       // 0: random
  std::uint64_t first_seq = 1;  // same users again: above what they have used
  std::uint32_t clients = 0;    // pairs: all; logins: at once; park and drain: recipients
  std::uint32_t in_flight = 0;
  std::uint32_t size = 200;
  std::uint32_t seconds = 10, warmup = 3;
  std::uint32_t threads = 1;
  std::uint32_t messages_each = 0;  // 0: no end; park, drain: messages for each recipient
  double rate = 0;                  // open loop: messages a second of all clients; 0: closed loop
  bool until_receipt = false;  // in flight until the sender has the receipt, not until the recipient has the message
  std::string part;            // group-fanout: this one only
  std::uint32_t members = 0, groups = 0, writers = 0;  // group-fanout; 0: what the part takes
  bool print_accounts = false;                         // group-fanout: SQL for the users that the run needs, and no run
  bool json = false;
  std::string label;     // into the JSON
  std::string wait_for;  // idle: with all connections open, this file is waited for before memory is read
};

// In this order; the main thread moves it on, plans follow at their next turn.
enum class Stage { connect, send, settle, come_back, finish };

struct Control {
  std::atomic<Stage> stage{Stage::connect};
  std::atomic<std::uint32_t> connections_max{~std::uint32_t{0}};     // of each plan of pairs, for now
  std::atomic<std::uint64_t> group_messages_max{~std::uint64_t{0}};  // that a plan of groups may have sent, for now
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::string why;  // of the first failure

  void fail(std::string_view what) {
    std::lock_guard lock(mutex);
    if (failed.exchange(true)) return;
    why = what;
  }
};

struct Tally {
  Counter sent, accepted, delivered, receipts, refused, corrupted;
  Counter online;  // logins so far
  Histogram latency, first_latency;
  std::atomic<Stage> done{Stage::connect};  // the stage in which nothing is left to do
};

struct Verdict {
  std::uint64_t sent = 0, unaccepted = 0, delivered = 0, lost = 0, doubled = 0, reordered = 0, corrupted = 0,
                receipts_missing = 0;
  Verdict& operator+=(const Verdict& v) {
    sent += v.sent;
    unaccepted += v.unaccepted;
    delivered += v.delivered;
    lost += v.lost;
    doubled += v.doubled;
    reordered += v.reordered;
    corrupted += v.corrupted;
    receipts_missing += v.receipts_missing;
    return *this;
  }
  bool good() const { return unaccepted + lost + doubled + reordered + corrupted + receipts_missing == 0; }
};

class Scenario : public Plan {
 public:
  virtual void attach(Crowd& crowd) = 0;
  virtual Verdict judge() const = 0;  // at the end, while the crowd is still there
  Tally tally;
  Verdict verdict;  // what judge() said
};

}  // namespace barid::bench
