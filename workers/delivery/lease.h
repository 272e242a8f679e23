// Decides which partitions of a stage this worker owns and takes them over: heartbeat, rendezvous hashing over the live
// workers of that stage, compare-and-swap of the epoch, and the consumer p<N>-e<epoch> (fan-out: g<N>-e<epoch>) that is
// lock, fence and position at once. Has its own thread, where it may block; talks to the owner's loop through Hooks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/config.h"
#include "base/id.h"
#include "broker/control.h"
#include "broker/topology.h"

namespace barid::delivery {

class Lease {
 public:
  struct Hooks {  // called on the lease's thread
    // Makes the partition ready to hear of sessions, not yet consuming; returns the subject to deliver its batches to.
    std::function<std::string(Partition, Epoch)> prepare;
    std::function<void(Partition, Epoch)> start;  // the consumer exists: go
    std::function<void(Partition, Epoch)> drop;   // not ours (any more)
  };
  // Batches in hand per partition: the consumer's max_ack_pending. More for groups, where some wait for the directory.
  static constexpr std::size_t kHandsMax = 128, kFanoutHandsMax = 256;

  Lease(broker::Control& control, const Config& config, Incarnation incarnation, broker::Stage stage, Hooks hooks);
  ~Lease();  // releases what is owned, so that another worker takes over at once

  void doubt(Partition partition, Epoch epoch);  // any thread: take it over from ourselves, with fresh state
  bool settled() const { return settled_; }      // every partition that should be ours is

 private:
  struct Entry {  // what KV says of a partition
    std::string worker;
    Epoch epoch;
    bool released = false;
    std::uint64_t revision = 0;
  };
  void run();
  void heard(const broker::KvEntry& entry);
  void beat();
  void check_owned();
  void review();
  bool should_own(Partition partition, const std::vector<std::string>& live) const;
  std::vector<std::string> live_workers();
  void take_over(Partition partition, const std::vector<std::string>& live);
  void release(Partition partition);
  void make_consumer(Partition partition, Epoch epoch, const std::string& deliver_subject);
  std::optional<Entry> read_entry(Partition partition);
  std::string entry_json(Epoch epoch, bool released) const;

  broker::Control& control_;
  const Config& config_;
  Incarnation incarnation_;
  broker::Stage stage_;
  Hooks hooks_;
  std::map<Partition, Epoch> owned_;  // lease thread only
  std::uint64_t beats_ = 0;

  struct Watching {  // outlives us: the watch ends with `control`
    std::mutex mutex;
    Lease* lease = nullptr;
  };
  std::shared_ptr<Watching> watching_;

  mutable std::mutex mutex_;  // guards the rest
  std::condition_variable wake_;
  std::map<std::string, TimePoint> last_beat_;  // by worker name, our clock
  std::set<std::pair<Partition, Epoch>> doubted_;
  bool stop_ = false;
  std::atomic<bool> settled_{false};
  std::thread thread_;
};

}  // namespace barid::delivery
