// Simulated edges (as edge/ counts and announces) and the people behind them.
#include <algorithm>

#include "schemas/wire.h"
#include "tests/unit/delivery_sim_owner.h"

namespace barid::delivery::sim {

// ---- edges

std::size_t World::live_edge() {
  for (;;)
    if (const std::size_t at = rng_.below(edges_.size()); edges_[at].alive) return at;
}

template <class T>
void World::tell_owner(std::size_t edge, T what) {
  Edge& e = edges_[edge];
  if (e.worker == 0) return;  // knows no owner yet: announces when it does
  e.to_owner.push_back({e.worker, e.sent[e.worker]++, what});
}

// Both ways, so that a number is missed even when the lost message was the last one.
void World::heartbeats() {
  for (std::size_t i = 0; i < edges_.size(); ++i) {
    if (!edges_[i].alive) continue;
    tell_owner(i, std::monostate());
    owner_->send(static_cast<EdgeRef>(i), {owner_->worker, 0, owner_->epoch, ConnId(), std::nullopt});
  }
}

void World::edge_hears_of_owner(std::size_t edge) {
  Edge& e = edges_[edge];
  if (e.epoch == owner_->epoch) return;
  e.epoch = owner_->epoch;
  e.highest = std::max(e.highest, e.epoch);
  e.worker = owner_->worker;
  note("edge ", edge, " hears of epoch ", e.epoch.value);
  announce_all(edge);
  owner_->announced.insert(edge);
}

void World::announce_all(std::size_t edge) {
  for (std::size_t i = 0; i < connections_.size(); ++i)
    if (connections_[i].edge == edge && connections_[i].open_at_edge) open_session(i);
}

void World::open_session(std::size_t connection) {
  Connection& c = connections_[connection];
  c.at_owner = ConnId(next_conn_++);
  c.base = c.written;
  const Device& d = devices_[c.device];
  note("edge ", c.edge, " opens ", d.id.value, " conn ", c.at_owner.value, " session ", c.session_no.value);
  tell_owner(c.edge, control::SessionOpen{d.user, d.id, c.at_owner, c.session_no});
}

void World::close_at_edge(std::size_t connection, bool tell) {
  Connection& c = connections_[connection];
  if (!c.open_at_edge) return;
  c.open_at_edge = false;
  const Device& d = devices_[c.device];
  note("edge ", c.edge, " closes ", d.id.value, " conn ", c.at_owner.value);
  if (tell) tell_owner(c.edge, control::SessionClose{d.user, d.id, c.at_owner});
}

void World::to_owner_arrives(std::size_t edge) {
  Edge& e = edges_[edge];
  if (e.to_owner.empty()) return;
  const ToOwner message = e.to_owner.front();
  e.to_owner.pop_front();
  Owner& o = *owner_;
  if (message.worker != o.worker) return;  // to one that is gone
  std::uint64_t& expected = expected_[{o.worker, edge}];
  if (message.number != expected) {
    ++tally_.gaps;
    note("owner misses messages of edge ", edge);
    ToEdge wish{o.worker, 0, o.epoch, ConnId(), std::nullopt, true};
    o.send(static_cast<EdgeRef>(edge), wish);
  }
  expected = message.number + 1;
  const auto from = static_cast<EdgeRef>(edge);
  if (const auto* open = std::get_if<control::SessionOpen>(&message.what)) {
    note("owner opens ", open->device.value, " conn ", open->conn.value, " session ", open->session_no.value);
    o.core->on_open(from, *open);
  } else if (const auto* ack = std::get_if<control::SessionAck>(&message.what)) {
    note("owner hears ack of ", ack->device.value, " conn ", ack->conn.value, " up to ", ack->up_to);
    o.core->on_ack(from, *ack, now_);
  } else if (const auto* close = std::get_if<control::SessionClose>(&message.what)) {
    note("owner closes ", close->device.value, " conn ", close->conn.value);
    o.core->on_close(from, *close);
  }
  after_event();
}

void World::to_edge_arrives(std::size_t edge) {
  Edge& e = edges_[edge];
  if (e.to_edge.empty()) return;
  const ToEdge message = std::move(e.to_edge.front());
  e.to_edge.pop_front();
  std::uint64_t& expected = e.expected[message.worker];
  const bool gap = message.number != expected;
  expected = message.number + 1;
  if (message.epoch < e.highest) return;
  e.highest = message.epoch;
  if (gap || message.reannounce) {  // opened anew, so that what is on its way to the old conn is dropped
    tally_.gaps += gap ? 1 : 0;
    note("edge ", edge, gap ? " misses messages" : " is asked to announce again");
    announce_all(edge);
  }
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& c = connections_[i];
    if (c.edge != edge || !c.open_at_edge || c.at_owner != message.conn) continue;
    if (!message.frame) return close_at_edge(i, rng_.percent(50));
    ++c.written;
    if (c.open_at_device) c.wire.push_back(*message.frame);
    return;
  }
}

void World::lose_bus_message() {
  const std::size_t edge = rng_.below(edges_.size());
  Edge& e = edges_[edge];
  ++tally_.lost_bus;
  if (rng_.percent(50) && !e.to_edge.empty()) {
    note("lost on the way to edge ", edge);
    e.to_edge.erase(e.to_edge.begin() + static_cast<std::ptrdiff_t>(rng_.below(e.to_edge.size())));
  } else if (!e.to_owner.empty()) {
    note("lost on the way from edge ", edge);
    e.to_owner.erase(e.to_owner.begin() + static_cast<std::ptrdiff_t>(rng_.below(e.to_owner.size())));
  }
}

// Either it dies, and another takes its place; or the owner only believes so.
void World::kill_edge() {
  const std::size_t at = live_edge();
  if (rng_.percent(50)) {
    note("edge ", at, " dies");
    for (std::size_t i = 0; i < connections_.size(); ++i)
      if (connections_[i].edge == at) close_at_edge(i, false);
    edges_[at].alive = false;
    edges_[at].to_edge.clear();
    edges_.emplace_back();
    if (rng_.percent(50)) edges_[at].to_owner.clear();
  } else {
    note("edge ", at, " seems dead");
    owner_->core->on_edge_gone(static_cast<EdgeRef>(at));
    owner_->send(static_cast<EdgeRef>(at), {owner_->worker, 0, owner_->epoch, ConnId(), std::nullopt, true});
    return after_event();
  }
  owner_->core->on_edge_gone(static_cast<EdgeRef>(at));
  after_event();
}

// ---- people

void World::connect(Device& device) {
  if (device.connection && connections_[*device.connection].open_at_device) {
    if (connections_[*device.connection].open_at_edge || !connections_[*device.connection].wire.empty()) return;
    connections_[*device.connection].open_at_device = false;  // notices that it was closed
  }
  if (device.revoked) return;
  const std::size_t edge = live_edge();
  device.connection = connections_.size();
  Connection fresh;
  fresh.device = static_cast<std::size_t>(&device - devices_.data());
  fresh.edge = edge;
  fresh.session_no = SessionNo(++device.session_no);
  connections_.push_back(std::move(fresh));
  open_session(*device.connection);
}

void World::read_frame(Device& device) {
  if (!device.connection) return;
  Connection& c = connections_[*device.connection];
  if (!c.open_at_device || c.wire.empty()) return;
  const std::string frame = std::move(c.wire.front());
  c.wire.pop_front();
  show(device, frame);
  ++c.taken;
}

void World::acknowledge(Device& device) {
  if (!device.connection) return;
  Connection& c = connections_[*device.connection];
  if (!c.open_at_device || c.taken == c.told) return;
  // Sometimes not all that it has.
  c.told = faults_ ? c.told + rng_.between(1, static_cast<std::size_t>(c.taken - c.told)) : c.taken;
  if (!c.open_at_edge || c.told <= c.base) return;
  tell_owner(c.edge, control::SessionAck{device.user, device.id, c.at_owner, c.told - c.base});
}

void World::vanish(Device& device) {
  if (!device.connection) return;
  Connection& c = connections_[*device.connection];
  if (!c.open_at_device) return;
  c.open_at_device = false;
  c.wire.clear();
  note("device ", device.id.value, " leaves");
  if (rng_.percent(40)) close_at_edge(*device.connection, true);  // else the edge notices later
}

void World::write_letter(Device& device) {
  if (device.revoked) return;
  if (profile_.groups && rng_.percent(35)) return write_to_group(device);
  Device& to = devices_[rng_.below(devices_.size())];
  if (to.id == device.id) return;
  Truth letter;
  letter.from = device.id;
  letter.to = to.id;
  // Numbers only have to grow.
  device.next_seq += rng_.percent(10) ? rng_.below(100) : 0;
  letter.seq = device.next_seq++;
  letter.may_expire = profile_.short_lives && rng_.percent(20);
  const std::int64_t life =
      letter.may_expire ? static_cast<std::int64_t>(rng_.between(500, 30'000)) : 30LL * 86'400'000;
  letter.expires_at = WallMs{wall().value + life};
  if (const auto block = blocks_.find({to.user, device.user}); block != blocks_.end()) {
    letter.may_block = true;
    letter.block_no = block->second;
  }
  const std::string content(rng_.between(1, 60), static_cast<char>('a' + rng_.below(26)));
  wire::append(letter.frame, wire::Deliver{device.user, device.id, letter.seq, wall().value, wall().value, content});
  letter_of_[{device.id, letter.seq, letter.to}] = letters_.size();
  device.outbox.push_back(letters_.size());
  letters_.push_back(std::move(letter));
  ++tally_.letters;
}

// As the fan-out publishes it: one envelope for everybody else.
void World::write_to_group(Device& device) {
  const std::size_t first = letters_.size();
  const std::uint64_t seq = device.next_seq++;
  const GroupId group(rng_.between(1, 2));
  std::string frame;
  wire::append(frame, wire::Deliver{device.user, device.id, seq, wall().value, wall().value, "to many", group});
  const bool may_expire = profile_.short_lives && rng_.percent(20);
  const std::int64_t life = may_expire ? static_cast<std::int64_t>(rng_.between(500, 30'000)) : 30LL * 86'400'000;
  for (const Device& to : devices_) {
    if (to.id == device.id) continue;
    Truth letter;
    letter.from = device.id, letter.to = to.id, letter.seq = seq, letter.frame = frame, letter.group = group;
    letter.may_expire = may_expire;
    letter.expires_at = WallMs{wall().value + life};
    letter_of_[{device.id, seq, to.id}] = letters_.size();
    if (letters_.size() != first) letters_[first].mates.push_back(letters_.size());
    letters_.push_back(std::move(letter));
    ++tally_.group_letters;
  }
  device.outbox.push_back(first);
}

void World::write_read_receipt(Device& device, const Truth& of) {
  if (device.revoked) return;
  Truth letter;
  letter.from = device.id;
  letter.to = of.from;
  letter.seq = device.next_seq++;
  letter.kind = envelope::Kind::receipt;
  letter.expires_at = WallMs{wall().value + 30LL * 86'400'000};
  wire::append(letter.frame, wire::Receipt{wire::ReceiptKind::read,
                                           device.user,
                                           device.id,
                                           {{of.seq, 1}},
                                           static_cast<std::int64_t>(letter.seq),
                                           wire::Code::none});
  letter_of_[{device.id, letter.seq, letter.to}] = letters_.size();
  device.outbox.push_back(letters_.size());
  letters_.push_back(std::move(letter));
}

// A sender offers everything that is not accepted, in order, always beginning with the lowest; but for one that was
// refused and is tried again when others have gone before.
void World::post(Device& device) {
  if (faults_ && profile_.resends && !device.outbox.empty() && rng_.percent(10)) {
    device.held_back.push_back(device.outbox.front());
    device.outbox.pop_front();
    letters_[device.held_back.back()].late = true;
    for (const std::size_t mate : letters_[device.held_back.back()].mates) letters_[mate].late = true;
  }
  if (!device.held_back.empty() && (!faults_ || rng_.percent(5))) {
    device.outbox.push_front(device.held_back.front());
    device.held_back.pop_front();
  }
  if (device.outbox.empty()) return;
  const std::size_t count = rng_.between(1, std::min<std::size_t>(device.outbox.size(), 8));
  std::vector<Envelope> batch;
  std::deque<std::vector<envelope::Recipient>> recipients;  // that the batch points to
  const auto flush = [&] {
    std::string bytes;
    envelope::encode_batch(bytes, device.id.value, 1, batch);
    if (faults_ && profile_.resends && rng_.percent(10))
      late_.push_back({std::nullopt, bytes, std::string("again-") + std::to_string(ingress_.size())});
    append_ingress(std::move(bytes), true);
    batch.clear();
  };
  for (std::size_t i = 0; i < count; ++i) {
    Truth& letter = letters_[device.outbox[i]];
    letter.in_ingress = true;
    letter.to_be_offered = false;
    auto& to = recipients.emplace_back();
    if (letter.group.value != 0) to.push_back({user_of(letter.to), letter.to});
    for (const std::size_t mate : letter.mates) {
      letters_[mate].in_ingress = true;
      letters_[mate].to_be_offered = false;
      to.push_back({user_of(letters_[mate].to), letters_[mate].to});
    }
    batch.push_back({device.user, device.id, letter.seq, user_of(letter.to), letter.to, wall(), letter.expires_at,
                     letter.kind, 0, letter.frame, letter.group, to});
    if (rng_.percent(40)) flush();
  }
  if (!batch.empty()) flush();
  if (faults_ && profile_.resends && rng_.percent(25)) return;  // "accepted" got lost: offered again
  const std::size_t accepted = faults_ && profile_.resends ? rng_.between(1, count) : count;
  device.outbox.erase(device.outbox.begin(), device.outbox.begin() + static_cast<std::ptrdiff_t>(accepted));
}

// Offered again although accepted, because it was not yet delivered.
void World::resend_old() {
  if (letters_.empty()) return;
  const std::size_t at = rng_.below(letters_.size());
  const Truth& letter = letters_[at];
  if (!letter.in_ingress || letter.sender_saw_delivered || letter.sender_saw_failed || letter.may_block) return;
  if (letter.to_be_offered) return;  // after a loss all of it comes again, in its order
  std::string bytes;
  envelope::encode_batch(bytes, letter.from.value, 2,
                         {{user_of(letter.from), letter.from, letter.seq, user_of(letter.to), letter.to, wall(),
                           letter.expires_at, letter.kind, 0, letter.frame, letter.group}});
  note("offered again: ", name_of(letter));
  append_ingress(std::move(bytes), true);
}

UserId World::user_of(DeviceId id) const {
  return std::find_if(devices_.begin(), devices_.end(), [id](const Device& d) { return d.id == id; })->user;
}

void World::toggle_block() {
  const Device& who = devices_[rng_.below(devices_.size())];
  const Device& whom = devices_[rng_.below(devices_.size())];
  if (who.user == whom.user) return;
  const auto pair = std::make_pair(who.user, whom.user);
  if (blocks_.erase(pair) != 0) {
    directory_.blocked_by[who.user].erase(whom.user);
    note("user ", who.user.value, " unblocks ", whom.user.value);
    return;
  }
  blocks_[pair] = ++block_no_;
  directory_.blocked_by[who.user].insert(whom.user);
  note("user ", who.user.value, " blocks ", whom.user.value);
  for (Truth& letter : letters_)
    if (letter.group.value == 0 && user_of(letter.from) == whom.user && user_of(letter.to) == who.user)
      letter.may_block = true;
}

void World::revoke() {
  Device& device = devices_[rng_.below(devices_.size())];
  std::size_t left = 0;
  for (const Device& d : devices_) left += d.revoked ? 0 : 1;
  if (device.revoked || left <= 2) return;
  note("device ", device.id.value, " is revoked");
  device.revoked = true;
  for (Truth& letter : letters_)
    if (letter.from == device.id && letter.to_be_offered) letter.in_ingress = false;  // gone with its sender
  directory_.revoked.insert(device.id);
  owner_->core->on_revoked(device.id);
  after_event();
}

void World::bury_garbage() {
  if (++garbage_ > 6) return;
  if (rng_.percent(50)) {
    append_ingress("not a batch", false);
  } else {
    const Device& of = devices_[rng_.below(devices_.size())];
    inboxes_[of.id].emplace(++inbox_seq_, InboxMessage{"not a batch", false});
  }
}

}  // namespace barid::delivery::sim
