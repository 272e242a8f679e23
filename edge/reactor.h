// One thread of the edge: its engine, its connections, its own NATS link, lanes and bus. A turn takes what has arrived,
// and ends with one flush in this order: lanes, NATS, owners, sockets; each socket is written at most once.
// Owner: EdgeApp, which builds it on the reactor's thread. Only post() and stop() may be called from elsewhere.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/config.h"
#include "broker/bus.h"
#include "broker/continuity.h"
#include "broker/lane.h"
#include "broker/nats_link.h"
#include "edge/connection.h"
#include "edge/engine.h"
#include "edge/gate.h"
#include "edge/login.h"
#include "edge/owners.h"
#include "edge/session.h"
#include "edge/tally.h"
#include "edge/wheel.h"

namespace barid::edge {

// What the control thread has learnt from barid-meta.
struct Meta {
  std::uint16_t partitions = 0;
  std::uint64_t incarnation = 0;
  crypto::PublicKey directory_key{};
  crypto::ShortKey address_key{};
};

struct ReactorParts {  // shared, outlive the reactor
  const Config& config;
  const Meta& meta;
  Gate& gate;
  EdgeMetrics& metrics;
  const TlsContext* tls;  // nullptr: no listener wants it
  broker::HighWater& high_water;
  std::atomic<bool>& broker_lost;  // set by a reactor that has noticed it, for the control thread
};

class Reactor final : SocketHandler {
 public:
  static constexpr std::chrono::seconds kLinger{1};       // after FIN, for the peer to read the Error frame
  static constexpr std::size_t kRawBytesMax = 32 * 1024;  // PROXY header, TLS handshake and upgrade together
  static constexpr std::size_t kBucketsMax = 65'536;      // of devices that left while over their rate
  static constexpr std::chrono::seconds kStopPatience{4};
  static constexpr std::uint32_t kGoingAwayMsMin = 500, kGoingAwayMsMax = 5'000;
  static constexpr milliseconds kVerifyEvery{250};         // while the broker does not say whether its streams continue
  static constexpr std::uint32_t kElsewhereMsMax = 250;    // after a goodbye of a drain: another edge is there already
  static constexpr milliseconds kFarewellPatience{2'000};  // for what is under way of a connection: then it is cut
  static constexpr milliseconds kFarewellAckPatience{300};  // of these, for acknowledgements of deliveries

  // Throws when NATS is not there within NatsLink's patience, or the engine that was asked for is refused.
  Reactor(const ReactorParts& parts, int number, std::vector<int> listeners);
  ~Reactor() override;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  void run();  // until stop() is through
  // From any thread. False: the queue is full, try again.
  bool post(std::function<void(Reactor&)> work);
  bool stop();

  // On the reactor's thread, from the control thread's posts.
  void start_listening();
  void set_owner(Partition partition, Owner owner);
  void lose_owner(Partition partition);
  void set_revoked(DeviceId device, bool revoked);
  void set_incarnation(std::uint64_t incarnation);
  void drain(milliseconds over);  // no new connections; those that are open are sent away, spread over that time
  bool broker_connected() const { return link_ != nullptr && link_->connected(); }
  std::string_view engine_name() const { return engine_->name(); }

 private:
  // reactor.cpp: sockets and time
  void on_accept(int listener, int fd) override;
  void on_bytes(Socket& socket, std::string_view bytes) override;
  void on_end(Socket& socket, int error) override;
  void on_sent(Socket& socket) override;
  void on_closed(Socket& socket) override;
  bool admit(Connection& c);
  void refuse_connection(Connection& c, Gate::Admission admission);
  void look_at_time(Connection& c);
  void begin_turn();
  void end_turn();
  void every_tick();
  void begin_stop();
  ConnId next_id(int fd) { return ConnId((++ids_ << kFdBits) | static_cast<std::uint64_t>(fd)); }
  Connection* find(ConnId id);         // by its lasting id
  Connection* find_opened(ConnId id);  // by the id that its owner uses
  Connection* slot(ConnId id);

  // reactor_stream.cpp: from bytes to frames and back
  void receive(Connection& c, std::string_view bytes);
  bool receive_proxy(Connection& c, std::string_view& bytes);
  void receive_websocket(Connection& c, std::string_view bytes);
  void receive_frames(Connection& c, std::string_view bytes);
  std::size_t take_frames(Connection& c, std::string_view bytes);
  bool end_message(Connection& c);
  void become_ready(Connection& c);
  void resume_input(Connection& c);
  void flush(Connection& c);
  std::string wire_bytes(Connection& c);
  void end_below(Connection& c, wire::Code code);  // below the frames: what a layer has to say goes out, no Error frame
  void mark_dirty(Connection& c);
  std::string& out_of(Connection& c);  // to append to; marks dirty
  std::string& ticks_of(Connection& c);

  // reactor_drain.cpp: goodbyes
  void stop_accepting();
  void plan_farewell(ConnId id, milliseconds within);
  void begin_farewell(Connection& c, std::uint32_t retry_after_ms);
  void begin_due_farewells();
  void end_farewells();
  bool nothing_under_way(const Connection& c, TimePoint since) const;

  // reactor_messages.cpp: what the session asks for
  void apply(Connection& c);  // effects_
  void leave(Connection& c);
  void end_session(Connection& c, wire::Code code, std::uint32_t retry_after_ms, std::string_view text);
  void enqueue(Connection& c);
  void on_durable(std::size_t lane, std::size_t count);
  void on_refused(std::size_t lane, std::size_t count);
  struct LaneState;
  void measure_settled(LaneState& lane, std::size_t count, bool durable);
  void note_accepted(Connection& c, std::uint64_t seq);
  void flush_accepted();
  void call_directory(Connection& c);
  void answer_request(ConnId id, std::uint32_t request, const broker::Message* reply);
  void keep_bucket(const Online& online);

  // reactor_owners.cpp: the bus
  void open_session(Connection& c);
  void announce(Partition partition, bool again);
  void from_owner(std::string_view bytes);
  void deliver(const control::Delivery& delivery);

  // reactor_broker.cpp: the streams, and whether they are still those that acknowledged
  void make_lanes();
  void on_broker(bool connected);
  void verify_streams();
  void on_verified(std::uint64_t question, std::size_t stream, StreamSeq before, const broker::Message* reply);
  bool streams_verified() const { return unverified_ == 0 && link_->connected(); }

  // reactor_presence.cpp
  void watch(Connection& c);
  void offer_watch(Connection& c, std::optional<Partition> only);
  void end_watch(Connection& c, const Online& was);
  void tell_typing(Connection& c);
  void take_presence(const control::PresenceUpdate& update);
  void list_watching(Connection& c);
  bool flush_watching(ConnId id);
  void flush_presence(bool tick);
  bool over_full(const Connection& c) const;

  static constexpr unsigned kFdBits = 24;
  static constexpr std::size_t kPresenceBacklogMax = 16 * 1024;  // unsent bytes of a connection: presence waits
  static constexpr std::chrono::microseconds kTicksHold{10'000}, kBatchInterval{2'000},
      kGroupBatchInterval{5'000};                               // under load only
  static constexpr std::chrono::microseconds kAcksHold{1'500};  // acknowledgements, on their way to owners

  struct InLane {
    ConnId conn;
    std::uint64_t seq;
  };
  struct LaneState {
    std::unique_ptr<broker::Lane> lane;
    std::deque<InLane> senders;  // of the envelopes in the lane, in its order
    std::uint64_t next_tag = 0;
    std::uint64_t settled = 0;                                   // envelopes that have left `senders`
    std::deque<std::pair<std::uint64_t, TimePoint>> measured{};  // tag and time of those that are measured
  };
  struct AcceptedSet {
    ConnId conn;
    std::vector<SeqRange> ranges;
  };

  ReactorParts parts_;
  const int number_;
  std::vector<int> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor; freed after the engine
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<broker::NatsLink> link_;
  std::unique_ptr<broker::EdgeBus> bus_;
  std::unique_ptr<Owners> owners_;
  std::vector<LaneState> lanes_;  // of the partitions of users, then of those of groups
  Rules rules_;
  LoginVerifier verifier_;
  WebSocketCodec websocket_;
  Tally tally_;
  Wheel wheel_;
  Effects effects_;
  TimePoint turn_{}, broker_lost_{}, stop_deadline_{}, next_heartbeat_{};
  std::int64_t wall_offset_ms_ = 0;  // wall clock minus steady clock
  std::uint64_t ids_ = 0;
  std::uint32_t open_count_ = 0;
  std::size_t unverified_ = 0;      // streams that are not known to continue; until then lanes hold still
  std::uint64_t verification_ = 0;  // number of the round of questions
  TimePoint verify_at_ = TimePoint::max();
  bool listening_ = false, stopping_ = false, draining_ = false;
  struct Farewell {
    ConnId conn;
    TimePoint since;
    std::uint32_t retry_after_ms = 0;
  };
  std::multimap<TimePoint, ConnId> farewells_due_;  // of a drain: at most one a connection
  std::vector<Farewell> farewells_;                 // begun: nothing new is taken, what is under way is waited for

  std::vector<ConnId> dirty_, resumable_, ticks_;
  std::vector<ConnId> watching_, watching_new_;  // those with a watch to offer or entries to tell
  TimePoint ticks_due_{}, acks_due_ = TimePoint::max();
  std::vector<AcceptedSet> accepted_;  // reused; the first accepted_used_ are of this turn
  std::size_t accepted_used_ = 0;
  std::unordered_map<DeviceId, std::pair<TokenBucket, TokenBucket>> buckets_;
  control::ToEdge to_edge_;
  std::vector<Partition> lost_;
  std::string plain_;  // scratch of TLS
};

}  // namespace barid::edge
