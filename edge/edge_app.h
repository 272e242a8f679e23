// The edge process: reactors on their threads, and the control thread (the caller of run()), which reads barid-meta,
// watches owners and revocations, and stops everything on SIGTERM or SIGINT. Owner: main.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/config.h"
#include "base/observe.h"
#include "broker/control.h"
#include "broker/drain_desk.h"
#include "edge/gate.h"
#include "edge/reactor.h"
#include "edge/tally.h"
#include "edge/tls.h"

namespace barid::edge {

class EdgeApp {
 public:
  // share_ports: other edges of this user may listen on the same client ports; the kernel spreads connections.
  EdgeApp(Config config, bool share_ports);
  ~EdgeApp();

  // Blocks SIGTERM and SIGINT in this thread and those it starts, and waits for them. Returns the exit status.
  // Throws what an operator has to mend: a taken port, an unreadable certificate.
  int run();

 private:
  bool stop_wanted(milliseconds wait);  // waits for a signal that long
  void reload_certificate(const char* why);
  bool connect_control();  // false: told to stop meanwhile
  bool read_meta();
  void start_reactors();
  void watch();
  void look_at_streams();
  void set_incarnation(std::uint64_t incarnation);
  void on_owner(const broker::KvEntry& entry);
  void on_revoked(const broker::KvEntry& entry);
  void post_to_all(const std::function<void(Reactor&)>& work);
  void serve_drain();
  void stop_reactors();
  std::string missing();

  Config config_;
  bool share_ports_;
  Meta meta_;
  std::unique_ptr<TlsContext> tls_;
  std::unique_ptr<Observe> observe_;
  std::unique_ptr<EdgeMetrics> metrics_;
  Gate gate_;
  std::unique_ptr<broker::Control> control_;
  broker::HighWater high_water_{broker::HighWater::of_senders()};
  std::uint64_t incarnation_ = 0;  // the control thread's, like the next
  TimePoint look_at_{};
  std::atomic<bool> broker_lost_{false};
  std::unique_ptr<broker::DrainDesk> desk_;
  std::vector<std::thread> threads_;
  std::atomic<bool> failed_{false}, control_ready_{false}, meta_ready_{false}, draining_{false};

  std::mutex mutex_;  // guards what follows
  std::vector<Reactor*> reactors_;
  std::vector<bool> owned_;  // partitions that have an owner
  bool stopping_ = false, listening_ = false;
};

}  // namespace barid::edge
