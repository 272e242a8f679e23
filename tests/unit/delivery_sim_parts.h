// What the simulated world of delivery_sim_world.h is made of: plain data, no behaviour of the system under test.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "workers/delivery/core.h"

namespace barid::delivery::sim {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Rng {  // SplitMix64: the same numbers on every machine
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
  bool percent(unsigned chance) { return below(100) < chance; }

 private:
  std::uint64_t state_;
};

// Which faults a seed may meet, and how likely. Every seed draws its own subset (swarm testing): a fault that is
// always on hides what happens without it.
struct Profile {
  bool lossy_bus, vanishing, edges_die, owners_die, slow_readers, lost_park_acks, late_publishes, failing_reads,
      resends, clock_steps, blocks, revokes, short_lives, full_inboxes, burials, garbage, redeliveries, sweeps,
      inbox_dedups, slow_receipts, groups, losses;
  std::size_t devices, edges, steps;
};

// One letter, as its sender knows it, and all that ever became of it.
struct Truth {
  DeviceId from, to;
  std::uint64_t seq = 0;
  std::string frame;
  envelope::Kind kind = envelope::Kind::message;
  GroupId group{};                 // not 0: one of several letters of one envelope
  std::vector<std::size_t> mates;  // … of the first of them: the others
  WallMs expires_at;
  bool may_block = false;      // its sender was blocked at some time of its life
  bool may_expire = false;     // its life is short
  std::uint64_t block_no = 0;  // not 0: written under this block
  bool in_ingress = false;
  bool shown = false;
  bool delivered_durable = false, failed_durable = false;
  bool late = false;           // its sender offered later ones first
  bool to_be_offered = false;  // again, because the broker has lost messages
  bool let_go = false;         // failed for a full inbox or as undeliverable
  bool sender_saw_delivered = false, sender_saw_failed = false;
};

struct IngressMessage {
  std::string bytes;
  bool readable = true;
  bool given = false;         // to the present owner
  bool acknowledged = false;  // by the present owner; the broker may not know yet
  bool gone = false;          // the broker knows
};

struct InboxMessage {
  std::string bytes;
  bool readable = true;
  bool deleted = false;  // by the present owner; the broker may not know yet
};

// As broker/lane.h: one batch under way, repeated under the same id until its fate is known.
struct Lane {
  struct Item {
    Envelope envelope;
    std::string frame;
    Tag tag;
  };
  enum class State { idle, published, landed, refused, to_be_repeated };
  std::optional<Address> inbox;  // nullopt: the ingress stream (receipts)
  State state = State::idle;
  std::deque<Item> open;
  std::string batch, id;
  std::vector<Tag> tags;
  StreamSeq seq;
  std::uint64_t number = 0;
  bool idle() const { return state == State::idle && open.empty(); }
};

struct LatePublish {  // left its publisher, and reaches the broker when it likes
  std::optional<Address> inbox;
  std::string bytes, id;
};

struct ToOwner {
  std::uint64_t worker, number;
  std::variant<std::monostate, control::SessionOpen, control::SessionAck, control::SessionClose>
      what;  // or a heartbeat
};
struct ToEdge {
  std::uint64_t worker, number;
  Epoch epoch;
  ConnId conn;
  std::optional<std::string> frame;  // nullopt: a kick, or only a wish
  bool reannounce = false;
};

struct Connection {  // between a device and an edge
  std::size_t device = 0, edge = 0;
  SessionNo session_no;
  ConnId at_owner;            // a new one every time that the edge opens the session at an owner
  std::uint64_t written = 0;  // frames, by the edge
  std::uint64_t base = 0;     // of these, before the session was last opened at an owner
  std::uint64_t taken = 0;    // frames, by the device
  std::uint64_t told = 0;     // frames acknowledged by the device
  std::deque<std::string> wire;
  bool open_at_edge = true, open_at_device = true;
};

struct Edge {
  bool alive = true;
  Epoch epoch, highest;
  std::uint64_t worker = 0;
  std::deque<ToOwner> to_owner;
  std::deque<ToEdge> to_edge;
  std::map<std::uint64_t, std::uint64_t> sent, expected;  // by worker: number of the next message
};

struct Device {
  UserId user;
  DeviceId id;
  std::uint64_t next_seq = 1;
  std::uint64_t session_no = 0;
  std::optional<std::size_t> connection;
  std::deque<std::size_t> outbox;     // letters not yet accepted, in order
  std::deque<std::size_t> held_back;  // refused for now, offered again out of order
  bool revoked = false;
};

}  // namespace barid::delivery::sim
