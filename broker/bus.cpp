#include "broker/bus.h"

#include <unordered_map>
#include <zmq.hpp>

#include "base/log.h"
#include "broker/control.h"

namespace barid::broker {
namespace {

constexpr int kReadsPerPoll = 1'000;  // then the rest of the loop gets its turn
constexpr int kLingerMs = 200;

int descriptor(zmq::socket_t& socket) { return static_cast<int>(socket.get(zmq::sockopt::fd)); }

std::string_view view(const zmq::message_t& message) {
  return {static_cast<const char*>(message.data()), message.size()};
}

}  // namespace

struct OwnerBus::Impl {
  Impl(FdWatcher& l, OnMessage m)
      : loop(l), on_message(std::move(m)), context(1), socket(context, zmq::socket_type::router) {}
  FdWatcher& loop;
  OnMessage on_message;
  zmq::context_t context;
  zmq::socket_t socket;
  int fd = -1;

  void read() {
    for (int i = 0; i < kReadsPerPoll; ++i) {
      zmq::message_t peer, body;
      if (!socket.recv(peer, zmq::recv_flags::dontwait)) return;
      if (!peer.more() || !socket.recv(body, zmq::recv_flags::dontwait)) continue;
      while (body.more()) {  // not ours: skip its other parts
        zmq::message_t rest;
        if (!socket.recv(rest, zmq::recv_flags::dontwait) || !rest.more()) break;
      }
      on_message(view(peer), view(body));
    }
  }
};

OwnerBus::OwnerBus(FdWatcher& loop, const std::string& endpoint, OnMessage on_message)
    : impl_(std::make_unique<Impl>(loop, std::move(on_message))) {
  zmq::socket_t& socket = impl_->socket;
  socket.set(zmq::sockopt::router_mandatory, true);
  socket.set(zmq::sockopt::router_handover, true);  // an edge that reconnects replaces its dead connection
  socket.set(zmq::sockopt::linger, kLingerMs);
  socket.set(zmq::sockopt::sndhwm, kHighWaterMark);
  socket.set(zmq::sockopt::rcvhwm, kHighWaterMark);
  try {
    socket.bind(endpoint);
  } catch (const zmq::error_t& error) {
    throw Error("cannot bind the bus to " + endpoint + ": " + error.what());
  }
  impl_->fd = descriptor(socket);
  loop.watch(impl_->fd, EPOLLIN, [this](std::uint32_t) { poll(); });
}

OwnerBus::~OwnerBus() { impl_->loop.unwatch(impl_->fd); }

Sent OwnerBus::send(std::string_view edge, std::string_view bytes) {
  try {
    const auto sent = impl_->socket.send(zmq::buffer(edge), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    if (!sent) return Sent::backpressure;
    impl_->socket.send(zmq::buffer(bytes), zmq::send_flags::dontwait);
    return Sent::sent;
  } catch (const zmq::error_t& error) {
    if (error.num() == EHOSTUNREACH) return Sent::unreachable;
    throw;
  }
}

void OwnerBus::poll() {
  if ((impl_->socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0) impl_->read();
}

struct EdgeBus::Impl {
  Impl(FdWatcher& l, std::string id, OnMessage m)
      : loop(l), routing_id(std::move(id)), on_message(std::move(m)), context(1) {}
  FdWatcher& loop;
  std::string routing_id;
  OnMessage on_message;
  zmq::context_t context;
  struct Peer {
    zmq::socket_t socket;
    int fd;
  };
  std::unordered_map<std::string, Peer> peers;

  void read(Peer& peer) {
    if ((peer.socket.get(zmq::sockopt::events) & ZMQ_POLLIN) == 0) return;
    for (int i = 0; i < kReadsPerPoll; ++i) {
      zmq::message_t body;
      if (!peer.socket.recv(body, zmq::recv_flags::dontwait)) return;
      on_message(view(body));
    }
  }
};

EdgeBus::EdgeBus(FdWatcher& loop, std::string routing_id, OnMessage on_message)
    : impl_(std::make_unique<Impl>(loop, std::move(routing_id), std::move(on_message))) {}

EdgeBus::~EdgeBus() {
  for (auto& [endpoint, peer] : impl_->peers) impl_->loop.unwatch(peer.fd);
}

void EdgeBus::connect(const std::string& endpoint) {
  if (impl_->peers.contains(endpoint)) return;
  zmq::socket_t socket(impl_->context, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::routing_id, impl_->routing_id);
  socket.set(zmq::sockopt::linger, kLingerMs);
  socket.set(zmq::sockopt::sndhwm, OwnerBus::kHighWaterMark);
  socket.set(zmq::sockopt::rcvhwm, OwnerBus::kHighWaterMark);
  socket.set(zmq::sockopt::reconnect_ivl, 50);
  socket.set(zmq::sockopt::reconnect_ivl_max, 1'000);
  socket.connect(endpoint);
  const int fd = descriptor(socket);
  impl_->peers.emplace(endpoint, Impl::Peer{std::move(socket), fd});
  impl_->loop.watch(fd, EPOLLIN, [this, endpoint](std::uint32_t) {
    const auto found = impl_->peers.find(endpoint);
    if (found != impl_->peers.end()) impl_->read(found->second);
  });
}

void EdgeBus::disconnect(const std::string& endpoint) {
  const auto found = impl_->peers.find(endpoint);
  if (found == impl_->peers.end()) return;
  impl_->loop.unwatch(found->second.fd);
  impl_->peers.erase(found);
}

Sent EdgeBus::send(const std::string& endpoint, std::string_view bytes) {
  const auto found = impl_->peers.find(endpoint);
  if (found == impl_->peers.end()) return Sent::unreachable;
  return found->second.socket.send(zmq::buffer(bytes), zmq::send_flags::dontwait) ? Sent::sent : Sent::backpressure;
}

void EdgeBus::poll() {
  for (auto& [endpoint, peer] : impl_->peers) impl_->read(peer);
}

}  // namespace barid::broker
