// The protocol of one device, without I/O, clock or threads: bytes and time in, bytes and events out; what must survive
// is in the Store. Owned by a shell (client.h; a browser later), used on one thread. Promises: a message is offered
// until it is delivered or has failed; what came is acknowledged only after the store's transaction is committed;
// states only move forward. Exceptions of the store pass through; the connection then wants to be closed, and the next
// one repairs what was under way.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "client/core/backoff.h"
#include "client/core/sender.h"
#include "client/core/store.h"

namespace barid::client {

namespace event {
struct Online {
  std::string edge;
  milliseconds clock_off{0};
};  // the server's clock minus ours
struct Offline {
  std::string why;
  milliseconds retry_in{0};
};
struct Stopped {
  wire::Code code = wire::Code::none;
  std::string text;
};                  // no reconnect will help: tell the person
struct Changed {};  // messages or their states
struct Answer {
  std::uint32_t call = 0;
  wire::Response response;
};
struct Presence {
  std::vector<wire::PresenceEntry> entries;
};  // of those whom we watch, as they are now
}  // namespace event
using Event =
    std::variant<event::Online, event::Offline, event::Stopped, event::Changed, event::Answer, event::Presence>;

class Session {
 public:
  static constexpr std::size_t kInBytesMax = limits::kFrameHeaderBytes + limits::kPayloadBytesMax;  // of one frame
  static constexpr std::size_t kCallsQueuedMax = 64;
  static constexpr seconds kCallDeadline{15};
  static constexpr seconds kLoginDeadline{15};     // from the wish to connect to Welcome
  static constexpr seconds kStableAfter{10};       // online this long: the next back-off starts small again
  static constexpr seconds kResolveRetry{5};       // when the directory could not answer
  static constexpr seconds kTypingEvery{3};        // while it goes on
  static constexpr seconds kKeylessRetry{31};      // when a device has no keys yet
  static constexpr seconds kReconnectPatience{1};  // for what is under way, before a reconnect that we want

  Session(Store& store, std::string client_name, std::uint64_t jitter_seed);

  // What the shell does, and when.
  bool wants_connection(TimePoint now) const;  // then call connecting() and start a connection
  bool wants_close() const { return close_; }  // then flush output, close, and call disconnected()
  TimePoint deadline() const;                  // call tick() then, at the latest
  void connecting(Now now);
  void connected(Now now);
  void received(std::string_view bytes, Now now);
  void disconnected(const std::string& why, Now now);
  void tick(Now now);
  void outbox_changed(Now now);  // somebody wrote a message or read one
  void hurry(Now now);           // the network is back: do not wait for the next try

  std::string& output() { return out_; }  // the shell consumes it from the front
  std::vector<Event> take_events() { return std::exchange(events_, {}); }

  bool online() const { return phase_ == Phase::online; }
  bool stopped() const { return phase_ == Phase::stopped; }
  // A directory request; the answer comes as an event, an Error when the connection is lost. 0: too many are
  // waiting.
  std::uint32_t call(const decltype(wire::Request::body)& body, Now now);

  // Whose chats are open, all of them: asked for again with every connection. Cut to what a frame holds.
  void watch(wire::Watch watch, Now now);
  // The person types, or has stopped. Told when it is news, and repeated in measure; offline it is forgotten.
  void typing(const wire::Typing& typing, Now now);

 private:
  enum class Phase { waiting, connecting, greeting, logging_in, online, stopped };
  struct KeysSent {
    std::uint32_t up_to = 0;  // the highest one-time prekey; 0: only asks what the server has
  };
  struct KeysAsked {};
  struct GroupsAsked {};
  struct Call {
    // the shell's, a peer to resolve, a user whose devices changed, a group to fetch, keys to send or to fetch, our
    // groups
    std::variant<std::monostate, Peer, UserId, GroupId, KeysSent, KeysAsked, GroupsAsked> purpose;
    decltype(wire::Request::body) body;
    TimePoint deadline;
  };

  void on(const wire::Challenge& challenge, Now now);
  void on(const wire::Welcome& welcome, Now now);
  void on(const wire::Accepted& accepted, Now now);
  void on(const wire::Refused& refused, Now now);
  void on(const wire::Deliver& deliver, Now now);
  void on(const wire::Receipt& receipt, Now now);
  void on(const wire::GroupReceipt& receipt, Now now);
  void on(const wire::GroupEvent& event, Now now);
  void on(const wire::Ping& ping, Now now);
  void on(const wire::Error& error, Now now);
  void on(const wire::Response& response, Now now);
  void on(const wire::Pong&, Now) {}
  void on(const wire::Login&, Now now) { not_for_clients(now); }
  void on(const wire::Send&, Now now) { not_for_clients(now); }
  void on(const wire::Ack&, Now now) { not_for_clients(now); }
  void on(const wire::Request&, Now now) { not_for_clients(now); }
  void on(const wire::Watch&, Now now) { not_for_clients(now); }
  void on(const wire::Typing&, Now now) { not_for_clients(now); }
  void on(const wire::Presence& presence, Now now);
  void not_for_clients(Now now);

  void handle(std::vector<wire::Frame>& frames, Now now);
  void answered(const Call& call, const wire::Response& response, Now now);
  void answered_peer(const Peer& peer, const wire::Response& response, Now now);
  void answered_user(UserId user, const wire::Response& response, Now now);
  void answered_groups(const wire::Response& response, Now now);
  void answered_group(GroupId group, const wire::Response& response, Now now);
  void answered_keys(const Call& call, const wire::Response& response, Now now);
  void exchange_keys(Now now);
  void progress(Now now);  // sends what may be sent, asks what must be asked
  void resolve(Now now);   // asks for the devices of those whom we write to
  void start_calls(Now now);
  void expire_calls(Now now);
  void fail_calls(const wire::Error& error);
  void heartbeat(Now now);
  void close(std::string why, milliseconds retry_after = milliseconds(0));
  void stop(wire::Code code, std::string text);
  void lose_connection();
  void undone(std::size_t out_bytes_before);

  Store& store_;
  std::string client_name_;
  Jitter jitter_;
  Backoff backoff_;
  Phase phase_ = Phase::waiting;
  Account account_;  // as of connecting()
  wire::Welcome welcome_;
  std::string edge_;

  TimePoint retry_at_{}, phase_since_{}, heard_at_{}, said_at_{}, resolve_at_{}, reconnect_by_{}, keys_at_{};
  bool pinged_ = false, close_ = false, dirty_ = false, quick_ = false;
  bool keys_hold_ = false;  // the directory could not answer: no call for keys before keys_at_
  std::string why_;         // of the close under way
  milliseconds retry_after_{0};
  std::uint64_t taken_ = 0, acked_ = 0;  // frames of this connection that Ack counts
  wire::Watch watch_;
  wire::Typing typing_;  // as told last on this connection
  TimePoint typing_at_{};
  int stale_ = 0;  // times that our session number was too low, in a row

  std::string in_, out_;
  Sender sender_;
  std::uint32_t last_call_ = 0;
  std::map<std::uint32_t, Call> queued_, asked_;  // by id; asked_ at most kRequestsInFlight
  std::vector<Event> events_;
};

}  // namespace barid::client
