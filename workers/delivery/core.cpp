#include "workers/delivery/core.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"

namespace barid::delivery {

using wire::Code;
using wire::ReceiptKind;

Core::Core(CoreConfig config, const Directory& directory, Port& port)
    : config_(config),
      directory_(directory),
      port_(port),
      kept_(config.kept_bytes_max),
      group_receipts_(ReceiptKind::delivered, config.group_receipt_hold) {}

// ---- the ingress stream
// -------------------------------------------------------------------------------------------

// True: the broker gave it before. Its letters would pass for repeats and settle at once, so what is in hand must be
// recognised by its sequence; what is no longer in hand was acknowledged, and the broker has not heard.
bool Core::given_again(StreamSeq seq) {
  if (seq > last_ingress_) {
    last_ingress_ = seq;
    return false;
  }
  const bool in_hand = std::any_of(hands_.begin(), hands_.end(),
                                   [&](const auto& entry) { return !entry.second.inbox && entry.second.seq == seq; });
  if (!in_hand) port_.acknowledge(seq);
  return true;
}

void Core::on_batch(StreamSeq seq, Batch batch, TimePoint now, WallMs wall, TimePoint durable) {
  if (given_again(seq)) return;
  const HandId id = next_hand_++;
  const auto count = static_cast<std::uint32_t>(batch.envelopes().size());
  hands_.emplace(id,
                 Hand{std::move(batch), seq, count + 1, 0, std::nullopt, durable});  // + 1: not before all are routed
  ++ingress_hands_;
  unsettled_ += count + 1;
  stats_.letters += count;
  for (std::uint32_t i = 0; i < count; ++i) route(id, i, wall, now);
  settle(id);
}

void Core::on_unreadable_batch(StreamSeq seq, std::string_view bytes) {
  if (given_again(seq)) return;
  const HandId id = next_hand_++;
  hands_.emplace(id, Hand{Batch{}, seq, 1, 0, std::nullopt});
  ++ingress_hands_;
  ++unsettled_;
  ++stats_.buried;
  port_.bury_raw(bytes, tag_of({id, 0, false}));
}

void Core::route(HandId hand, std::uint32_t index, WallMs wall, TimePoint now) {
  const Letter letter{hand, index, false};
  const Envelope& e = envelope_of(letter);
  // Silently: the sender must not learn it. In a group people see what everybody sees.
  if (e.kind == envelope::Kind::message && e.group.value == 0 && directory_.blocks(e.to_user, e.from_user)) {
    ++stats_.blocked;
    return settle(hand);
  }
  if (stop_early(letter, e, wall)) return;
  if (e.seq != 0 && dedup_.seen(e.from_device, e.to_device, e.seq)) {
    ++stats_.duplicates;
    return settle(hand);
  }
  Device& d = device_of({e.to_user, e.to_device});
  if (d.mode != Mode::live) return park(d, e.to_device, letter);
  if (d.waiting.empty() && !window_full(d, e.frame.size())) return deliver(d, e.to_device, letter, now);
  if (d.waiting.size() < config_.waiting_letters_max) {
    d.waiting.push_back(letter);
    return;
  }
  fall_behind(d, e.to_device);
  park(d, e.to_device, letter);
}

// Letters that will not be delivered whatever the device's state. True: dealt with.
bool Core::stop_early(const Letter& letter, const Envelope& e, WallMs wall) {
  if (directory_.revoked.contains(e.to_device)) {
    ++stats_.gone;
    fail_letter(letter, Code::recipient_gone);
    return true;
  }
  if (e.expires_at < wall) {
    ++stats_.expired;
    fail_letter(letter, Code::expired);
    return true;
  }
  return false;
}

// ---- devices
// ------------------------------------------------------------------------------------------------------

const Envelope& Core::envelope_of(const Letter& letter) const {
  const auto found = hands_.find(letter.hand);
  BARID_ASSERT(found != hands_.end());
  return found->second.batch.envelopes()[letter.index];
}

Core::Device& Core::device_of(const Address& address) {
  const auto [found, fresh] = devices_.try_emplace(address.device);
  if (fresh) found->second.user = address.user;
  return found->second;
}

bool Core::window_full(const Device& d, std::size_t bytes) const {
  if (d.in_flight.empty()) return false;
  return d.in_flight.size() >= config_.window_letters || d.bytes_in_flight + bytes > config_.window_bytes;
}

void Core::deliver(Device& d, DeviceId id, const Letter& letter, TimePoint now) {
  const Envelope& e = envelope_of(letter);
  const auto bytes = static_cast<std::uint32_t>(e.frame.size());
  d.in_flight.push_back({letter, bytes, now});
  d.bytes_in_flight += bytes;
  ++stats_.delivered;
  if (!letter.from_inbox && stages_.handed.due())
    if (const TimePoint durable = hands_.at(letter.hand).durable; durable != TimePoint::max())
      stages_.handed.add(now - durable);
  port_.deliver(d.session->edge, d.session->conn, e.frame);
  SPDLOG_TRACE("{} delivered to {}", trace_id(e.id()), hex_id(id.value));
  if (!d.has_deadline) {
    d.has_deadline = true;
    deadlines_.emplace(now + config_.ack_deadline, id);
  }
}

void Core::pump(Device& d, DeviceId id, TimePoint now) {
  while (!d.waiting.empty() && !window_full(d, envelope_of(d.waiting.front()).frame.size())) {
    const Letter letter = d.waiting.front();
    d.waiting.pop_front();
    deliver(d, id, letter, now);
  }
  if (d.mode == Mode::draining) read_on(d, id);
}

void Core::park(Device& d, DeviceId id, const Letter& letter) {
  ++d.parks_under_way;
  d.inbox_known_empty = false;
  ++stats_.parked;
  port_.park({d.user, id}, envelope_of(letter), tag_of(letter));
}

void Core::settle(HandId hand) {
  Hand& h = hands_.at(hand);
  BARID_ASSERT(h.unsettled > 0);
  --h.unsettled;
  if (!h.inbox) --unsettled_;
  finish_if_settled(hand);
}

void Core::finish_if_settled(HandId hand) {
  const auto found = hands_.find(hand);
  if (found == hands_.end() || found->second.unsettled != 0 || found->second.receipts_not_durable != 0) return;
  Hand& h = found->second;
  if (!h.inbox) {
    port_.acknowledge(h.seq);
    --ingress_hands_;
    hands_.erase(found);
    return;
  }
  const Address of = *h.inbox;
  port_.delete_from_inbox(of, h.seq);
  const auto device = devices_.find(of.device);
  if (device != devices_.end())
    device->second.inbox_hands.erase_if([&](const auto& held) { return held.second == hand; });
  hands_.erase(found);
}

// ---- receipts
// -----------------------------------------------------------------------------------------------------

void Core::add_receipt(HandId hand, const Envelope& e, ReceiptKind kind, Code reason) {
  if (e.kind != envelope::Kind::message) return;  // no receipts for receipts
  if (e.group.value != 0) {
    // That one member of many does not get it says nothing to the author; nor do the author's own other devices.
    if (kind != ReceiptKind::delivered || e.to_user == e.from_user) return;
    group_receipts_.add({e.from_device, e.group}, e.from_user, e.to_user, {e.seq, 1}, hand);
  } else {
    PendingReceipt& pending = pending_receipts_[{e.from_device, e.to_device, kind, reason}];
    pending.to_user = e.from_user;
    pending.peer_user = e.to_user;
    auto& ranges = pending.ranges;
    if (!ranges.empty() && ranges.back().first + ranges.back().count == e.seq)
      ++ranges.back().count;
    else
      ranges.push_back({e.seq, 1});
    ++pending_receipt_hands_[hand];
  }
  ++hands_.at(hand).receipts_not_durable;
}

void Core::fail_letter(const Letter& letter, Code reason) {
  add_receipt(letter.hand, envelope_of(letter), ReceiptKind::failed, reason);
  settle(letter.hand);
}

void Core::end_turn(TimePoint now, WallMs wall) {
  for (std::size_t i = 0; i < to_serve_.size(); ++i) {  // grows while it is served
    Device& d = devices_.at(to_serve_[i]);
    d.to_serve = false;
    serve(d, to_serve_[i], now, wall);
  }
  to_serve_.clear();
  Receipts receipts;
  take_pending_receipts(receipts, wall);
  take_group_receipts(receipts, now, wall);
  if (receipts.empty()) return;
  const Tag tag = next_group_++;
  ReceiptGroup group;
  group.hands.assign(pending_receipt_hands_.begin(), pending_receipt_hands_.end());
  pending_receipt_hands_.clear();
  group.envelopes_not_durable = static_cast<std::uint32_t>(receipts.size());
  receipt_groups_.emplace(tag, std::move(group));
  stats_.receipts += receipts.size();
  for (auto& [receipt, frame] : receipts) {
    receipt.frame = frame;
    receipt.accepted_at = wall;
    receipt.expires_at = WallMs{wall.value + milliseconds(config_.receipt_ttl).count()};
    receipt.kind = envelope::Kind::receipt;
    port_.publish_receipt(receipt, tag);
  }
}

void Core::take_pending_receipts(Receipts& receipts, WallMs wall) {
  for (auto& [key, pending] : pending_receipts_) {
    for (std::size_t at = 0; at < pending.ranges.size(); at += limits::kRangesMax) {
      const auto end = std::min(at + limits::kRangesMax, pending.ranges.size());
      wire::Receipt receipt{key.kind,
                            pending.peer_user,
                            key.peer_device,
                            {pending.ranges.begin() + static_cast<std::ptrdiff_t>(at),
                             pending.ranges.begin() + static_cast<std::ptrdiff_t>(end)},
                            wall.value,
                            key.reason};
      Envelope envelope;
      envelope.from_user = pending.peer_user, envelope.from_device = key.peer_device;
      envelope.to_user = pending.to_user, envelope.to_device = key.to_device;
      wire::append(receipts.emplace_back(envelope, std::string()).second, receipt);
    }
  }
  pending_receipts_.clear();
}

void Core::take_group_receipts(Receipts& receipts, TimePoint now, WallMs wall) {
  group_receipts_.flush(now, under_pressure(), [&](const GroupReceipts::Leaving& leaving) {
    for (wire::GroupReceipt receipt : leaving.receipts) {
      receipt.at_ms = wall.value;
      Envelope envelope;
      envelope.from_user = UserId(leaving.key.group.value);
      envelope.to_user = leaving.author_user, envelope.to_device = leaving.key.author;
      envelope.group = leaving.key.group;
      wire::append(receipts.emplace_back(envelope, std::string()).second, receipt);
    }
    for (const auto& [hand, count] : leaving.hands) pending_receipt_hands_[hand] += count;
  });
}

void Core::on_receipt_durable(Tag tag) {
  const auto found = receipt_groups_.find(tag);
  BARID_ASSERT(found != receipt_groups_.end());
  if (--found->second.envelopes_not_durable != 0) return;
  const auto waiting = std::move(found->second.hands);
  receipt_groups_.erase(found);
  for (const auto& [hand, count] : waiting) {
    const auto held = hands_.find(hand);
    if (held == hands_.end()) continue;  // an inbox batch given up when its session ended
    held->second.receipts_not_durable -= count;
    finish_if_settled(hand);
  }
}

// ---- sessions
// -----------------------------------------------------------------------------------------------------

void Core::on_open(EdgeRef edge, const control::SessionOpen& open) {
  if (directory_.revoked.contains(open.device)) return port_.kick(edge, open.conn, Code::device_revoked);
  Device& d = device_of({open.user, open.device});
  if (d.session) {
    // Announced again: the edge counts frames from here, and so do we.
    const bool same = d.session->edge == edge && d.session->conn == open.conn;
    if (!same && open.session_no < d.session->number) return port_.kick(edge, open.conn, Code::session_stale);
    if (!same) port_.kick(d.session->edge, d.session->conn, Code::session_replaced);
    end_session(d, open.device);
  }
  d.session = Session{edge, open.conn, open.session_no};
  ++sessions_;
  port_.session_changed(open.user, true);
  SPDLOG_DEBUG("device {} away --open--> {}", hex_id(open.device.value), d.inbox_known_empty ? "live" : "draining");
  d.mode = d.inbox_known_empty && d.parks_under_way == 0 ? Mode::live : Mode::draining;
  read_on(d, open.device);
}

void Core::on_ack(EdgeRef edge, const control::SessionAck& ack, TimePoint now) {
  const auto found = devices_.find(ack.device);
  if (found == devices_.end()) return;
  Device& d = found->second;
  if (!d.session || d.session->edge != edge || d.session->conn != ack.conn) return;  // of a session that is over
  if (ack.up_to <= d.session->acknowledged) return;
  if (ack.up_to - d.session->acknowledged > d.session->to_absorb + d.in_flight.size()) {
    SPDLOG_WARN("device {} acknowledges more than it was given", hex_id(ack.device.value));
    ++stats_.kicked;
    port_.kick(edge, ack.conn, Code::protocol_violation);
    return end_session(d, ack.device);
  }
  while (d.session->acknowledged < ack.up_to) {
    ++d.session->acknowledged;
    if (d.session->to_absorb > 0) {
      --d.session->to_absorb;
      continue;
    }
    const InFlight taken = d.in_flight.front();
    d.in_flight.pop_front();
    d.bytes_in_flight -= taken.bytes;
    ++stats_.acknowledged;
    if (stages_.acknowledged.due()) stages_.acknowledged.add(now - taken.since);
    if (taken.letter.from_inbox) ++stats_.drained;
    const Envelope& e = envelope_of(taken.letter);
    SPDLOG_TRACE("{} in_flight --ack--> settled", trace_id(e.id()));
    add_receipt(taken.letter.hand, e, ReceiptKind::delivered, Code::none);
    settle(taken.letter.hand);
  }
  pump(d, ack.device, now);
}

void Core::on_close(EdgeRef edge, const control::SessionClose& close) {
  const auto found = devices_.find(close.device);
  if (found == devices_.end() || !found->second.session) return;
  Device& d = found->second;
  if (d.session->edge == edge && d.session->conn == close.conn) end_session(d, close.device);
}

void Core::on_edge_gone(EdgeRef edge) {
  std::vector<DeviceId> lost;
  for (auto& [id, d] : devices_)
    if (d.session && d.session->edge == edge) lost.push_back(id);
  for (const DeviceId id : lost) end_session(devices_.at(id), id);
}

void Core::end_session(Device& d, DeviceId id) {
  BARID_ASSERT(d.session);
  d.session.reset();
  --sessions_;
  port_.session_changed(d.user, false);
  d.mode = Mode::away;
  unload(d, id);
}

// The device is far behind: from here on it is served out of its inbox, in order. What it was given is parked
// too, lest it be parked behind newer letters if the session ends; the acknowledgements for it are absorbed.
void Core::fall_behind(Device& d, DeviceId id) {
  SPDLOG_DEBUG("device {} live --behind--> draining", hex_id(id.value));
  d.session->to_absorb += d.in_flight.size();
  d.mode = Mode::draining;
  unload(d, id);
}

// Whatever came from the inbox is still there; whatever came straight from the stream is parked behind it, in
// order.
void Core::unload(Device& d, DeviceId id) {
  d.reading = false;
  d.read = 0;
  const auto in_flight = std::exchange(d.in_flight, {});
  const auto waiting = std::exchange(d.waiting, {});
  d.bytes_in_flight = 0;
  if (!d.inbox_hands.empty()) {
    d.not_kept = std::max(d.not_kept, d.inbox_hands.back().first);
    d.next_read = d.inbox_hands.front().first;
    d.all_ours = d.all_ours && d.first_parked.value != 0 && d.next_read >= d.first_parked;
    for (const auto& [seq, hand] : d.inbox_hands) hands_.erase(hand);
    d.inbox_hands.clear();
    d.inbox_known_empty = false;
  }
  for (const InFlight& flying : in_flight)
    if (!flying.letter.from_inbox) park(d, id, flying.letter);
  for (const Letter& letter : waiting) park(d, id, letter);
}

void Core::on_revoked(DeviceId device) {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return;
  Device& d = found->second;
  if (!d.session) return;
  ++stats_.kicked;
  port_.kick(d.session->edge, d.session->conn, Code::device_revoked);
  end_session(d, device);
}

// ---- time
// ---------------------------------------------------------------------------------------------------------

void Core::time_out(Device& d, DeviceId id) {
  const Letter head = d.in_flight.front().letter;
  const LetterName name{envelope_of(head).id(), envelope_of(head).accepted_at.value};
  d.time_outs = d.timed_out == name ? static_cast<std::uint16_t>(d.time_outs + 1) : std::uint16_t{1};
  d.timed_out = name;
  SPDLOG_INFO("device {} did not acknowledge {} in time, session closed", hex_id(id.value), trace_id(name.first));
  if (d.time_outs >= config_.delivery_attempts) {
    d.time_outs = 0;
    if (head.from_inbox) {  // its hand ends with the session: buried by the next one, which can wait for that
      if (d.undeliverable.size() == kUndeliverableMax) d.undeliverable.erase(d.undeliverable.begin());
      d.undeliverable.push_back(name);
    } else {
      d.in_flight.pop_front();
      bury(head, Code::undeliverable);
    }
  }
  ++stats_.kicked;
  port_.kick(d.session->edge, d.session->conn, Code::ack_timeout);
  end_session(d, id);
}

// Settled by on_buried; its hand waits for the receipt as well.
void Core::bury(const Letter& letter, Code reason) {
  ++stats_.buried;
  port_.bury(envelope_of(letter), reason, tag_of(letter));
  add_receipt(letter.hand, envelope_of(letter), ReceiptKind::failed, reason);
}

void Core::on_tick(TimePoint now) {
  const bool pressure = under_pressure();
  std::vector<std::pair<TimePoint, DeviceId>> later;
  while (!deadlines_.empty() && (deadlines_.begin()->first <= now || pressure)) {
    const DeviceId id = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    const auto found = devices_.find(id);
    if (found == devices_.end()) continue;
    Device& d = found->second;
    d.has_deadline = false;
    if (d.in_flight.empty()) continue;
    const InFlight& head = d.in_flight.front();
    if (head.since + config_.ack_deadline <= now) {
      time_out(d, id);
    } else if (pressure && !head.letter.from_inbox && head.since + config_.slow_under_pressure <= now) {
      fall_behind(d, id);  // gives its batches back; what it has not acknowledged comes again out of the inbox
    } else {
      d.has_deadline = true;
      later.emplace_back(head.since + config_.ack_deadline, id);
    }
  }
  deadlines_.insert(later.begin(), later.end());
  for (const DeviceId id : std::exchange(failed_reads_, {}))
    if (const auto found = devices_.find(id); found != devices_.end()) read_on(found->second, id);
  forget_idle_devices();
}

void Core::slow_devices(TimePoint now, std::vector<Slow>& out) const {
  std::size_t looked_at = 0;
  for (auto entry = deadlines_.begin(); entry != deadlines_.end() && looked_at < kSlowLookedAt; ++entry, ++looked_at) {
    const auto found = devices_.find(entry->second);
    if (found == devices_.end() || found->second.in_flight.empty()) continue;
    const auto waited = std::chrono::duration_cast<milliseconds>(now - found->second.in_flight.front().since);
    out.push_back({entry->second, found->second.in_flight.size(), std::max(waited, milliseconds{0})});
  }
}

bool Core::idle(const Device& d) const {
  return !d.session && d.parks_under_way == 0 && d.in_flight.empty() && d.waiting.empty() && d.inbox_hands.empty() &&
         !d.has_deadline && !d.to_serve;
}

void Core::forget_idle_devices() {
  if (devices_.size() <= config_.devices_max) return;
  std::erase_if(devices_, [this](const auto& entry) {
    if (!idle(entry.second)) return false;
    kept_.forget(entry.first);
    return true;
  });
}

}  // namespace barid::delivery
