// The delivery role of a worker: one thread that owns partitions. Wires the pure cores to NATS, to the bus and to time.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "base/config.h"
#include "base/distinct.h"
#include "base/loop.h"
#include "base/observe.h"
#include "broker/bus.h"
#include "broker/continuity.h"
#include "broker/control.h"
#include "broker/nats_link.h"
#include "workers/delivery/edges.h"
#include "workers/delivery/lease.h"
#include "workers/delivery/owned.h"

namespace barid::delivery {

class Owner {
 public:
  // high_water: of this process; inbox streams' places are noted there.
  Owner(const Config& config, broker::Control& control, broker::HighWater& high_water, Observe& observe);
  ~Owner();  // releases the partitions, stops the loop, joins
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  std::string missing() const;  // empty: ready. Any thread.
  Lease& lease() { return *lease_; }

 private:
  struct Metrics;
  void on_bus(std::string_view routing_id, std::string_view bytes);
  void on_link_state(bool connected);
  void on_tick();
  void look_at_activity();
  void look_at_slow_devices();
  void end_turn();
  void doubt(Partition partition, Epoch epoch, const std::string& why);
  void watch_directory();
  void rights_changed(UserId user);
  void edge_gone(EdgeRef ref, const char* why);
  Owned* owned_for(UserId user);

  const Config& config_;
  broker::Control& control_;
  broker::HighWater& high_water_;
  Incarnation incarnation_;
  Loop loop_;
  Directory directory_;  // loop thread
  Edges edges_;
  std::unique_ptr<broker::NatsLink> link_;
  std::unique_ptr<broker::OwnerBus> bus_;
  std::unique_ptr<ReceiptLanes> receipts_;
  std::map<Partition, std::unique_ptr<Owned>> owned_;  // loop thread
  std::unique_ptr<Metrics> metrics_;
  // Who had a session today (UTC), of owned partitions: thrown away at midnight and made anew, with another salt, from
  // the sessions that are open then. Loop thread.
  struct Active {
    std::int64_t day = 0;
    Distinct users{0}, devices{0};
  };
  Active active_;
  struct SlowPage {  // read by the HTTP server, which may outlive us
    std::mutex mutex;
    std::string json = "[]";
  };
  std::shared_ptr<SlowPage> slow_page_ = std::make_shared<SlowPage>();
  std::uint64_t ticks_ = 0;
  std::uint64_t moved_ = 0;  // letters and acknowledgements so far
  std::atomic<std::size_t> consuming_{0};
  std::atomic<bool> connected_{true};
  std::unique_ptr<Lease> lease_;
  std::thread thread_;
};

}  // namespace barid::delivery
