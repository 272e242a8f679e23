// One ownership in the simulated world: the real Core, and a queue for every kind of effect. What the shell of
// workers/delivery/ does with NATS and ZeroMQ, World does with these queues.
#pragma once

#include "tests/unit/delivery_sim_world.h"

namespace barid::delivery::sim {

struct World::Owner final : Port {
  struct Read {
    Address of;
    StreamSeq from;
    std::uint64_t number;
  };
  struct Delete {
    Address of;
    StreamSeq seq;
  };
  Owner(World& w, Epoch e, std::uint64_t of_worker)
      : world(w), epoch(e), worker(of_worker), core(std::make_unique<Core>(w.config_, w.directory_, *this)) {}

  void deliver(EdgeRef edge, ConnId conn, std::string_view frame) override {
    send(edge, {worker, 0, epoch, conn, std::string(frame)});
  }
  void kick(EdgeRef edge, ConnId conn, wire::Code code) override {
    world.note("owner kicks conn ", conn.value, " of edge ", edge, ": ", wire::name_of(code));
    if (code == wire::Code::session_replaced) world.judge_replaced(conn);
    send(edge, {worker, 0, epoch, conn, std::nullopt});
  }
  void send(EdgeRef to, ToEdge message) {
    Edge& edge = world.edges_.at(to);
    if (!edge.alive) return;
    message.number = edge_numbers[to]++;
    edge.to_edge.push_back(std::move(message));
  }
  void park(const Address& to, const Envelope& letter, Tag tag) override {
    Lane& lane = parks[to.device];
    lane.inbox = to;
    lane.open.push_back({letter, std::string(letter.frame), tag});
    world.note("park ", letter.from_device.value, "/", letter.seq, " for ", to.device.value);
  }
  void publish_receipt(const Envelope& receipt, Tag tag) override {
    world.judge_publish(receipt);
    receipts.open.push_back({receipt, std::string(receipt.frame), tag});
  }
  void bury(const Envelope& letter, wire::Code, Tag tag) override {
    world.note("bury ", letter.from_device.value, "/", letter.seq);
    burials.push_back(tag);
  }
  void bury_raw(std::string_view, Tag tag) override { burials.push_back(tag); }
  void acknowledge(StreamSeq seq) override {
    world.judge_acknowledged(seq.value - 1);
    acknowledgements.push_back(seq);
  }
  void read_inbox(const Address& of, StreamSeq from, std::uint64_t number) override {
    reads.push_back({of, from, number});
  }
  void delete_from_inbox(const Address& of, StreamSeq seq) override {
    world.judge_deleted(of, seq);
    deletes.push_back({of, seq});
  }

  bool idle() const {
    for (const auto& [device, lane] : parks)
      if (!lane.idle()) return false;
    return receipts.idle() && burials.empty() && reads.empty() && deletes.empty() && acknowledgements.empty();
  }

  World& world;
  Epoch epoch;
  std::uint64_t worker;
  bool consuming = false;
  std::set<std::size_t> announced;  // edges
  std::size_t next_batch = 0;       // index into the ingress stream
  std::size_t in_hand = 0;          // given and not acknowledged
  std::map<DeviceId, Lane> parks;
  Lane receipts;
  std::deque<Tag> burials;
  std::deque<Read> reads;
  std::deque<Delete> deletes;
  std::deque<StreamSeq> acknowledgements;
  std::map<std::size_t, std::uint64_t> edge_numbers;
  std::unique_ptr<Core> core;  // last: dies first
};

template <class... Parts>
void World::note(const Parts&... parts) {
  if (!tracing_) return;
  std::string line = std::to_string(now_.time_since_epoch() / milliseconds(1)) + " ";
  const auto add = [&line](const auto& part) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>)
      line += std::to_string(part);
    else
      line += part;
  };
  (add(parts), ...);
  trace_.push_back(std::move(line));
  if (trace_.size() > kTraceLines) trace_.pop_front();
}

}  // namespace barid::delivery::sim
