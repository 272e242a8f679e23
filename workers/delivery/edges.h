// The edges that an owner talks to: names, signs of life, and what goes to each of them at the end of the turn.
// Belongs to the owner's loop.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "schemas/control.h"
#include "workers/delivery/core.h"

namespace barid::delivery {

class Edges {
 public:
  static constexpr seconds kSilenceMax{5};  // an edge says something every second

  struct Edge {
    std::string routing_id;
    TimePoint heard;
    bool gone = false;
    std::uint64_t expected = 1;  // number of its next message to us
    std::uint64_t sent = 0;      // number of our last message to it
    bool queued = false;         // has something this turn
    std::vector<control::PartitionEpoch> announced;
    control::ToEdge out;            // frames are offsets into arena until send()
    std::vector<std::size_t> ends;  // end of each delivery's frame in arena
    std::string arena;              // copies: a letter may be gone from its core before the turn ends
  };

  EdgeRef ref_of(std::string_view routing_id) {
    const auto found = by_id_.find(std::string(routing_id));
    if (found != by_id_.end()) return found->second;
    const auto ref = static_cast<EdgeRef>(edges_.size());
    edges_.emplace_back().routing_id = routing_id;
    by_id_.emplace(std::string(routing_id), ref);
    return ref;
  }
  Edge& at(EdgeRef ref) { return edges_[ref]; }
  std::size_t size() const { return edges_.size(); }

  void deliver(EdgeRef ref, Partition partition, Epoch epoch, ConnId conn, std::string_view frame) {
    Edge& edge = edges_[ref];
    mark(ref, edge);
    edge.arena.append(frame);
    edge.ends.push_back(edge.arena.size());
    edge.out.deliveries.push_back({partition, epoch, conn, {}});
  }
  void kick(EdgeRef ref, Partition partition, Epoch epoch, ConnId conn, wire::Code code) {
    mark(ref, edges_[ref]);
    edges_[ref].out.kicks.push_back({partition, epoch, conn, code});
  }
  void tell(EdgeRef ref, const control::PresenceUpdate& update) {
    if (edges_[ref].gone) return;
    mark(ref, edges_[ref]);
    edges_[ref].out.presences.push_back(update);
  }
  void ask_to_announce(EdgeRef ref) {
    mark(ref, edges_[ref]);
    edges_[ref].out.reannounce = true;
  }

  // So that an edge notices within a second that it missed something, even when that was the last.
  void heartbeat() {
    for (EdgeRef ref = 0; ref < edges_.size(); ++ref)
      if (!edges_[ref].gone) mark(ref, edges_[ref]);
  }

  // Gives each edge that has something its message: send(EdgeRef, const std::string& routing_id, const std::string&
  // bytes).
  template <class Send>
  void flush(Incarnation worker, Send&& send) {
    for (const EdgeRef ref : std::exchange(dirty_, {})) {
      Edge& edge = edges_[ref];
      std::size_t start = 0;
      for (std::size_t i = 0; i < edge.ends.size(); ++i) {
        edge.out.deliveries[i].frame = std::string_view(edge.arena).substr(start, edge.ends[i] - start);
        start = edge.ends[i];
      }
      edge.queued = false;
      edge.out.worker = worker;
      edge.out.number = ++edge.sent;
      control::encode(bytes_, edge.out);
      edge.out.clear();
      edge.ends.clear();
      edge.arena.clear();
      send(ref, edge.routing_id, bytes_);
    }
  }

 private:
  void mark(EdgeRef ref, Edge& edge) {
    if (!std::exchange(edge.queued, true)) dirty_.push_back(ref);
  }
  std::deque<Edge> edges_;  // references stay valid; an edge process that is gone keeps its (small) slot
  std::unordered_map<std::string, EdgeRef> by_id_;
  std::vector<EdgeRef> dirty_;
  std::string bytes_;
};

}  // namespace barid::delivery
