#include "edge/reactor.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "base/partition.h"
#include "broker/topology.h"

namespace barid::edge {

using wire::Code;

Reactor::Reactor(const ReactorParts& parts, int number, std::vector<int> listeners)
    : parts_(parts),
      number_(number),
      listeners_(std::move(listeners)),
      engine_(Engine::make(parts.config.edge.engine)),
      rules_(parts.config.edge),
      verifier_(parts.meta.directory_key),
      tally_(parts.metrics),
      wheel_(engine_->now()) {
  const Config& config = parts.config;
  engine_->set_handler(*this);
  rules_.message_ttl = config.messages.ttl;
  rules_.partitions = parts.meta.partitions;
  rules_.incarnation = parts.meta.incarnation;
  rules_.address_key = parts.meta.address_key;
  const Incarnation incarnation(crypto::random_u64());
  const std::string name = config.edge.name + "/" + std::to_string(number);
  link_ = std::make_unique<broker::NatsLink>(*engine_, config.nats, "barid-edge " + name,
                                             [this](bool connected) { on_broker(connected); });
  bus_ = std::make_unique<broker::EdgeBus>(*engine_, name + "/" + hex_id(incarnation.value),
                                           [this](std::string_view bytes) { from_owner(bytes); });
  owners_ = std::make_unique<Owners>(*bus_, incarnation, parts.meta.partitions);
  make_lanes();
  broker_lost_ = engine_->now();  // until it says that its streams continue
  verify_streams();
  engine_->every(Wheel::kTick, [this] { every_tick(); });
  engine_->at_turn_end([this] { end_turn(); });
}

Reactor::~Reactor() {
  lanes_.clear();
  owners_.reset();
  bus_.reset();
  link_.reset();
  engine_.reset();
  for (auto& c : connections_)
    if (c != nullptr) ::close(c->fd);
  for (const int fd : listeners_) ::close(fd);
}

void Reactor::run() { engine_->run(); }

bool Reactor::post(std::function<void(Reactor&)> work) {
  return engine_->post([this, work = std::move(work)] {
    begin_turn();
    work(*this);
  });
}

bool Reactor::stop() {
  return post([](Reactor& reactor) { reactor.begin_stop(); });
}

void Reactor::start_listening() {
  if (std::exchange(listening_, true) || stopping_ || draining_) return;
  for (std::size_t i = 0; i < listeners_.size(); ++i) engine_->listen(listeners_[i], static_cast<int>(i));
}

void Reactor::set_revoked(DeviceId device, bool revoked) {
  if (!revoked) {
    rules_.revoked.erase(device);
    return;
  }
  if (!rules_.revoked.insert(device).second) return;
  for (auto& c : connections_) {
    const Online* online = c != nullptr ? c->session.online() : nullptr;
    if (online != nullptr && online->device == device) end_session(*c, Code::device_revoked, 0, "device revoked");
  }
}

// ---- connections

Connection* Reactor::slot(ConnId id) {
  const std::size_t fd = id.value & ((1U << kFdBits) - 1);
  return fd < connections_.size() ? connections_[fd].get() : nullptr;
}
Connection* Reactor::find(ConnId id) {
  Connection* c = slot(id);
  return c != nullptr && c->id == id && !c->closing ? c : nullptr;
}
Connection* Reactor::find_opened(ConnId id) {
  Connection* c = slot(id);
  return c != nullptr && c->owner_conn == id && !c->closing ? c : nullptr;
}

void Reactor::on_accept(int listener, int fd) {
  begin_turn();
  BARID_ASSERT(fd < (1 << kFdBits));
  const ListenerConfig& config = parts_.config.edge.listeners[static_cast<std::size_t>(listener)];
  set_no_delay(fd);
  auto owned = std::make_unique<Connection>();
  Connection& c = *owned;
  c.fd = fd;
  c.id = next_id(fd);
  c.listener = static_cast<std::uint8_t>(listener);
  c.address = peer_of(fd);
  c.session.state = Greeting{{}, turn_ + limits::kLoginDeadline};
  c.session.heard = turn_;
  if (config.tls || config.proxy_protocol || config.kind == "websocket") {
    c.layers = std::make_unique<Layers>();
    c.layers->awaits_proxy_header = config.proxy_protocol;
    c.layers->is_websocket = config.kind == "websocket";
    if (c.layers->is_websocket) c.layers->upgrade = std::make_unique<WebSocketUpgrade>();
    if (config.tls) c.layers->tls = std::make_unique<TlsStream>(*parts_.tls);
  }
  if (!config.proxy_protocol && !admit(c)) {  // else the address is not known yet
    ::close(fd);
    return;
  }
  tally_.add(config.kind == "websocket" ? Count::connects_websocket : Count::connects_tcp);
  if (config.tls) tally_.add(Count::connects_tls);
  if (connections_.size() <= static_cast<std::size_t>(fd)) connections_.resize(static_cast<std::size_t>(fd) + 64);
  connections_[static_cast<std::size_t>(fd)] = std::move(owned);
  ++open_count_;
  parts_.metrics.connections->Increment();
  c.wheel_tick = wheel_.put(c.id, turn_ + limits::kLoginDeadline);
  engine_->add(c);
  if (draining_) plan_farewell(c.id, kFarewellAckPatience);
  if (c.layers == nullptr) become_ready(c);
}

bool Reactor::admit(Connection& c) {
  const Gate::Admission admission = parts_.gate.enter(c.address, turn_);
  c.admitted = admission.verdict == Gate::Verdict::admitted;
  if (!c.admitted) refuse_connection(c, admission);
  return c.admitted;
}

// Only bare TCP can be told: anything else would need its handshake first, which is what a flood wants us to do.
void Reactor::refuse_connection(Connection& c, Gate::Admission admission) {
  const bool too_fast = admission.verdict == Gate::Verdict::too_fast;
  if (admission.verdict == Gate::Verdict::too_many) tally_.add(Count::limit_connections);
  if (admission.verdict == Gate::Verdict::too_many_from_address) tally_.add(Count::limit_address);
  if (too_fast) tally_.add(Count::limit_connect_rate);
  if (!c.ready && c.layers == nullptr) tally_.closed(too_fast ? Code::rate_limited : Code::too_many_connections);
  if (c.layers != nullptr && (c.layers->tls != nullptr || c.layers->is_websocket)) return;
  std::string frame;
  wire::append(frame, wire::Error{too_fast ? Code::rate_limited : Code::too_many_connections, admission.retry_after_ms,
                                  too_fast ? "connects per address" : "connections"});
  [[maybe_unused]] const auto sent = ::send(c.fd, frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Reactor::on_bytes(Socket& socket, std::string_view bytes) {
  begin_turn();
  auto& c = static_cast<Connection&>(socket);
  tally_.add(Count::bytes_in, bytes.size());
  c.session.heard = turn_;
  c.session.pinged = false;
  if (!c.leaving) receive(c, bytes);  // else: only waiting for the peer's FIN
}

void Reactor::on_end(Socket& socket, int error) {
  begin_turn();
  auto& c = static_cast<Connection&>(socket);
  if (!c.leaving) {
    spdlog::debug("connection {:x} closed by {}", c.id.value, error == 0 ? "the client" : "the network");
    tally_.closed(Code::none);
    if (Online* online = c.session.online()) {
      owners_->close(partition_of(online->user, rules_.partitions), {online->user, online->device, c.owner_conn});
      end_watch(c, *online);
      keep_bucket(*online);
    }
    c.session.state = Ended{};
    c.leaving = true;
  }
  engine_->close(c);
}

void Reactor::on_sent(Socket& socket) {
  auto& c = static_cast<Connection&>(socket);
  if (!c.out.empty() || c.leaving || (c.layers && (!c.layers->cipher.empty() || !c.layers->control.empty())))
    mark_dirty(c);
}

void Reactor::on_closed(Socket& socket) {
  auto& c = static_cast<Connection&>(socket);
  if (c.admitted) parts_.gate.leave(c.address);
  parts_.metrics.connections->Decrement();
  --open_count_;
  connections_[static_cast<std::size_t>(c.fd)].reset();
}

// ---- time

void Reactor::look_at_time(Connection& c) {
  if (c.leaving) {
    if (turn_ >= c.linger_until) return engine_->close(c);
    c.wheel_tick = wheel_.put(c.id, c.linger_until);
    return;
  }
  if (c.stalled) c.session.heard = turn_;  // it is we who do not listen
  effects_.clear();
  const TimePoint next = step_time(c.session, rules_, turn_, effects_);
  apply(c);
  if (!c.leaving) c.wheel_tick = wheel_.put(c.id, next);
}

void Reactor::begin_turn() {
  if (turn_ == engine_->now()) return;
  turn_ = engine_->now();
  const auto steady_ms = std::chrono::duration_cast<milliseconds>(turn_.time_since_epoch()).count();
  if (wall_offset_ms_ == 0) wall_offset_ms_ = wall_now().value - steady_ms;
  rules_.wall = WallMs{steady_ms + wall_offset_ms_};
  rules_.broker_away = !streams_verified() && turn_ - broker_lost_ > Rules::kBrokerPatience;
}

void Reactor::every_tick() {
  wall_offset_ms_ = 0;  // follow the wall clock's corrections
  turn_ = {};
  begin_turn();
  wheel_.advance(turn_, [this](ConnId id, std::uint32_t tick) {
    Connection* c = find(id);
    if (c != nullptr && c->wheel_tick == tick) look_at_time(*c);
  });
  if (turn_ >= next_heartbeat_) {
    next_heartbeat_ = turn_ + Owners::kHeartbeat;
    owners_->flush(true, lost_);
    std::erase_if(buckets_, [this](const auto& item) {
      return item.second.first.full(rules_.edge.sends_per_device, turn_) &&
             item.second.second.full(rules_.edge.requests_per_device, turn_);
    });
    if (number_ == 0) parts_.gate.forget_idle(turn_);
  }
  flush_presence(true);
  if (turn_ >= verify_at_) verify_streams();
  begin_due_farewells();
  tally_.publish();
  if (stopping_ && (open_count_ == 0 || turn_ >= stop_deadline_)) engine_->stop();
}

void Reactor::end_turn() {
  begin_turn();
  for (std::size_t i = 0; i < resumable_.size(); ++i)
    if (Connection* c = find(resumable_[i])) resume_input(*c);
  resumable_.clear();
  for (std::size_t i = 0; i < lanes_.size() && streams_verified(); ++i) {
    const auto interval = i < lanes_.size() / 2 ? kBatchInterval : kGroupBatchInterval;
    lanes_[i].lane->flush(turn_, engine_->under_load() ? interval : interval.zero());
  }
  link_->expire_requests(turn_);
  link_->flush();
  bus_->poll();
  for (const Partition partition : std::exchange(lost_, {})) announce(partition, true);
  flush_presence(false);
  if (owners_->urgent() || turn_ >= acks_due_) {
    acks_due_ = TimePoint::max();
    if (const std::size_t refused = owners_->flush(false, lost_)) {
      tally_.add(Count::owner_backpressure, refused);
      engine_->turn_by(acks_due_ = turn_ + kAcksHold);  // what they did not take is offered again
    }
  }
  flush_accepted();
  end_farewells();
  if (!engine_->under_load() || turn_ >= ticks_due_) {
    for (const ConnId id : ticks_) {
      Connection* c = find(id);
      if (c == nullptr) continue;
      c->ticks_held = false;
      if (!c->out.empty()) mark_dirty(*c);
    }
    ticks_.clear();
  }
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    Connection* c = find(dirty_[i]);
    if (c == nullptr) continue;
    c->dirty = false;
    flush(*c);
  }
  dirty_.clear();
}

}  // namespace barid::edge
