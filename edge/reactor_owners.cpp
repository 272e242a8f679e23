// The reactor and the owners of partitions: opening sessions with them, and what they deliver.
#include <spdlog/spdlog.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/partition.h"
#include "edge/reactor.h"

namespace barid::edge {

using wire::Code;

// Every opening has a connection id of its own, so that nothing of an earlier one (deliveries on their way, counts of
// acknowledgements) can be taken for this one's.
void Reactor::open_session(Connection& c) {
  Online& online = *c.session.online();
  if (effects_.logged_in) {
    tally_.add(Count::logins);
    c.wheel_tick =
        wheel_.put(c.id, turn_ + milliseconds(rules_.edge.half_open_deadline) / 2);  // not the login deadline
    if (auto kept = buckets_.extract(online.device); !kept.empty())
      std::tie(online.sends, online.requests) = kept.mapped();
  }
  const Partition home = partition_of(online.user, rules_.partitions);
  c.owner_conn = next_id(c.fd);
  note_opened(online, Epoch());
  if (owners_->open(home, {online.user, online.device, c.owner_conn, online.session_no}))
    note_opened(online, owners_->of(home).epoch);
}

// again: also those that were opened at this epoch already, because the owner lost count of us.
void Reactor::announce(Partition partition, bool again) {
  const Epoch epoch = owners_->of(partition).epoch;
  effects_.clear();
  std::size_t sessions = 0;
  for (auto& c : connections_) {
    Online* online = c != nullptr && !c->closing ? c->session.online() : nullptr;
    if (online == nullptr || partition_of(online->user, rules_.partitions) != partition) continue;
    if (!again && online->opened_at == epoch) continue;
    open_session(*c);
    ++sessions;
  }
  owners_->announced(partition);
  for (auto& c : connections_)
    if (c != nullptr && !c->closing && c->watching != nullptr && !c->watching->unoffered()) offer_watch(*c, partition);
  spdlog::debug("partition {}: {} sessions announced at epoch {}", partition.value, sessions, epoch.value);
}

void Reactor::set_owner(Partition partition, Owner owner) {
  if (owners_->set(partition, std::move(owner))) announce(partition, false);
}

void Reactor::lose_owner(Partition partition) {
  if (partition.value >= owners_->count()) return;
  Owner nobody = owners_->of(partition);
  nobody.endpoint.clear();
  owners_->set(partition, nobody);
}

void Reactor::from_owner(std::string_view bytes) {
  begin_turn();
  if (control::decode_to_edge(bytes, to_edge_) != nullptr) {
    spdlog::warn("an owner sent {} bytes that can't be read: is its version another?", bytes.size());
    return;
  }
  const Incarnation worker = to_edge_.worker;
  const bool complete = owners_->heard(worker, to_edge_.number);
  if (!complete) spdlog::warn("messages of an owner were lost; opening the sessions with it anew");
  if (to_edge_.reannounce || !complete) {  // first: what is meant for the sessions of before must not be counted
    for (std::uint16_t p = 0; p < owners_->count(); ++p)
      if (owners_->of(Partition(p)).worker == worker) announce(Partition(p), true);
  }
  for (const control::Delivery& delivery : to_edge_.deliveries) deliver(delivery);
  for (const control::PresenceUpdate& update : to_edge_.presences) take_presence(update);
  for (const control::Kick& kick : to_edge_.kicks) {
    Connection* c = owners_->admit(kick.partition, kick.epoch) ? find_opened(kick.conn) : nullptr;
    if (c != nullptr) end_session(*c, kick.code, 0, "closed by the owner of the partition");
  }
}

void Reactor::deliver(const control::Delivery& delivery) {
  Connection* c = owners_->admit(delivery.partition, delivery.epoch) ? find_opened(delivery.conn) : nullptr;
  if (c == nullptr || c->leaving) return tally_.add(Count::deliveries_dropped);
  Online& online = *c->session.online();
  online.opened_at = delivery.epoch;  // it may have taken over from itself before we heard of it
  ++online.written;
  const auto frame = wire::split(delivery.frame);
  const bool can_wait = frame && frame->type == wire::FrameType::receipt;
  (can_wait ? ticks_of(*c) : out_of(*c)).append(delivery.frame);
  tally_.add(Count::frames_out);
  if (over_full(*c)) end_session(*c, Code::slow_reader, 0, "deliveries are not read");
}

bool Reactor::over_full(const Connection& c) const {
  return c.out.size() + (c.in_flight.size() - c.sent) > limits::kOutBufferBytesMax;
}

}  // namespace barid::edge
