// The half of the core that serves a device from its inbox: reading on, parking, the switch to live delivery.
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "workers/delivery/core.h"

namespace barid::delivery {

using wire::Code;

void Core::read_on(Device& d, DeviceId id) {
  if (d.mode != Mode::draining || d.reading || window_full(d, 0)) return;
  if (can_serve(d)) {
    if (!std::exchange(d.to_serve, true)) to_serve_.push_back(id);
    return;
  }
  d.reading = true;
  d.read = next_read_++;
  port_.read_inbox({d.user, id}, d.next_read, d.read);
}

void Core::on_inbox_batch(const Address& of, std::uint64_t read, StreamSeq seq, Batch batch, TimePoint now,
                          WallMs wall) {
  const auto found = devices_.find(of.device);
  if (found == devices_.end() || found->second.read != read || !found->second.reading) return;
  Device& d = found->second;
  d.reading = false;
  if (d.first_parked.value != 0 && seq >= d.first_parked) d.all_ours = true;  // the broker has none before it
  take_inbox_batch(d, of.device, seq, std::move(batch), now, wall);
  read_on(d, of.device);
}

// Out of what is kept, up to the window; a device that has all of it is live.
void Core::serve(Device& d, DeviceId id, TimePoint now, WallMs wall) {
  while (d.mode == Mode::draining && !d.reading && can_serve(d) && !window_full(d, 0)) {
    auto entry = kept_.take(id, d.next_read);
    if (!entry) {
      if (d.parks_under_way != 0) return;  // on_parked reads on
      if (d.last_parked < d.next_read) return begin_live(d);
      d.not_kept = d.last_parked;  // then the broker knows
      break;
    }
    d.not_kept = entry->seq;
    auto batch = Batch::decode(entry->batch);
    BARID_ASSERT(batch.has_value());  // we encoded it
    take_inbox_batch(d, id, entry->seq, std::move(*batch), now, wall);
  }
  read_on(d, id);
}

void Core::take_inbox_batch(Device& d, DeviceId device, StreamSeq seq, Batch batch, TimePoint now, WallMs wall) {
  d.next_read = StreamSeq(seq.value + 1);
  const HandId id = next_hand_++;
  const auto count = static_cast<std::uint32_t>(batch.envelopes().size());
  hands_.emplace(id, Hand{std::move(batch), seq, count + 1, 0, Address{d.user, device}});
  d.inbox_hands.emplace_back(seq, id);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Letter letter{id, i, true};
    const Envelope& e = envelope_of(letter);
    if (std::find(d.undeliverable.begin(), d.undeliverable.end(), LetterName{e.id(), e.accepted_at.value}) !=
        d.undeliverable.end())
      bury(letter, Code::undeliverable);
    else if (!stop_early(letter, e, wall))
      deliver(d, device, letter, now);
  }
  settle(id);
}

void Core::begin_live(Device& d) {
  d.mode = Mode::live;
  d.inbox_known_empty = true;
}

void Core::on_inbox_unreadable(const Address& of, std::uint64_t read, StreamSeq seq, std::string_view bytes) {
  const auto found = devices_.find(of.device);
  if (found == devices_.end() || found->second.read != read || !found->second.reading) return;
  Device& d = found->second;
  d.reading = false;
  d.next_read = StreamSeq(seq.value + 1);
  const HandId id = next_hand_++;
  hands_.emplace(id, Hand{Batch{}, seq, 1, 0, of});
  d.inbox_hands.emplace_back(seq, id);
  ++stats_.buried;
  port_.bury_raw(bytes, tag_of({id, 0, true}));
  read_on(d, of.device);
}

void Core::on_inbox_end(const Address& of, std::uint64_t read) {
  const auto found = devices_.find(of.device);
  if (found == devices_.end() || found->second.read != read || !found->second.reading) return;
  Device& d = found->second;
  d.reading = false;
  d.all_ours = true;
  if (d.parks_under_way != 0) return;                              // on_parked reads on
  if (d.last_parked >= d.next_read) return read_on(d, of.device);  // parked since: it is there
  begin_live(d);
}

void Core::on_inbox_failed(const Address& of, std::uint64_t read) {
  const auto found = devices_.find(of.device);
  if (found == devices_.end() || found->second.read != read) return;
  found->second.reading = false;
  failed_reads_.push_back(of.device);
}

void Core::on_parked(const Address& of, const std::vector<Tag>& tags, StreamSeq inbox_seq, std::string_view batch) {
  for (const Tag tag : tags) settle(tag >> kIndexBits);
  const auto found = devices_.find(of.device);
  BARID_ASSERT(found != devices_.end());
  Device& d = found->second;
  BARID_ASSERT(d.parks_under_way >= tags.size());
  d.parks_under_way -= static_cast<std::uint32_t>(tags.size());
  if (d.first_parked.value == 0) d.first_parked = inbox_seq;
  if (inbox_seq > d.last_parked) {
    d.last_parked = inbox_seq;
    kept_.add(of.device, inbox_seq, batch, [this](DeviceId id, StreamSeq seq) {
      const auto evicted = devices_.find(id);
      if (evicted != devices_.end()) evicted->second.not_kept = std::max(evicted->second.not_kept, seq);
    });
  }
  read_on(d, of.device);
}

void Core::on_park_refused(const Address& of, const std::vector<Tag>& tags) {
  const auto found = devices_.find(of.device);
  BARID_ASSERT(found != devices_.end());
  Device& d = found->second;
  BARID_ASSERT(d.parks_under_way >= tags.size());
  d.parks_under_way -= static_cast<std::uint32_t>(tags.size());
  for (const Tag tag : tags) {
    const Letter letter{tag >> kIndexBits, static_cast<std::uint32_t>(tag & ((1U << kIndexBits) - 1)), false};
    const Envelope& e = envelope_of(letter);
    if (e.kind == envelope::Kind::message && e.group.value == 0)
      fail_letter(letter, Code::quota_exceeded);
    else
      bury(letter, Code::quota_exceeded);  // nobody is told that a receipt or a group's letter failed: it is kept
  }
  read_on(d, of.device);
}

bool Core::on_swept(const Address& of, StreamSeq seq, const Batch& batch, WallMs wall) {
  const auto found = devices_.find(of.device);
  if (found != devices_.end() && found->second.session) return false;  // the drain deals with it
  const bool all_expired = std::all_of(batch.envelopes().begin(), batch.envelopes().end(), [&](const Envelope& e) {
    return e.expires_at < wall || directory_.revoked.contains(e.to_device);
  });
  if (!all_expired) return false;
  if (found != devices_.end() && kept_.drop(of.device, seq))
    found->second.not_kept = std::max(found->second.not_kept, seq);
  // Held as an inbox batch whose letters all fail: deleted once the senders' receipts are durable.
  const HandId id = next_hand_++;
  std::string bytes;
  envelope::encode_batch(bytes, batch.origin(), batch.number(), batch.envelopes());
  auto copy = Batch::decode(bytes);
  if (!copy) return false;  // its device's drain deals with it
  const auto count = static_cast<std::uint32_t>(copy->envelopes().size());
  hands_.emplace(id, Hand{std::move(*copy), seq, count + 1, 0, of});
  for (std::uint32_t i = 0; i < count; ++i) stop_early({id, i, true}, envelope_of({id, i, true}), wall);
  settle(id);
  return true;
}

void Core::on_buried(Tag tag) {
  if (hands_.contains(tag >> kIndexBits)) settle(tag >> kIndexBits);
}

}  // namespace barid::delivery
