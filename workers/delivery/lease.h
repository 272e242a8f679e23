// Decides which partitions of a stage this worker owns and takes them over: heartbeat, rendezvous hashing over the live
// workers of that stage, compare-and-swap of the epoch, and the consumer p<N>-e<epoch> (fan-out: g<N>-e<epoch>) that is
// lock, fence and position at once. What belongs to another is handed over few at a time, each as soon as the one
// before is taken. Has its own thread, where it may block; talks to the owner's loop through Hooks.
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
  static constexpr std::size_t kHandedTogether = 2;        // partitions given up and not yet taken by another
  static constexpr milliseconds kHandOverPatience{1'000};  // with one that nobody takes: then the next goes

  Lease(broker::Control& control, const Config& config, Incarnation incarnation, broker::Stage stage, Hooks hooks);
  ~Lease();  // releases what is owned, so that another worker takes over at once

  void doubt(Partition partition, Epoch epoch);  // any thread: take it over from ourselves, with fresh state
  bool settled() const { return settled_; }      // every partition that should be ours is
  std::size_t owned() const { return owned_count_; }
  // Any thread, for good. Gives up all partitions, spread over that long, and is a candidate for none, as long as there
  // is another worker to take them.
  void drain(milliseconds over);
  bool draining() const { return leaving_; }
  bool has_successor();  // any thread: another worker of this stage lives and does not leave

 private:
  struct Entry {  // what KV says of a partition
    std::string worker;
    Epoch epoch;
    bool released = false;
    std::uint64_t revision = 0;
  };
  void run();
  void beat();
  void review();
  struct Live {
    std::vector<std::string> all, candidates;  // candidates: those that do not leave; all, if all do
  };
  struct Peer {
    TimePoint heard;  // our clock
    bool leaving = false;
  };
  void watch(const char* bucket, void (Lease::*hear)(const broker::KvEntry&));
  void hear_of_peer(const broker::KvEntry& entry);
  void hear_of_incarnation(const broker::KvEntry& entry);
  void hear_of_seat(const broker::KvEntry& entry);
  void forget_what_was_taken();
  void hand_over(Partition partition);
  bool should_own(Partition partition, const Live& live) const;
  bool lives_elsewhere(Partition partition, const Live& live);
  Live live_workers();
  void take_over(Partition partition, const Live& live);
  void release(Partition partition);
  void make_consumer(Partition partition, Epoch epoch, const std::string& deliver_subject);
  std::optional<Entry> read_entry(Partition partition);
  std::string entry_json(Epoch epoch, bool released) const;

  broker::Control& control_;
  const Config& config_;
  Incarnation incarnation_;
  broker::Stage stage_;
  Hooks hooks_;
  std::map<Partition, Epoch> highest_;  // that we have seen, whatever the broker has forgotten
  std::map<Partition, Epoch> owned_;    // lease thread only
  TimePoint next_hand_{};
  std::map<Partition, TimePoint> handing_;  // given up, not yet seen with another owner; lease thread only
  std::uint64_t beats_ = 0;

  struct Watching {  // outlives us: the watch ends with `control`
    std::mutex mutex;
    Lease* lease = nullptr;
  };
  std::shared_ptr<Watching> watching_;

  mutable std::mutex mutex_;  // guards the rest
  std::condition_variable wake_;
  std::map<std::string, Peer> peers_;               // by worker name
  std::map<Partition, Entry> seats_;                // as last heard: they say when to look, the bucket itself decides
  bool peers_known_ = false, seats_known_ = false;  // all that was there at the start
  bool changed_ = false;                            // look now
  milliseconds hand_every_{0};                      // at most one partition in that time
  std::set<std::pair<Partition, Epoch>> doubted_;
  std::string incarnation_seen_;  // of the streams
  bool all_doubted_ = false;
  bool stop_ = false;
  std::atomic<bool> settled_{false}, leaving_{false};
  std::atomic<std::size_t> owned_count_{0};
  std::thread thread_;
};

}  // namespace barid::delivery
