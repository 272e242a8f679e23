#include "workers/delivery/parks.h"

#include <algorithm>

#include "base/assert.h"
#include "base/crypto.h"
#include "broker/topology.h"

namespace barid::delivery {

using broker::Lane;

Parks::Parks(broker::NatsLink& link, Partition partition, std::uint16_t shards, Listener listener)
    : link_(link), partition_(partition), shards_(shards), listener_(std::move(listener)), queued_(shards) {}

std::unique_ptr<Parks::Park> Parks::new_park() {
  auto made = std::make_unique<Park>();
  Park* park = made.get();
  park->lane = std::make_unique<Lane>(link_, std::string(), crypto::random_u64(),
                                      Lane::Callbacks{[this, park](const std::vector<Tag>& tags, StreamSeq seq) {
                                                        listener_.on_parked(park->to, tags, seq, park->lane->batch());
                                                        after(*park);
                                                      },
                                                      [this, park](const std::vector<Tag>& tags, const std::string&) {
                                                        listener_.on_refused(park->to, tags);
                                                        after(*park);
                                                      }},
                                      Lane::WhenFull::keep_trying);
  return made;
}

Parks::Park& Parks::park_for(const Address& to) {
  auto& slot = parks_[to.device];
  if (slot) return *slot;
  if (spare_.empty()) {
    slot = new_park();
  } else {
    slot = std::move(spare_.back());
    spare_.pop_back();
  }
  slot->to = to;
  slot->shard = broker::inbox_shard(to.device, shards_);
  slot->lane->aim(broker::inbox_subject(slot->shard, partition_, to.user, to.device));
  return *slot;
}

void Parks::add(const Address& to, const Envelope& letter, Tag tag) {
  Park& park = park_for(to);
  BARID_ASSERT(park.lane->add(letter, tag));
  queue(park);
}

void Parks::queue(Park& park) {
  if (std::exchange(park.queued, true)) return;
  queued_[park.shard].push_back(park.to.device);
  ++queued_count_;
}

void Parks::after(Park& park) {
  if (!park.lane->idle()) return queue(park);
  if (park.queued) return;
  auto node = parks_.extract(park.to.device);
  BARID_ASSERT(!node.empty());
  if (spare_.size() < kSpareLanesMax) spare_.push_back(std::move(node.mapped()));
}

void Parks::flush(TimePoint now, bool under_load) {
  if (queued_count_ == 0) return;
  const bool all = !under_load || queued_count_ <= kFewDevices;
  const std::uint16_t shards = all ? shards_ : std::max<std::uint16_t>(1, shards_ / kTurnsOfAll);
  for (std::uint16_t i = 0; i < shards; ++i) {
    next_shard_ = static_cast<std::uint16_t>((next_shard_ + 1) % shards_);
    for (const DeviceId device : queued_[next_shard_]) {
      Park& park = *parks_.at(device);
      park.queued = false;
      park.lane->flush(now);  // one under way: after() comes back to it
    }
    queued_count_ -= queued_[next_shard_].size();
    queued_[next_shard_].clear();
  }
}

void Parks::on_tick(TimePoint now) {
  for (auto& [device, park] : parks_) park->lane->flush(now);
}

}  // namespace barid::delivery
