// The simulated owner's shell and the simulated broker.
#include <algorithm>

#include "tests/unit/delivery_sim_owner.h"

namespace barid::delivery::sim {

// ---- ownership

void World::take_over() {
  const bool from_itself = worker_ != 0 && rng_.percent(40);
  if (!from_itself) ++worker_;
  ++epoch_;
  auto numbers = owner_ && from_itself ? owner_->edge_numbers : std::map<std::size_t, std::uint64_t>{};
  if (owner_) crash_owner();
  owner_ = std::make_unique<Owner>(*this, Epoch(epoch_), worker_);
  owner_->edge_numbers = std::move(numbers);
  for (IngressMessage& m : ingress_) m.given = false;
  note("owner: epoch ", epoch_, " worker ", worker_);
}

void World::crash_owner() {
  ++tally_.takeovers;
  const CoreStats& s = owner_->core->stats();
  tally_.parked += s.parked, tally_.drained += s.drained, tally_.kicked += s.kicked, tally_.buried += s.buried;
  tally_.expired += s.expired, tally_.gone += s.gone, tally_.blocked += s.blocked;
  const auto spill = [this](const Lane& lane) {  // on its way when the process dies
    if (lane.state == Lane::State::published && rng_.percent(50)) late_.push_back({lane.inbox, lane.batch, lane.id});
  };
  for (const auto& [device, lane] : owner_->parks) spill(lane);
  spill(owner_->receipts);
  for (std::size_t n = rng_.below(owner_->deletes.size() + 1); n > 0; --n) land_delete(false);
  while (!owner_->deletes.empty()) land_delete(true);
  for (std::size_t n = rng_.below(owner_->acknowledgements.size() + 1); n > 0; --n) land_acknowledgement();
  for (IngressMessage& m : ingress_) {
    if (!m.acknowledged || m.gone) continue;
    m.acknowledged = false;  // void: the next owner gets it again
    if (m.readable) count_copies(m.bytes, +1);
  }
  owner_.reset();
}

void World::after_event() {
  if (!faults_ || rng_.percent(60)) owner_->core->end_turn(now_, wall());
}

// ---- the ingress stream

StreamSeq World::append_ingress(std::string bytes, bool readable) {
  if (readable) count_copies(bytes, +1);
  ingress_.push_back({std::move(bytes), readable});
  return StreamSeq(ingress_.size());
}

void World::give_batch() {
  Owner& o = *owner_;
  if (!o.consuming) {
    std::size_t alive = 0;
    for (const Edge& e : edges_) alive += e.alive ? 1 : 0;
    if (o.announced.size() < alive && !rng_.percent(10)) return;
    o.consuming = true;
  }
  while (o.next_batch < ingress_.size() && ingress_[o.next_batch].gone) ++o.next_batch;
  if (o.next_batch >= ingress_.size() || o.in_hand >= config_.hands_max) return;
  const std::size_t index = o.next_batch++;
  ++o.in_hand;
  ingress_[index].given = true;
  const StreamSeq seq(index + 1);
  note("ingress ", seq.value, " given");
  if (ingress_[index].readable) {
    o.core->on_batch(seq, std::move(*Batch::decode(ingress_[index].bytes)), now_, wall());
  } else {
    const std::string bytes = ingress_[index].bytes;
    o.core->on_unreadable_batch(seq, bytes);
  }
  after_event();
}

// The broker gives a batch again that it has not seen acknowledged, to the same owner.
void World::redeliver() {
  std::vector<std::size_t> candidates;
  for (std::size_t i = 0; i < ingress_.size(); ++i)
    if (ingress_[i].given && !ingress_[i].gone && ingress_[i].readable) candidates.push_back(i);
  if (candidates.empty()) return;
  const std::size_t index = candidates[rng_.below(candidates.size())];
  ++tally_.redelivered;
  note("ingress ", index + 1, " given again");
  owner_->core->on_batch(StreamSeq(index + 1), std::move(*Batch::decode(ingress_[index].bytes)), now_, wall());
  after_event();
}

void World::land_acknowledgement() {
  const StreamSeq seq = owner_->acknowledgements.front();
  owner_->acknowledgements.pop_front();
  ingress_[seq.value - 1].gone = true;
}

// ---- lanes

void World::start_batch(Lane& lane) {
  const std::size_t count = rng_.between(1, std::min<std::size_t>(lane.open.size(), 6));
  std::vector<Envelope> envelopes;
  lane.tags.clear();
  for (std::size_t i = 0; i < count; ++i) {
    envelopes.push_back(lane.open[i].envelope);
    envelopes.back().frame = lane.open[i].frame;
    lane.tags.push_back(lane.open[i].tag);
  }
  const std::uint64_t device = lane.inbox ? lane.inbox->device.value : 0;
  envelope::encode_batch(lane.batch, epoch_, ++lane.number, envelopes);
  lane.id = std::to_string(epoch_) + "/" + std::to_string(device) + "/" + std::to_string(lane.number);
  lane.open.erase(lane.open.begin(), lane.open.begin() + static_cast<std::ptrdiff_t>(count));
  lane.state = Lane::State::published;
}

// nullopt: refused, the inbox is full.
std::optional<StreamSeq> World::store(const std::optional<Address>& inbox, const std::string& bytes,
                                      const std::string& id) {
  if (profile_.inbox_dedups || !inbox)
    if (const auto found = stored_ids_.find(id); found != stored_ids_.end()) return StreamSeq(found->second);
  StreamSeq seq;
  if (inbox) {
    auto& messages = inboxes_[inbox->device];
    if (faults_ && profile_.full_inboxes && messages.size() >= 4) return std::nullopt;
    seq = StreamSeq(++inbox_seq_);
    messages.emplace(seq.value, InboxMessage{bytes});
    count_copies(bytes, +1);
    note("inbox of ", inbox->device.value, ": ", seq.value, " stored, id ", id);
  } else {
    seq = append_ingress(bytes, true);
    const Batch receipts = std::move(*Batch::decode(bytes));
    for (const Envelope& e : receipts.envelopes()) receipt_is_durable(e);
  }
  stored_ids_[id] = seq.value;
  return seq;
}

void World::step_lane(Lane& lane) {
  using State = Lane::State;
  switch (lane.state) {
    case State::idle:
      if (!lane.open.empty()) start_batch(lane);
      return;
    case State::to_be_repeated:
      ++tally_.repeated_publishes;
      lane.state = State::published;
      return;
    case State::published: {
      if (faults_ && profile_.lost_park_acks && rng_.percent(15)) {
        if (profile_.late_publishes && rng_.percent(50)) late_.push_back({lane.inbox, lane.batch, lane.id});
        lane.state = State::to_be_repeated;
        return;
      }
      const auto seq = store(lane.inbox, lane.batch, lane.id);
      lane.state = seq ? State::landed : State::refused;
      if (seq) lane.seq = *seq;
      return;
    }
    case State::landed:
    case State::refused:
      if (faults_ && profile_.lost_park_acks && rng_.percent(15))
        lane.state = State::to_be_repeated;
      else
        answer(lane);
  }
}

void World::answer(Lane& lane) {
  auto tags = std::exchange(lane.tags, {});
  const bool refused = lane.state == Lane::State::refused;
  lane.state = Lane::State::idle;
  if (!lane.inbox) {
    for (const Tag tag : tags) owner_->core->on_receipt_durable(tag);
  } else if (!refused) {
    const Address of = *lane.inbox;
    owner_->core->on_parked(of, tags, lane.seq, lane.batch);
  } else {
    for (const Lane::Item& item : lane.open) tags.push_back(item.tag);
    lane.open.clear();
    ++tally_.refused;
    const Address of = *lane.inbox;
    owner_->core->on_park_refused(of, tags);
  }
  after_event();
}

void World::land_late() {
  if (late_.empty()) return;
  const std::size_t at = rng_.below(late_.size());
  const LatePublish late = std::move(late_[at]);
  late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(at));
  ++tally_.late_publishes;
  note("late publish ", late.id);
  static_cast<void>(store(late.inbox, late.bytes, late.id));
}

// ---- inboxes

void World::answer_read() {
  Owner& o = *owner_;
  if (o.reads.empty()) return;
  const std::size_t at = rng_.below(o.reads.size());
  const Owner::Read read = o.reads[at];
  o.reads.erase(o.reads.begin() + static_cast<std::ptrdiff_t>(at));
  if (reads_fail_ && rng_.percent(25)) {
    o.core->on_inbox_failed(read.of, read.number);
    if (rng_.percent(50)) return;  // else the answer comes nevertheless, and late
  }
  const auto& messages = inboxes_[read.of.device];
  const auto found = messages.lower_bound(read.from.value);
  if (found == messages.end()) {
    note("inbox of ", read.of.device.value, " read from ", read.from.value, ": end");
    // The broker looked, and says so a while later: what lands between is not in the answer.
    if (faults_ && rng_.percent(50)) {
      if (const auto lane = o.parks.find(read.of.device); lane != o.parks.end())
        for (int i = 0; i < 2; ++i) step_lane(lane->second);
    }
    o.core->on_inbox_end(read.of, read.number);
  } else {
    const StreamSeq seq(found->first);
    const InboxMessage message = found->second;
    note("inbox of ", read.of.device.value, " read from ", read.from.value, ": ", seq.value);
    if (message.readable)
      o.core->on_inbox_batch(read.of, read.number, seq, std::move(*Batch::decode(message.bytes)), now_, wall());
    else
      o.core->on_inbox_unreadable(read.of, read.number, seq, message.bytes);
  }
  after_event();
}

void World::land_delete(bool lost) {
  Owner& o = *owner_;
  if (o.deletes.empty()) return;
  const Owner::Delete deletion = o.deletes.front();
  o.deletes.pop_front();
  auto& messages = inboxes_[deletion.of.device];
  const auto found = messages.find(deletion.seq.value);
  if (found == messages.end()) return;
  if (!lost) {
    messages.erase(found);
  } else if (found->second.deleted) {
    found->second.deleted = false;
    if (found->second.readable) count_copies(found->second.bytes, +1);
  }
}

void World::land_burial() {
  Owner& o = *owner_;
  if (o.burials.empty()) return;
  const Tag tag = o.burials.front();
  o.burials.pop_front();
  o.core->on_buried(tag);
  after_event();
}

void World::sweep() {
  const Device& device = devices_[rng_.below(devices_.size())];
  const auto& messages = inboxes_[device.id];
  for (const auto& [seq, message] : messages) {
    if (message.deleted || !message.readable) continue;
    const Batch batch = std::move(*Batch::decode(message.bytes));
    if (owner_->core->on_swept({device.user, device.id}, StreamSeq(seq), batch, wall())) ++tally_.swept;
    after_event();
    return;  // only the head
  }
}

void World::tick() {
  pass(milliseconds(1'000));
  heartbeats();
  owner_->core->on_tick(now_);
  owner_->core->end_turn(now_, wall());
}

}  // namespace barid::delivery::sim
