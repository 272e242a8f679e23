// The delivery of one partition, as a pure core: events in, effects out through Port, no I/O and no clock.
// One Core is one ownership (partition, epoch); any doubt about the stream is answered by throwing the Core
// away and taking over anew.
//
// A letter is an envelope on its way to one device. Per device there is one FIFO, and three modes:
//   away      no session: letters are parked in the inbox
//   draining  a session, and mail in the inbox: the inbox is read in order, new letters are parked behind it
//   live      a session, inbox read to its end: letters go straight to the device
// Events come one at a time on one thread; Port must not call back into the core.
// A letter is settled when the device acknowledged it or when it is parked durably. A batch of the ingress
// stream is acknowledged when all its letters are settled and the receipts that they caused are durable; a
// batch of the inbox is deleted under the same condition.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fifo.h"
#include "base/id.h"
#include "base/stage_times.h"
#include "schemas/control.h"
#include "schemas/envelope.h"
#include "schemas/wire.h"
#include "workers/delivery/dedup.h"
#include "workers/delivery/group_receipts.h"
#include "workers/delivery/kept.h"

namespace barid::delivery {

using envelope::Batch;
using envelope::Envelope;

using EdgeRef = std::uint32_t;  // the shell's name for an edge reactor
using Tag = std::uint64_t;      // the core's name for something that will become durable

struct Address {
  UserId user;
  DeviceId device;
  bool operator==(const Address&) const = default;
};

// What the core asks of the world. Calls return at once; what becomes of them comes back as events.
class Port {
 public:
  virtual ~Port() = default;
  virtual void deliver(EdgeRef edge, ConnId conn, std::string_view frame) = 0;
  virtual void kick(EdgeRef edge, ConnId conn, wire::Code code) = 0;
  virtual void park(const Address& to, const Envelope& letter, Tag tag) = 0;  // → on_parked / on_park_refused
  virtual void publish_receipt(const Envelope& receipt, Tag tag) = 0;         // → on_receipt_durable
  virtual void bury(const Envelope& letter, wire::Code reason,
                    Tag tag) = 0;                              // → on_buried (dead-letter stream)
  virtual void bury_raw(std::string_view batch, Tag tag) = 0;  // → on_buried
  virtual void acknowledge(StreamSeq ingress) = 0;
  virtual void read_inbox(const Address& of, StreamSeq from, std::uint64_t read) = 0;  // → on_inbox_…
  virtual void delete_from_inbox(const Address& of, StreamSeq seq) = 0;
  virtual void session_changed(UserId, bool /*open*/) {}  // of one of the user's devices
};

// Facts about users and devices that the shell keeps up to date; owned by the shell, outlives the core.
struct Directory {
  std::unordered_map<UserId, std::unordered_set<UserId>> blocked_by;  // key: who blocks
  std::unordered_set<DeviceId> revoked;
  bool blocks(UserId who, UserId whom) const {
    const auto found = blocked_by.find(who);
    return found != blocked_by.end() && found->second.contains(whom);
  }
};

// How long receipts for one author's device in one group are gathered, unless half of the hands are taken.
inline constexpr milliseconds kGroupReceiptHold{100};

struct CoreConfig {
  Partition partition;
  std::size_t window_letters = 128;  // delivered and not acknowledged, per device
  std::size_t window_bytes = 512 * 1024;
  std::size_t waiting_letters_max = 1'024;  // held in memory behind a full window; then the device is drained instead
  std::size_t hands_max = 512;              // ingress batches in hand (the consumer's max_ack_pending)
  std::size_t devices_max = 200'000;        // remembered; beyond that, idle ones are forgotten
  std::size_t kept_bytes_max = 64 << 20;    // parked letters of which a copy stays in memory
  milliseconds ack_deadline{30'000};        // delivered and not acknowledged: the session is closed
  milliseconds slow_under_pressure{3'000};  // … and half of hands_max is taken: the device is served from its inbox
  std::uint16_t delivery_attempts = 5;      // sessions that timed out on the same letter; then it is buried
  std::chrono::seconds receipt_ttl{30 * 24 * 3600};
  milliseconds group_receipt_hold = kGroupReceiptHold;
};

struct CoreStats {  // since construction; the shell turns them into metrics
  std::uint64_t letters = 0, delivered = 0, acknowledged = 0, parked = 0, drained = 0, duplicates = 0, expired = 0,
                blocked = 0, gone = 0, buried = 0, receipts = 0, kicked = 0;
};

struct CoreStages {
  StageTimes handed;        // letters that came straight from the stream: durable → given to the edge's device
  StageTimes acknowledged;  // given → acknowledged
};

class Core {
 public:
  Core(CoreConfig config, const Directory& directory, Port& port);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // The ingress stream, in order. A batch that is given again is recognised by its sequence.
  // durable: when it became so; max: not known.
  void on_batch(StreamSeq seq, Batch batch, TimePoint now, WallMs wall, TimePoint durable = TimePoint::max());
  void on_unreadable_batch(StreamSeq seq, std::string_view bytes);

  // Edges.
  void on_open(EdgeRef edge, const control::SessionOpen& open);
  void on_ack(EdgeRef edge, const control::SessionAck& ack, TimePoint now);
  void on_close(EdgeRef edge, const control::SessionClose& close);
  void on_edge_gone(EdgeRef edge);

  // What became of effects.
  // batch: what the inbox holds at inbox_seq now.
  void on_parked(const Address& device, const std::vector<Tag>& tags, StreamSeq inbox_seq, std::string_view batch);
  void on_park_refused(const Address& device, const std::vector<Tag>& tags);  // this device's inbox is full
  void on_receipt_durable(Tag tag);
  void on_buried(Tag tag);
  void on_inbox_batch(const Address& of, std::uint64_t read, StreamSeq seq, Batch batch, TimePoint now, WallMs wall);
  void on_inbox_unreadable(const Address& of, std::uint64_t read, StreamSeq seq, std::string_view bytes);
  void on_inbox_end(const Address& of, std::uint64_t read);
  void on_inbox_failed(const Address& of, std::uint64_t read);  // no answer: asked again at the next tick

  // The expiry sweep found this batch at the head of an inbox stream. True: it was expired and is being dealt
  // with.
  bool on_swept(const Address& of, StreamSeq seq, const Batch& batch, WallMs wall);

  void on_revoked(DeviceId device);
  void on_tick(TimePoint now);  // about once a second: deadlines, retries, forgetting
  // After the events of a turn: kept letters are delivered, receipts leave, gathered; those of groups when they are
  // due.
  void end_turn(TimePoint now, WallMs wall);
  // When end_turn() is to be called at the latest, events or not.
  TimePoint receipts_due() const { return group_receipts_.due(); }

  const CoreStats& stats() const { return stats_; }
  CoreStages& stages() { return stages_; }
  std::size_t hands() const { return hands_.size(); }
  std::size_t ingress_hands() const { return ingress_hands_; }
  std::uint64_t unsettled() const { return unsettled_; }  // letters of the ingress stream
  std::size_t devices() const { return devices_.size(); }
  std::size_t sessions() const { return sessions_; }
  struct Slow {
    DeviceId device;
    std::size_t in_flight;
    milliseconds waited;  // its oldest letter, for an acknowledgement
  };
  // Of the devices whose deadlines come first, at most kSlowLookedAt; in no order.
  static constexpr std::size_t kSlowLookedAt = 32;
  void slow_devices(TimePoint now, std::vector<Slow>& out) const;
  template <class Visit>
  void each_session(Visit visit) const {  // visit(UserId, DeviceId)
    for (const auto& [id, d] : devices_)
      if (d.session) visit(d.user, id);
  }
  bool quiet() const {
    return hands_.empty() && pending_receipts_.empty() && group_receipts_.empty() && receipt_groups_.empty();
  }

 private:
  using HandId = std::uint64_t;
  static constexpr unsigned kIndexBits = 20;  // a Tag of a letter: hand, then index
  static_assert(limits::kBatchEnvelopesMax < (1U << kIndexBits) && limits::kBatchLettersMax < (1U << kIndexBits));
  // A batch that we hold: of the ingress stream, or of a device's inbox.
  struct Hand {
    Batch batch;
    StreamSeq seq;
    std::uint32_t unsettled = 0;  // letters, and burials under way
    std::uint32_t receipts_not_durable = 0;
    std::optional<Address> inbox;  // whose inbox; nullopt: ingress
    TimePoint durable = TimePoint::max();
  };
  struct Letter {
    HandId hand;
    std::uint32_t index;
    bool from_inbox;
  };
  static constexpr std::size_t kUndeliverableMax = 64;    // remembered per device; the oldest is tried again
  using LetterName = std::pair<MessageId, std::int64_t>;  // server-made receipts have no seq: with the accept time
  struct InFlight {
    Letter letter;
    std::uint32_t bytes;
    TimePoint since;
  };
  struct Session {
    EdgeRef edge;
    ConnId conn;
    SessionNo number;
    std::uint64_t acknowledged = 0;
    std::size_t to_absorb = 0;  // acknowledgements to come for frames whose letters were parked meanwhile
  };
  enum class Mode : std::uint8_t { away, draining, live };
  struct Device {
    UserId user;
    Mode mode = Mode::away;
    bool inbox_known_empty = false;
    bool reading = false;       // a read_inbox is under way
    bool has_deadline = false;  // stands in deadlines_
    bool to_serve = false;      // stands in to_serve_
    // What lies in the inbox from next_read on, all of it, was parked by this core; of that, everything above not_kept
    // is kept. Both together: no need to ask the broker.
    bool all_ours = false;
    std::uint32_t parks_under_way = 0;
    std::uint64_t read = 0;                     // number of the latest read: answers to older ones are ignored
    StreamSeq next_read{1};                     // where the inbox is read on
    StreamSeq first_parked{0}, last_parked{0};  // sequences that this core parked for the device; 0: none
    StreamSeq not_kept{0};                      // highest of them that was evicted or taken
    std::size_t bytes_in_flight = 0;
    std::optional<Session> session;
    Fifo<InFlight> in_flight;                        // delivered, not acknowledged, in order
    Fifo<Letter> waiting;                            // live only: behind a full window
    Fifo<std::pair<StreamSeq, HandId>> inbox_hands;  // read, not yet deleted, in order
    std::optional<LetterName> timed_out;             // the letter that the latest session timed out on
    std::uint16_t time_outs = 0;
    std::vector<LetterName> undeliverable;  // too often: buried when they are read out of the inbox again
  };
  struct ReceiptKey {
    DeviceId to_device, peer_device;
    wire::ReceiptKind kind;
    wire::Code reason;
    auto operator<=>(const ReceiptKey&) const = default;
  };
  struct ReceiptKeyHash {
    std::size_t operator()(const ReceiptKey& k) const {
      return std::hash<DeviceId>{}(k.to_device) ^ (std::hash<DeviceId>{}(k.peer_device) * 31) ^
             (static_cast<std::size_t>(k.kind) << 8) ^ static_cast<std::size_t>(k.reason);
    }
  };
  struct PendingReceipt {
    UserId to_user, peer_user;
    std::vector<SeqRange> ranges;
  };
  struct ReceiptGroup {  // the receipts of one turn, and the hands that wait for them
    std::uint32_t envelopes_not_durable = 0;
    std::vector<std::pair<HandId, std::uint32_t>> hands;
  };

  const Envelope& envelope_of(const Letter& letter) const;
  Device& device_of(const Address& address);
  bool given_again(StreamSeq seq);
  void route(HandId hand, std::uint32_t index, WallMs wall, TimePoint now);
  bool stop_early(const Letter& letter, const Envelope& e, WallMs wall);
  void deliver(Device& d, DeviceId id, const Letter& letter, TimePoint now);
  bool window_full(const Device& d, std::size_t bytes) const;
  void pump(Device& d, DeviceId id, TimePoint now);
  void park(Device& d, DeviceId id, const Letter& letter);
  static Tag tag_of(const Letter& letter) { return letter.hand << kIndexBits | letter.index; }
  void settle(HandId hand);
  void finish_if_settled(HandId hand);
  void add_receipt(HandId hand, const Envelope& e, wire::ReceiptKind kind, wire::Code reason);
  using Receipts = std::vector<std::pair<Envelope, std::string>>;  // and the frame of each
  void take_pending_receipts(Receipts& receipts, WallMs wall);
  void take_group_receipts(Receipts& receipts, TimePoint now, WallMs wall);
  void fail_letter(const Letter& letter, wire::Code reason);
  void end_session(Device& d, DeviceId id);
  void read_on(Device& d, DeviceId id);
  bool can_serve(const Device& d) const { return d.all_ours && d.next_read > d.not_kept; }
  void serve(Device& d, DeviceId id, TimePoint now, WallMs wall);
  void take_inbox_batch(Device& d, DeviceId id, StreamSeq seq, Batch batch, TimePoint now, WallMs wall);
  void begin_live(Device& d);
  void unload(Device& d, DeviceId id);
  void fall_behind(Device& d, DeviceId id);
  void time_out(Device& d, DeviceId id);
  void bury(const Letter& letter, wire::Code reason);
  void forget_idle_devices();
  bool idle(const Device& d) const;
  bool under_pressure() const { return ingress_hands_ > config_.hands_max / 2; }

  CoreConfig config_;
  const Directory& directory_;
  Port& port_;
  CoreStats stats_;
  CoreStages stages_;
  std::uint64_t unsettled_ = 0;
  Dedup dedup_;
  Kept kept_;
  std::vector<DeviceId> to_serve_;      // served at the end of the turn
  std::vector<DeviceId> failed_reads_;  // read again at the next tick
  std::unordered_map<DeviceId, Device> devices_;
  std::unordered_map<HandId, Hand> hands_;
  HandId next_hand_ = 1;
  StreamSeq last_ingress_{0};
  std::size_t ingress_hands_ = 0, sessions_ = 0;
  std::set<std::pair<TimePoint, DeviceId>> deadlines_;  // at most one entry a device
  std::unordered_map<ReceiptKey, PendingReceipt, ReceiptKeyHash> pending_receipts_;
  std::unordered_map<HandId, std::uint32_t> pending_receipt_hands_;
  GroupReceipts group_receipts_;
  std::unordered_map<Tag, ReceiptGroup> receipt_groups_;
  Tag next_group_ = 1;
  std::uint64_t next_read_ = 1;
};

}  // namespace barid::delivery
