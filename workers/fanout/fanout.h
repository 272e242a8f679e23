// The fan-out role of a worker: one thread that owns partitions of groups. Wires the pure cores to NATS and to time.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <thread>

#include "base/config.h"
#include "base/loop.h"
#include "base/observe.h"
#include "broker/control.h"
#include "broker/nats_link.h"
#include "workers/delivery/lease.h"
#include "workers/fanout/owned.h"

namespace barid::fanout {

class Fanout {
 public:
  Fanout(const Config& config, broker::Control& control, Observe& observe);
  ~Fanout();  // releases the partitions, stops the loop, joins
  Fanout(const Fanout&) = delete;
  Fanout& operator=(const Fanout&) = delete;

  std::string missing() const;  // empty: ready. Any thread.
  delivery::Lease& lease() { return *lease_; }

 private:
  struct Metrics;
  void on_link_state(bool connected);
  void on_tick();
  void end_turn();
  void doubt(Partition partition, Epoch epoch, const std::string& why);
  Owned* find(Partition partition, Epoch epoch);

  const Config& config_;
  Incarnation incarnation_;
  Loop loop_;
  std::unique_ptr<broker::NatsLink> link_;
  std::map<Partition, std::unique_ptr<Owned>> owned_;  // loop thread
  std::uint64_t ticks_ = 0;
  std::uint64_t moved_ = 0;  // by the cores, until the turn before
  std::unique_ptr<Metrics> metrics_;
  std::atomic<std::size_t> consuming_{0};
  std::atomic<bool> connected_{true};
  std::unique_ptr<delivery::Lease> lease_;
  std::thread thread_;
};

}  // namespace barid::fanout
