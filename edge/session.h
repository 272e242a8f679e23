// What one connection may say, and what follows from it: the protocol without sockets, broker or clock. The reactor
// feeds frames and time, and carries the effects out. Owner and thread: the connection, on its reactor's thread.
//
//   Greeting --Login (genuine)--> Online --any fatal error--> Ended
//   Greeting --fatal error, login deadline--> Ended
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>

#include "base/clock.h"
#include "base/config.h"
#include "base/crypto.h"
#include "base/id.h"
#include "edge/login.h"
#include "edge/token_bucket.h"
#include "schemas/envelope.h"
#include "schemas/wire.h"

namespace barid::edge {

// What every session of a reactor is judged by. Filled by the reactor; `wall` and the flags once a turn.
struct Rules {
  explicit Rules(const EdgeConfig& config) : edge(config) {}
  const EdgeConfig& edge;
  std::chrono::seconds message_ttl{0};
  std::uint16_t partitions = 1;
  std::uint64_t incarnation = 0;
  crypto::ShortKey address_key{};
  std::unordered_set<DeviceId> revoked;
  WallMs wall;
  bool broker_away = false;  // disconnected for longer than kBrokerPatience

  static constexpr std::chrono::seconds kBrokerPatience{5};
  static constexpr std::uint32_t kBrokerAwayRetryMs = 2'000;
  static constexpr std::uint32_t kLaneFullRetryMs = 1'000;
  static constexpr std::uint32_t kBrokerFullRetryMs = 1'000;
  static constexpr std::uint32_t kRequestsBusyRetryMs = 1'000;
};

struct Greeting {  // the challenge is out
  std::array<std::uint8_t, 32> nonce{};
  TimePoint deadline;
};
struct Online {
  UserId user;
  DeviceId device;
  SessionNo session_no;
  std::uint64_t last_seq = 0;    // highest send taken
  std::uint64_t resume_seq = 0;  // not 0: go-back-N, every send is ignored until this one comes again
  std::uint64_t written = 0;     // Deliver and Receipt frames put on this connection, in all
  std::uint64_t acked = 0;       // of these, acknowledged by the device
  std::uint64_t ack_base = 0;    // `written` when the session was last opened at its owner, who counts from there
  Epoch opened_at;               // the owner's epoch then; 0: not opened
  TokenBucket sends, requests;
  std::uint16_t unaccepted = 0;  // sends in lanes
};
struct Ended {
  wire::Code code = wire::Code::none;
  std::optional<Online> was;  // what its owner must be told about
};

struct Session {
  std::variant<Greeting, Online, Ended> state;
  TimePoint heard;            // of the last bytes
  bool pinged = false;        // since then
  std::uint8_t requests = 0;  // to the directory, under way

  Online* online() { return std::get_if<Online>(&state); }
  bool ended() const { return std::holds_alternative<Ended>(state); }
};

// What a step asks for. One object a reactor, reused: clear() keeps the capacity.
struct Effects {
  std::string out;  // whole frames for the client
  bool logged_in = false;
  std::optional<std::uint64_t> acked;  // for the owner: frames of its session taken
  std::optional<wire::Request> request;
  std::optional<wire::Watch> watch;
  std::optional<wire::Typing> typing;
  bool enqueue =
      false;  // `envelope` (its frame is `frame`) into the lane of `partition`; then note_enqueued() or refuse_send()
  Partition partition;  // of users; when envelope.group is not 0: of groups
  envelope::Envelope envelope;
  std::string frame;
  wire::Code refused = wire::Code::none;  // the last refusal of this step, for the metrics
  wire::Code ended = wire::Code::none;    // the session ended with this

  void clear();
};

// The challenge for a new connection is appended to effects.out. Deadline: of the login.
Session greet(const Rules& rules, TimePoint now, TimePoint deadline, Effects& effects);

// One frame from the client, decoded here: anything that can't be is answered as docs/protocol.md says.
void step(Session& session, const wire::RawFrame& frame, const Rules& rules, LoginVerifier& verifier, TimePoint now,
          Effects& effects);

// Time passes: login deadline, our own ping, half-open connections. Returns when to ask again.
TimePoint step_time(Session& session, const Rules& rules, TimePoint now, Effects& effects);

// Ends the session with an Error frame. No-op when it has ended.
void end(Session& session, wire::Code code, std::uint32_t retry_after_ms, std::string_view text, Effects& effects);

// Sends.
inline bool window_full(const Online& online) { return online.unaccepted >= limits::kSendWindow; }
inline void note_enqueued(Online& online) { ++online.unaccepted; }
void note_settled(Online& online, std::uint16_t count);  // accepted, or refused by the broker
// Retry time 0: this one is gone and the rest goes on. Else go-back-N starts at the lowest refused number.
void refuse_send(Online& online, std::uint64_t seq, wire::Code code, std::uint32_t retry_after_ms,
                 std::string_view text, Effects& effects);

// No further send is taken on this connection: they come again at the next one, in order.
void hold_sends(Online& online);

// Deliveries.
void note_opened(Online& online, Epoch epoch);  // at its owner; earlier frames are no longer acknowledged there

}  // namespace barid::edge
