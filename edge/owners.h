// Who owns each partition, and what this reactor has still to say to each owner: opens, acks, closes, announcements,
// gathered over a turn and sent as one message an owner. Owner and thread: the reactor.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/id.h"
#include "broker/bus.h"
#include "schemas/control.h"

namespace barid::edge {

// One entry of the barid-owners bucket. An empty endpoint: nobody owns it now.
struct Owner {
  Epoch epoch;
  Incarnation worker;
  std::string endpoint;
};
// Reads the bucket's JSON; false: not readable.
bool parse_owner(std::string_view json, Owner& owner);

class Owners {
 public:
  static constexpr std::chrono::seconds kHeartbeat{1};
  static constexpr std::size_t kOpensPerMessage = 32'768;
  static constexpr std::size_t kWorkersMax = 1'024;    // remembered
  static constexpr std::size_t kPendingMax = 262'144;  // entries for one owner that does not take them
  static constexpr std::size_t kWatchesPendingMax = 16'384, kTypingsPendingMax = 1'024;  // likewise

  Owners(broker::EdgeBus& bus, Incarnation edge, std::uint16_t partitions);

  // The bucket says so. True: sessions of this partition have to be opened with this owner from now on.
  bool set(Partition partition, Owner owner);
  const Owner& of(Partition partition) const { return partitions_[partition.value].owner; }
  std::uint16_t count() const { return static_cast<std::uint16_t>(partitions_.size()); }

  // Number of a worker's message. False: messages before it were lost, its partitions are to be announced again.
  bool heard(Incarnation worker, std::uint64_t number);

  // A delivery or kick of this epoch arrives: false if a higher one is known.
  bool admit(Partition partition, Epoch epoch);

  // Each is dropped when nobody owns the partition: its next owner gets an announcement.
  bool open(Partition partition, const control::SessionOpen& open);
  void ack(Partition partition, const control::SessionAck& ack);
  void close(Partition partition, const control::SessionClose& close);
  void announced(Partition partition);
  void watch(control::WatchSet watch);
  bool typing(Partition partition, const control::TypingNote& note);  // false: left out

  bool urgent() const;  // something else than acknowledgements is pending: those can wait for company

  // One message to each owner that has something coming; `heartbeat` sends to all. Returns the number of owners that
  // did not take theirs (kept for the next turn). `lost` gets partitions whose owner missed something for good: they
  // are to be announced again.
  std::size_t flush(bool heartbeat, std::vector<Partition>& lost);

 private:
  struct Link {
    control::ToOwner pending;
    bool overflowed = false;  // entries were dropped
    std::uint64_t sent = 0;   // number of the last message to this worker
    std::size_t entries() const {
      return pending.opens.size() + pending.acks.size() + pending.closes.size() + pending.announced.size() +
             pending.watches.size() + pending.typings.size();
    }
  };
  struct Seat {
    Owner owner;
    Epoch highest;  // seen in the bucket or in a delivery
  };
  Link* link_of(Partition partition);
  static void make_room(Link& link);
  bool send(const std::string& endpoint, Link& link);
  void disconnect_if_unused(const std::string& endpoint);

  broker::EdgeBus& bus_;
  Incarnation edge_;
  std::vector<Seat> partitions_;
  std::unordered_map<std::string, Link> links_;
  std::unordered_map<Incarnation, std::uint64_t> expected_;  // by worker: number of its next message
  std::string scratch_;
};

}  // namespace barid::edge
