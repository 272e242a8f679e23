// The simulated broker loses messages that it acknowledged: it comes back with an old copy of its store, or with none
// (docs/adr/0013). What is noticed where is the shells' matter; here it is as if all of them had.
#include <algorithm>

#include "tests/unit/delivery_sim_owner.h"

namespace barid::delivery::sim {

void World::copy_store() { store_copy_ = {ingress_, inboxes_, inbox_seq_, stored_ids_}; }

void World::lose_store() {
  ++tally_.losses;
  const bool wiped = rng_.percent(30);
  note("---- the broker's store is ", wiped ? "wiped" : "rolled back");
  take_over();  // in doubt about everything; what it had under way is gone with the connection
  late_.clear();
  if (wiped) store_copy_ = {};
  ingress_ = store_copy_.ingress, inboxes_ = store_copy_.inboxes;
  inbox_seq_ = store_copy_.inbox_seq, stored_ids_ = store_copy_.ids;
  for (std::size_t i = 0; i < connections_.size(); ++i) close_at_edge(i, false);
  recount();
  for (Device& device : devices_) offer_again(device);
}

// What is in the streams now, and which receipts still exist.
void World::recount() {
  copies_.clear();
  for (Truth& letter : letters_) {
    letter.delivered_durable = letter.sender_saw_delivered;
    letter.failed_durable = letter.sender_saw_failed;
  }
  const auto count = [this](const std::string& bytes) {
    count_copies(bytes, +1);
    const Batch batch = std::move(*Batch::decode(bytes));
    for (const Envelope& e : batch.envelopes()) receipt_is_durable(e);
  };
  for (IngressMessage& m : ingress_) {
    m.given = m.acknowledged = false;
    if (m.readable && !m.gone) count(m.bytes);
  }
  for (auto& [device, messages] : inboxes_)
    for (auto& [seq, m] : messages) {
      m.deleted = false;
      if (m.readable) count(m.bytes);
    }
}

// All that it does not know to be delivered, in the order it was written. Nobody else has it any more, perhaps.
void World::offer_again(Device& device) {
  device.outbox.clear();
  device.held_back.clear();
  const auto unknown = [this](std::size_t i) {
    return !letters_[i].sender_saw_delivered && !letters_[i].sender_saw_failed;
  };
  for (std::size_t i = 0; i < letters_.size();) {
    Truth& letter = letters_[i];
    const std::size_t end = i + 1 + letter.mates.size();  // one message to many follows its first letter
    bool offered = false;
    for (std::size_t one = i; one < end; ++one) offered = offered || unknown(one);
    if (letter.from == device.id && !device.revoked && offered) device.outbox.push_back(i);
    if (letter.from == device.id)
      for (std::size_t one = i; one < end; ++one) {
        letters_[one].to_be_offered = !device.revoked && offered;
        if (device.revoked) letters_[one].in_ingress = false;  // gone with its sender
      }
    i = end;
  }
}

}  // namespace barid::delivery::sim
