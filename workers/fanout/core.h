// The fan-out of one partition of groups, as a pure core: batches of the stream FANOUT in, envelopes for many
// recipients out. No I/O and no clock: what it asks of the world goes through Port, and what becomes of it comes back
// as events. One Core is one ownership (partition, epoch); any doubt about the stream is answered by throwing it away
// and taking over anew.
//
// An envelope here is to a group: its to_user. A group's envelopes are taken in stream order, each by the members of
// its place: a message goes to them, an event changes them. While a group's snapshot is under way its envelopes wait,
// and no other group's do. A batch is acknowledged when all that it expands to is durable.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "schemas/control.h"
#include "schemas/envelope.h"
#include "schemas/wire.h"
#include "workers/delivery/dedup.h"
#include "workers/delivery/group_receipts.h"
#include "workers/fanout/members.h"

namespace barid::fanout {

using envelope::Batch;
using envelope::Envelope;

using Tag = std::uint64_t;  // the core's name for something that will become durable
using Ask = std::uint64_t;  // … and for a snapshot that was asked for

// What the core asks of the world. Calls return at once and must not call back into the core.
class Port {
 public:
  virtual ~Port() = default;
  virtual void publish(Partition to, const Envelope& envelope, Tag tag) = 0;  // → on_durable
  virtual void bury_raw(std::string_view batch, Tag tag) = 0;                 // → on_durable (dead-letter stream)
  // The group as of the place `before` → on_snapshot, on_snapshot_failed
  virtual void ask_snapshot(GroupId group, StreamSeq before, Ask ask) = 0;
  virtual void acknowledge(StreamSeq seq) = 0;
};

// How long read receipts for one author's device in one group are gathered, unless half of the hands are taken.
inline constexpr milliseconds kReadReceiptHold{300};

struct CoreConfig {
  std::uint16_t partitions = 1;                         // of users
  std::size_t hands_max = 256;                          // batches in hand (the consumer's max_ack_pending)
  std::size_t groups_max = 50'000;                      // remembered; the one not used for longest is forgotten
  std::size_t devices_max = 500'000;                    // of all remembered groups together
  std::size_t asks_max = 64;                            // snapshots under way
  std::size_t expanded_bytes_max = 64UL * 1024 * 1024;  // published and not durable; then groups wait
  milliseconds ask_again_min{250}, ask_again_max{5'000};
  milliseconds read_receipt_hold = kReadReceiptHold;
  std::chrono::seconds ttl{30 * 24 * 3600};  // of events and receipts
};

struct CoreStats {  // since construction; the shell turns them into metrics
  std::uint64_t messages = 0, events = 0, read_receipts = 0, letters = 0, envelopes = 0, duplicates = 0, refused = 0,
                snapshots = 0, snapshots_failed = 0, gaps = 0, unreadable = 0;
};

class Core {
 public:
  Core(CoreConfig config, Port& port);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // The stream, in order. A batch that is given again is recognised by its sequence.
  void on_batch(StreamSeq seq, Batch batch, WallMs wall);
  void on_unreadable_batch(StreamSeq seq, std::string_view bytes);

  void on_durable(Tag tag, WallMs wall);
  void on_snapshot(GroupId group, Ask ask, const control::GroupSnapshot& snapshot, WallMs wall);
  void on_snapshot_failed(GroupId group, Ask ask, TimePoint now);

  void on_tick(TimePoint now);                // snapshots are asked for again
  void end_turn(TimePoint now, WallMs wall);  // after the events of a turn: read receipts leave

  // When end_turn() is to be called at the latest, events or not.
  TimePoint receipts_due() const { return read_receipts_.due(); }

  const CoreStats& stats() const { return stats_; }
  std::size_t hands() const { return hands_.size(); }
  std::size_t groups() const { return groups_.size(); }
  std::size_t waiting_groups() const { return waiting_groups_; }
  bool quiet() const { return hands_.empty() && publishes_.empty(); }

 private:
  using HandId = std::uint64_t;
  struct Hand {
    Batch batch;
    StreamSeq seq;
    bool has_event = false;
    std::uint32_t open = 0;  // envelopes not yet taken, publishes not durable, read receipts held
  };
  struct Item {
    HandId hand;
    std::uint32_t index;
  };
  struct Asking {
    Ask number;
    StreamSeq before;
    milliseconds again_after;
    bool under_way = false;
  };
  struct Group {
    std::optional<Members> members;  // of the place before the first of `waiting`; nullopt: not known
    StreamSeq members_as_of{0};      // the place that they were asked for
    std::optional<Members> after;    // of the place behind the event that is the first of `waiting`
    std::optional<Asking> asking;
    bool stalled = false;  // stands in stalled_
    std::deque<Item> waiting;
    std::list<GroupId>::iterator used;
  };
  struct Publish {
    std::size_t bytes = 0;
    std::vector<std::pair<HandId, std::uint32_t>> hands;
  };
  enum class Step : std::uint8_t { taken, asks };

  bool given_again(StreamSeq seq);
  const Envelope& envelope_of(const Item& item) const { return hands_.at(item.hand).batch.envelopes()[item.index]; }
  Group& group_of(GroupId id);
  void run(GroupId id, Group& group, WallMs wall);
  void run_stalled(WallMs wall);
  Step take(GroupId id, Group& group, const Item& item, WallMs wall);
  Step take_event(GroupId id, Group& group, const Item& item, WallMs wall);
  void take_message(GroupId id, Group& group, const Item& item, WallMs wall);
  void take_read_receipt(GroupId id, Group& group, const Item& item);
  Step ask(GroupId id, Group& group, StreamSeq before);
  void next_asks();
  void set_members(Group& group, Members members);
  void expand(const Item& item, const Envelope& e, const std::vector<Route>& routes, std::optional<DeviceId> but);
  void refuse(const Item& item, const Envelope& e, wire::Code code, WallMs wall);
  void publish(Partition to, const Envelope& envelope, std::vector<std::pair<HandId, std::uint32_t>> hands);
  void settle(HandId hand, std::uint32_t count = 1);
  void forget_groups();
  bool room() const { return expanded_bytes_ < config_.expanded_bytes_max; }

  CoreConfig config_;
  Port& port_;
  CoreStats stats_;
  delivery::Dedup dedup_;  // (author's device, group as the other device, seq)
  delivery::GroupReceipts read_receipts_;
  StreamSeq last_seq_{0};
  HandId next_hand_ = 1;
  std::map<HandId, Hand> hands_;  // in stream order
  Tag next_tag_ = 1;
  std::unordered_map<Tag, Publish> publishes_;
  std::size_t expanded_bytes_ = 0;
  std::unordered_map<GroupId, Group> groups_;
  std::list<GroupId> used_;  // the latest in front
  std::size_t devices_ = 0, waiting_groups_ = 0;
  std::deque<GroupId> stalled_;
  Ask next_ask_ = 1;
  std::size_t asks_under_way_ = 0;
  std::deque<GroupId> to_ask_;                     // beyond asks_max
  std::set<std::pair<TimePoint, GroupId>> again_;  // failed, to be asked again
};

}  // namespace barid::fanout
