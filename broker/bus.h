// The direct hop between edges and owners: ZeroMQ, one message a turn and peer. Lossy by design; the owner's
// deadlines make up for it. Each object belongs to its loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/loop.h"

namespace barid::broker {

enum class Sent { sent, backpressure, unreachable };

// The owners' side: a ROUTER bound to one endpoint.
class OwnerBus {
 public:
  using OnMessage = std::function<void(std::string_view edge, std::string_view bytes)>;
  static constexpr int kHighWaterMark = 10'000;  // messages per peer
  // Throws when the endpoint can't be bound.
  OwnerBus(FdWatcher& loop, const std::string& endpoint, OnMessage on_message);
  ~OwnerBus();
  Sent send(std::string_view edge, std::string_view bytes);
  void poll();  // call at the end of each turn: ZeroMQ's descriptor is edge-triggered

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// An edge reactor's side: one DEALER per owner endpoint.
class EdgeBus {
 public:
  using OnMessage = std::function<void(std::string_view bytes)>;
  // routing_id: at most 255 bytes, unique in the cluster.
  EdgeBus(FdWatcher& loop, std::string routing_id, OnMessage on_message);
  ~EdgeBus();
  void connect(const std::string& endpoint);  // again is harmless
  void disconnect(const std::string& endpoint);
  Sent send(const std::string& endpoint, std::string_view bytes);
  void poll();  // call at the end of each turn

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::broker
