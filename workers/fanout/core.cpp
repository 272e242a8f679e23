#include "workers/fanout/core.h"

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "base/partition.h"

namespace barid::fanout {

using wire::Code;
using wire::ReceiptKind;

Core::Core(CoreConfig config, Port& port)
    : config_(config), port_(port), read_receipts_(ReceiptKind::read, config.read_receipt_hold) {}

// ---- the stream
// ---------------------------------------------------------------------------------------------------

bool Core::given_again(StreamSeq seq) {
  if (seq > last_seq_) {
    last_seq_ = seq;
    return false;
  }
  const bool in_hand =
      std::any_of(hands_.begin(), hands_.end(), [seq](const auto& entry) { return entry.second.seq == seq; });
  if (!in_hand) port_.acknowledge(seq);  // it was, and the broker has not heard
  return true;
}

void Core::on_batch(StreamSeq seq, Batch batch, WallMs wall) {
  if (given_again(seq)) return;
  const HandId hand = next_hand_++;
  const auto count = static_cast<std::uint32_t>(batch.envelopes().size());
  hands_.emplace(hand, Hand{std::move(batch), seq, false, count + 1});  // + 1: not before all are looked at
  for (std::uint32_t i = 0; i < count; ++i) {
    const Item item{hand, i};
    const GroupId id(envelope_of(item).to_user.value);
    if (envelope_of(item).kind == envelope::Kind::event) hands_.at(hand).has_event = true;
    Group& group = group_of(id);
    if (group.waiting.empty()) ++waiting_groups_;
    group.waiting.push_back(item);
    if (group.waiting.size() == 1) run(id, group, wall);
  }
  settle(hand);
  forget_groups();
}

void Core::on_unreadable_batch(StreamSeq seq, std::string_view bytes) {
  if (given_again(seq)) return;
  const HandId hand = next_hand_++;
  hands_.emplace(hand, Hand{Batch{}, seq, false, 1});
  ++stats_.unreadable;
  const Tag tag = next_tag_++;
  publishes_.emplace(tag, Publish{0, {{hand, 1}}});
  port_.bury_raw(bytes, tag);
}

// An event leaves the stream after all that came before it: a successor that starts at an earlier place takes the
// members of that place and must meet every event that follows.
void Core::settle(HandId hand, std::uint32_t count) {
  const auto found = hands_.find(hand);
  BARID_ASSERT(found != hands_.end() && found->second.open >= count);
  found->second.open -= count;
  if (found->second.open != 0 || (found->second.has_event && found != hands_.begin())) return;
  port_.acknowledge(found->second.seq);
  hands_.erase(found);
  while (!hands_.empty() && hands_.begin()->second.open == 0) {
    port_.acknowledge(hands_.begin()->second.seq);
    hands_.erase(hands_.begin());
  }
}

void Core::on_durable(Tag tag, WallMs wall) {
  auto node = publishes_.extract(tag);
  BARID_ASSERT(!node.empty());
  expanded_bytes_ -= node.mapped().bytes;
  for (const auto& [hand, count] : node.mapped().hands) settle(hand, count);
  run_stalled(wall);
}

// ---- groups
// -------------------------------------------------------------------------------------------------------

Core::Group& Core::group_of(GroupId id) {
  const auto [found, fresh] = groups_.try_emplace(id);
  Group& group = found->second;
  if (fresh)
    group.used = used_.insert(used_.begin(), id);
  else
    used_.splice(used_.begin(), used_, group.used);
  return group;
}

// Only what nobody waits for: what waits is bounded by the batches in hand.
void Core::forget_groups() {
  for (auto at = used_.end();
       at != used_.begin() && (groups_.size() > config_.groups_max || devices_ > config_.devices_max);) {
    --at;
    const auto found = groups_.find(*at);
    if (!found->second.waiting.empty()) continue;
    if (found->second.members) devices_ -= found->second.members->devices();
    groups_.erase(found);
    at = used_.erase(at);
  }
}

// Takes what waits, as far as it goes.
void Core::run(GroupId id, Group& group, WallMs wall) {
  while (!group.waiting.empty() && !group.asking) {
    if (!room()) {
      if (!std::exchange(group.stalled, true)) stalled_.push_back(id);
      return;
    }
    const Item item = group.waiting.front();
    if (take(id, group, item, wall) == Step::asks) return;
    group.waiting.pop_front();
    if (group.waiting.empty()) --waiting_groups_;
    settle(item.hand);
  }
}

void Core::run_stalled(WallMs wall) {
  while (!stalled_.empty() && room()) {
    const GroupId id = stalled_.front();
    stalled_.pop_front();
    Group& group = groups_.at(id);
    group.stalled = false;
    run(id, group, wall);
  }
}

Core::Step Core::take(GroupId id, Group& group, const Item& item, WallMs wall) {
  if (!group.members) return ask(id, group, hands_.at(item.hand).seq);
  switch (envelope_of(item).kind) {
    case envelope::Kind::event:
      return take_event(id, group, item, wall);
    case envelope::Kind::message:
      take_message(id, group, item, wall);
      return Step::taken;
    case envelope::Kind::receipt:
      take_read_receipt(id, group, item);
      return Step::taken;
  }
  return Step::taken;
}

void Core::set_members(Group& group, Members members) {
  if (group.members) devices_ -= group.members->devices();
  group.members = std::move(members);
  devices_ += group.members->devices();
}

// Those before and those after get it: who is removed learns it, and so does who comes.
Core::Step Core::take_event(GroupId id, Group& group, const Item& item, WallMs wall) {
  Envelope e = envelope_of(item);
  const StreamSeq here = hands_.at(item.hand).seq;
  const auto raw = wire::split(e.frame);
  const auto frame = raw ? wire::decode(*raw) : fail(Code::malformed);
  const auto* event = frame ? std::get_if<wire::GroupEvent>(&*frame) : nullptr;
  if (event == nullptr || event->group != id) {
    SPDLOG_ERROR("group {}: an unreadable event in batch {}", hex_id(id.value), here.value);
    ++stats_.unreadable;
    return Step::taken;
  }
  if (event->version <= group.members->version()) {
    ++stats_.duplicates;
    return Step::taken;
  }
  Members after;
  if (group.after) {
    after = std::move(*group.after);
    group.after.reset();
    if (after.version() < event->version) {  // not in force behind this place: it comes again further on
      SPDLOG_WARN("group {}: event {} is ahead of its time", hex_id(id.value), event->version);
      set_members(group, std::move(after));
      return Step::taken;
    }
  } else if (event->version != group.members->version() + 1) {
    ++stats_.gaps;
    SPDLOG_WARN("group {}: event {} follows {}", hex_id(id.value), event->version, group.members->version());
    if (group.members_as_of != here) {
      devices_ -= group.members->devices();
      group.members.reset();
      return ask(id, group, here);
    }
    if (event->kind != wire::GroupEventKind::deleted) return ask(id, group, StreamSeq(here.value + 1));
    after = *group.members;
    BARID_ASSERT(after.apply(*event));
  } else {
    after = *group.members;
    if (!after.apply(*event)) return ask(id, group, StreamSeq(here.value + 1));
  }
  ++stats_.events;
  // Its name is group and version, where a message's is device and number.
  e.group = id;
  e.from_device = DeviceId(id.value);
  e.seq = event->version;
  e.expires_at = WallMs{wall.value + milliseconds(config_.ttl).count()};
  expand(item, e, after.routes_with(*group.members, config_.partitions), std::nullopt);
  set_members(group, std::move(after));
  return Step::taken;
}

void Core::take_message(GroupId id, Group& group, const Item& item, WallMs wall) {
  Envelope e = envelope_of(item);
  e.group = id;
  if (e.seq != 0 && dedup_.seen(e.from_device, DeviceId(id.value), e.seq)) {
    ++stats_.duplicates;
    return;
  }
  if (!group.members->contains(e.from_user)) return refuse(item, e, Code::not_member, wall);
  if (!group.members->may_send(e.from_user)) return refuse(item, e, Code::not_allowed, wall);
  ++stats_.messages;
  expand(item, e, group.members->routes(config_.partitions), e.from_device);
}

// A member has read what to_device wrote; the frame says which of it.
void Core::take_read_receipt(GroupId id, Group& group, const Item& item) {
  const Envelope& e = envelope_of(item);
  if (e.seq != 0 && dedup_.seen(e.from_device, DeviceId(id.value), e.seq)) {
    ++stats_.duplicates;
    return;
  }
  // Nobody waits for the answer to a receipt, and who is no member may not learn whose device it is.
  const auto author = group.members->user_of(e.to_device);
  if (!group.members->contains(e.from_user) || !author || *author == e.from_user) return;
  const auto raw = wire::split(e.frame);
  const auto frame = raw ? wire::decode(*raw) : fail(Code::malformed);
  const auto* receipt = frame ? std::get_if<wire::GroupReceipt>(&*frame) : nullptr;
  if (receipt == nullptr) {
    ++stats_.unreadable;
    return;
  }
  ++stats_.read_receipts;
  for (const wire::GroupReceiptPart& part : receipt->parts)
    for (const SeqRange& range : part.ranges) {
      ++hands_.at(item.hand).open;
      read_receipts_.add({e.to_device, id}, *author, e.from_user, range, item.hand);
    }
}

// ---- to the partitions
// --------------------------------------------------------------------------------------------

void Core::publish(Partition to, const Envelope& envelope, std::vector<std::pair<HandId, std::uint32_t>> hands) {
  const Tag tag = next_tag_++;
  const std::size_t bytes = envelope.frame.size() + envelope.recipients.size() * sizeof(Recipient);
  expanded_bytes_ += bytes;
  ++stats_.envelopes;
  for (const auto& [hand, count] : hands) hands_.at(hand).open += count;
  publishes_.emplace(tag, Publish{bytes, std::move(hands)});
  port_.publish(to, envelope, tag);
}

void Core::expand(const Item& item, const Envelope& e, const std::vector<Route>& routes, std::optional<DeviceId> but) {
  thread_local std::vector<Recipient> others;
  for (const Route& route : routes) {
    std::span<const Recipient> left = route.recipients;
    const bool here =
        but && std::any_of(left.begin(), left.end(), [&](const Recipient& r) { return r.device == *but; });
    if (here) {
      others.clear();
      std::copy_if(left.begin(), left.end(), std::back_inserter(others),
                   [&](const Recipient& r) { return r.device != *but; });
      left = others;
    }
    stats_.letters += left.size();
    while (!left.empty()) {
      const std::size_t count = std::min(left.size(), limits::kEnvelopeRecipientsMax);
      Envelope many = e;
      many.to_user = UserId();
      many.to_device = DeviceId();
      many.recipients = left.first(count);
      publish(route.to, many, {{item.hand, 1}});
      left = left.subspan(count);
    }
  }
}

void Core::refuse(const Item& item, const Envelope& e, Code code, WallMs wall) {
  ++stats_.refused;
  SPDLOG_DEBUG("{} refused: {}", trace_id(e.id()), wire::name_of(code));
  std::string frame;
  wire::append(frame,
               wire::Receipt{ReceiptKind::failed, UserId(e.group.value), DeviceId(), {{e.seq, 1}}, wall.value, code});
  publish(partition_of(e.from_user, config_.partitions),
          {UserId(e.group.value), DeviceId(), 0, e.from_user, e.from_device, wall,
           WallMs{wall.value + milliseconds(config_.ttl).count()}, envelope::Kind::receipt, 0, frame, e.group},
          {{item.hand, 1}});
}

void Core::end_turn(TimePoint now, WallMs wall) {
  read_receipts_.flush(now, hands_.size() > config_.hands_max / 2,
                       [&](const delivery::GroupReceipts::Leaving& leaving) {
                         for (wire::GroupReceipt receipt : leaving.receipts) {
                           receipt.at_ms = wall.value;
                           std::string frame;
                           wire::append(frame, receipt);
                           auto hands = leaving.hands;
                           for (auto& [hand, count] : hands) count = 1;
                           publish(partition_of(leaving.author_user, config_.partitions),
                                   {UserId(leaving.key.group.value), DeviceId(), 0, leaving.author_user,
                                    leaving.key.author, wall, WallMs{wall.value + milliseconds(config_.ttl).count()},
                                    envelope::Kind::receipt, 0, frame, leaving.key.group},
                                   std::move(hands));
                         }
                         for (const auto& [hand, count] : leaving.hands) settle(hand, count);
                       });
}

// ---- snapshots
// ----------------------------------------------------------------------------------------------------

Core::Step Core::ask(GroupId id, Group& group, StreamSeq before) {
  group.asking = Asking{next_ask_++, before, config_.ask_again_min};
  to_ask_.push_back(id);
  next_asks();
  return Step::asks;
}

void Core::next_asks() {
  while (!to_ask_.empty() && asks_under_way_ < config_.asks_max) {
    const GroupId id = to_ask_.front();
    to_ask_.pop_front();
    Asking& asking = *groups_.at(id).asking;
    asking.under_way = true;
    ++asks_under_way_;
    ++stats_.snapshots;
    port_.ask_snapshot(id, asking.before, asking.number);
  }
}

void Core::on_snapshot(GroupId id, Ask number, const control::GroupSnapshot& snapshot, WallMs wall) {
  const auto found = groups_.find(id);
  if (found == groups_.end() || !found->second.asking || found->second.asking->number != number ||
      !found->second.asking->under_way)
    return;
  Group& group = found->second;
  const StreamSeq before = group.asking->before;
  group.asking.reset();
  --asks_under_way_;
  if (group.members) {
    group.after = Members(snapshot);
  } else {
    set_members(group, Members(snapshot));
    group.members_as_of = before;
  }
  next_asks();
  run(id, group, wall);
  forget_groups();
}

void Core::on_snapshot_failed(GroupId id, Ask number, TimePoint now) {
  const auto found = groups_.find(id);
  if (found == groups_.end() || !found->second.asking || found->second.asking->number != number ||
      !found->second.asking->under_way)
    return;
  Asking& asking = *found->second.asking;
  asking.under_way = false;
  --asks_under_way_;
  ++stats_.snapshots_failed;
  asking.number = next_ask_++;
  again_.emplace(now + asking.again_after, id);
  asking.again_after = std::min(asking.again_after * 2, config_.ask_again_max);
  next_asks();
}

void Core::on_tick(TimePoint now) {
  while (!again_.empty() && again_.begin()->first <= now) {
    to_ask_.push_back(again_.begin()->second);
    again_.erase(again_.begin());
  }
  next_asks();
}

}  // namespace barid::fanout
