// What the simulation holds the core to, the moment it happens and at the end.
#include <algorithm>

#include "schemas/wire.h"
#include "tests/unit/delivery_sim_owner.h"

namespace barid::delivery::sim {

std::string World::key_of(const Envelope& e) { return std::to_string(e.to_device.value) + "|" + std::string(e.frame); }

std::string World::name_of(const Truth& letter) const {
  return std::to_string(letter.from.value) + "/" + std::to_string(letter.seq) + " to " +
         std::to_string(letter.to.value);
}

Truth* World::find(DeviceId from, std::uint64_t seq, DeviceId to) {
  const auto found = letter_of_.find({from, seq, to});
  return found == letter_of_.end() ? nullptr : &letters_[found->second];
}

void World::count_copies(const std::string& bytes, int by) {
  const Batch batch = std::move(*Batch::decode(bytes));
  for (const Envelope& e : batch.envelopes()) copies_[key_of(e)] += by;
}

// Written under a block that was never lifted since.
bool World::block_in_force(const Truth& letter) const {
  return letter.block_no != 0 && std::any_of(blocks_.begin(), blocks_.end(),
                                             [&](const auto& block) { return block.second == letter.block_no; });
}

// Nothing excuses its loss.
bool World::solid(const Truth& letter) const {
  if (!letter.in_ingress || letter.may_block || letter.may_expire || letter.let_go) return false;
  // Nobody is told when a read receipt or a group's letter meets a full inbox, or is undeliverable.
  const bool told = letter.kind == envelope::Kind::message && letter.group.value == 0;
  if (!told && (profile_.full_inboxes || profile_.burials)) return false;
  return !directory_.revoked.contains(letter.to);
}

// ---- what devices see

void World::show(Device& device, const std::string& frame) {
  const auto raw = wire::split(frame);
  if (!raw || raw->bytes != frame.size()) throw Failure("a device got a broken frame");
  const auto decoded = wire::decode(*raw);
  if (!decoded) throw Failure("a device got a frame that it can't decode");
  if (const auto* receipt = std::get_if<wire::Receipt>(&*decoded)) return take_receipt(device, *receipt, frame);
  if (const auto* receipt = std::get_if<wire::GroupReceipt>(&*decoded))
    return take_group_receipt(device, *receipt, frame);
  const auto* deliver = std::get_if<wire::Deliver>(&*decoded);
  if (deliver == nullptr) throw Failure("a device got a frame that is no mail");
  Truth* letter = find(deliver->from_device, deliver->seq, device.id);
  if (letter == nullptr) throw Failure("a device got a letter that nobody wrote to it");
  judge_shown(device, *letter, frame);
}

void World::judge_shown(Device& device, Truth& letter, const std::string& frame) {
  if (letter.to != device.id) throw Failure("shown to the wrong device: " + name_of(letter));
  if (letter.frame != frame) throw Failure("not byte for byte: " + name_of(letter));
  if (block_in_force(letter)) throw Failure("shown although blocked: " + name_of(letter));
  note("device ", device.id.value, letter.shown ? " drops a repeat of " : " shows ", name_of(letter));
  if (letter.shown) {
    ++tally_.repeats;
    return;
  }
  letter.shown = true;
  ++tally_.shown;
  if (!solid(letter) || letter.late) return;
  std::uint64_t& last = last_shown_[{letter.from, letter.to}];
  if (letter.seq < last) throw Failure("out of order: " + name_of(letter) + " after " + std::to_string(last));
  last = letter.seq;
  if (letter.kind == envelope::Kind::message && letter.group.value == 0 && rng_.percent(15))
    write_read_receipt(device, Truth(letter));
}

void World::take_receipt(Device& device, const wire::Receipt& receipt, const std::string& frame) {
  Envelope seen;
  seen.to_device = device.id;
  seen.frame = frame;
  receipts_seen_.insert(key_of(seen));
  if (receipt.kind == wire::ReceiptKind::read) {
    Truth* letter = find(receipt.peer_device, static_cast<std::uint64_t>(receipt.at_ms), device.id);
    if (letter == nullptr) throw Failure("a read receipt that nobody wrote");
    return judge_shown(device, *letter, frame);
  }
  for (const SeqRange& range : receipt.ranges) {
    for (std::uint64_t seq = range.first; seq < range.first + range.count; ++seq) {
      Truth* known = find(device.id, seq, receipt.peer_device);
      if (known == nullptr || known->group.value != 0) throw Failure("a receipt for what was not sent there");
      Truth& letter = *known;
      (receipt.kind == wire::ReceiptKind::delivered ? letter.sender_saw_delivered : letter.sender_saw_failed) = true;
    }
  }
}

// Each letter that the receipt calls delivered: of every device that the user shows it on.
template <class Do>
void World::each_named(DeviceId author, const wire::GroupReceipt& receipt, Do&& what) {
  for (const auto& part : receipt.parts)
    for (const UserId user : part.users)
      for (const SeqRange& range : part.ranges)
        for (std::uint64_t seq = range.first; seq < range.first + range.count; ++seq) {
          bool shown = false;
          for (const Device& d : devices_) {
            Truth* letter = d.user == user ? find(author, seq, d.id) : nullptr;
            if (letter == nullptr || !letter->shown) continue;
            if (letter->group != receipt.group) throw Failure("of another group: " + name_of(*letter));
            shown = true;
            what(*letter);
          }
          if (!shown) throw Failure("called delivered and was not: " + std::to_string(seq) + " in a group");
          if (user == user_of(author)) throw Failure("an author's own device is called a member that has it");
        }
}

void World::take_group_receipt(Device& device, const wire::GroupReceipt& receipt, const std::string& frame) {
  Envelope seen;
  seen.to_device = device.id;
  seen.frame = frame;
  receipts_seen_.insert(key_of(seen));
  each_named(device.id, receipt, [](Truth& letter) { letter.sender_saw_delivered = true; });
}

// ---- what the owner does

void World::judge_replaced(ConnId conn) const {
  for (const Connection& c : connections_)
    if (c.at_owner == conn && c.session_no.value == devices_[c.device].session_no)
      throw Failure("the newest session of " + std::to_string(devices_[c.device].id.value) +
                    " was replaced by an older one");
}

void World::judge_publish(const Envelope& e) {
  const auto decoded = wire::decode(*wire::split(e.frame));
  if (const auto* gathered = std::get_if<wire::GroupReceipt>(&*decoded)) {
    ++tally_.group_receipts;
    return each_named(e.to_device, *gathered, [](Truth&) {});
  }
  const auto& receipt = std::get<wire::Receipt>(*decoded);
  for (const SeqRange& range : receipt.ranges) {
    for (std::uint64_t seq = range.first; seq < range.first + range.count; ++seq) {
      Truth* letter = find(e.to_device, seq, e.from_device);
      if (letter == nullptr || letter->group.value != 0) throw Failure("a receipt for a letter that nobody sent");
      const std::string name = name_of(*letter);
      note("receipt ", static_cast<int>(receipt.kind), " ", wire::name_of(receipt.reason), " for ", name);
      if (block_in_force(*letter)) throw Failure("a blocked sender learns of " + name);
      if (receipt.kind == wire::ReceiptKind::delivered) {
        if (!letter->shown) throw Failure("called delivered and was not: " + name);
        continue;
      }
      using wire::Code;
      const bool full = receipt.reason == Code::quota_exceeded && profile_.full_inboxes;
      const bool undeliverable = receipt.reason == Code::undeliverable && profile_.burials;
      const bool gone = receipt.reason == Code::recipient_gone && directory_.revoked.contains(letter->to);
      const bool expired = receipt.reason == Code::expired && letter->may_expire;
      if (full || undeliverable) letter->let_go = true;
      if (!full && !undeliverable && !gone && !expired) throw Failure("failed without a reason: " + name);
    }
  }
}

void World::receipt_is_durable(const Envelope& e) {
  const auto decoded = wire::decode(*wire::split(e.frame));
  if (const auto* gathered = std::get_if<wire::GroupReceipt>(&*decoded))
    return each_named(e.to_device, *gathered, [](Truth& letter) { letter.delivered_durable = true; });
  const auto* receipt = std::get_if<wire::Receipt>(&*decoded);
  if (receipt == nullptr || receipt->kind == wire::ReceiptKind::read) return;  // a letter sent again, late
  for (const SeqRange& range : receipt->ranges)
    for (std::uint64_t seq = range.first; seq < range.first + range.count; ++seq)
      if (Truth* letter = find(e.to_device, seq, e.from_device))
        (receipt->kind == wire::ReceiptKind::delivered ? letter->delivered_durable : letter->failed_durable) = true;
}

// May a copy of this envelope leave its stream?
bool World::accounted_for(const Envelope& e, std::size_t own_copies) const {
  const auto copies = copies_.find(key_of(e));
  if (copies != copies_.end() && copies->second > static_cast<int>(own_copies)) return true;
  if (e.seq != 0) {
    const Truth& letter = letters_[letter_of_.at({e.from_device, e.seq, e.to_device})];
    if (letter.may_block) return true;
    if (letter.group.value != 0) {
      const bool own = user_of(letter.from) == user_of(letter.to);  // nobody is told
      return letter.delivered_durable || !solid(letter) || (own && letter.shown);
    }
    if (e.kind == envelope::Kind::message) return letter.delivered_durable || letter.failed_durable;
    if (letter.shown) return true;
  }
  return receipts_seen_.contains(key_of(e)) || directory_.revoked.contains(e.to_device) || profile_.full_inboxes ||
         profile_.burials;
}

void World::judge_acknowledged(std::size_t index) {
  IngressMessage& message = ingress_.at(index);
  if (message.acknowledged) return;
  note("ingress ", index + 1, " acknowledged");
  if (message.readable) {
    const Batch batch = std::move(*Batch::decode(message.bytes));
    for (const Envelope& e : batch.envelopes()) {
      std::size_t own = 0;
      for (const Envelope& other : batch.envelopes()) own += key_of(other) == key_of(e) ? 1 : 0;
      if (!accounted_for(e, own))
        throw Failure("ingress " + std::to_string(index + 1) +
                      " acknowledged too early: " + std::to_string(e.from_device.value) + "/" + std::to_string(e.seq));
    }
    count_copies(message.bytes, -1);
  }
  message.acknowledged = true;
  --owner_->in_hand;
}

void World::judge_deleted(const Address& of, StreamSeq seq) {
  const auto found = inboxes_[of.device].find(seq.value);
  if (found == inboxes_[of.device].end() || found->second.deleted) return;
  note("inbox of ", of.device.value, ": ", seq.value, " deleted");
  found->second.deleted = true;
  if (!found->second.readable) return;
  const Batch batch = std::move(*Batch::decode(found->second.bytes));
  for (const Envelope& e : batch.envelopes()) {
    std::size_t own = 0;
    for (const Envelope& other : batch.envelopes()) own += key_of(other) == key_of(e) ? 1 : 0;
    if (!accounted_for(e, own))
      throw Failure("inbox " + std::to_string(seq.value) +
                    " deleted too early: " + std::to_string(e.from_device.value) + "/" + std::to_string(e.seq));
  }
  count_copies(found->second.bytes, -1);
}

// ---- the end

void World::judge_end() {
  for (const Truth& letter : letters_) {
    const std::string name = name_of(letter);
    if (!letter.in_ingress) continue;  // of a device that was revoked first
    if (solid(letter) && !letter.shown) throw Failure("lost: " + name);
    if (letter.kind == envelope::Kind::receipt || letter.may_block) continue;
    if (letter.group.value != 0 && (!solid(letter) || user_of(letter.from) == user_of(letter.to))) continue;
    if (!letter.delivered_durable && !letter.failed_durable) throw Failure("no receipt was sent for " + name);
    if (solid(letter) && !letter.delivered_durable) throw Failure("not called delivered: " + name);
    if (directory_.revoked.contains(letter.from) || profile_.full_inboxes || profile_.burials) continue;
    if (!letter.sender_saw_delivered && !letter.sender_saw_failed) throw Failure("the sender never learnt of " + name);
  }
  if (!owner_->core->quiet())
    throw Failure("the core holds " + std::to_string(owner_->core->hands()) + " hands at rest");
}

}  // namespace barid::delivery::sim
