// Where the receipts of all partitions of this worker leave: one lane a partition of recipients, shared, so that the
// receipts of a turn share batches whichever owner they come from. Belongs to the owner's loop.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/partition.h"
#include "broker/lane.h"
#include "broker/topology.h"
#include "workers/delivery/core.h"

namespace barid::delivery {

class ReceiptLanes {
 public:
  // Nobody waits for a tick, and in company it costs next to nothing: receipts wait so long for others.
  static constexpr std::chrono::microseconds kHold{4'000};
  using From = std::uint64_t;  // whose receipt: a number for each ownership
  struct Listener {
    std::function<void(Tag)> on_durable;
    std::function<void(const std::string& why)> on_refused;
  };

  ReceiptLanes(broker::NatsLink& link, std::uint16_t partitions) : lanes_(partitions) {
    for (std::uint16_t p = 0; p < partitions; ++p) {
      lanes_[p].lane = std::make_unique<broker::Lane>(
          link, broker::ingress_subject(Partition(p)), crypto::random_u64(),
          broker::Lane::Callbacks{
              [this, p](const std::vector<Tag>& tags, StreamSeq) { settle(lanes_[p], tags.size(), nullptr); },
              [this, p](const std::vector<Tag>& tags, const std::string& why) {
                settle(lanes_[p], tags.size(), &why);
              }},
          broker::Lane::WhenFull::keep_trying);
    }
  }

  From join(Listener listener) {
    listeners_.emplace(++last_, std::move(listener));
    return last_;
  }
  // Receipts under way still become durable, where they do no harm; nobody is told.
  void leave(From from) { listeners_.erase(from); }

  void add(From from, const Envelope& receipt, Tag tag, TimePoint now) {
    ToOnePartition& to = lanes_[partition_of(receipt.to_user, static_cast<std::uint16_t>(lanes_.size())).value];
    BARID_ASSERT(to.lane->add(receipt, tag));
    to.senders.emplace_back(from, tag);
    if (to.due == TimePoint::max()) to.due = now + kHold;
  }
  // Returns when it is to be called again, at the latest.
  TimePoint flush(TimePoint now) {
    TimePoint next = TimePoint::max();
    for (ToOnePartition& to : lanes_) {
      if (now >= to.due || to.lane->waiting() >= broker::Lane::kBatchLarge) {
        to.lane->flush(now);
        to.due = to.lane->empty() ? TimePoint::max() : now + kHold;  // else a batch is under way
      }
      next = std::min(next, to.due);
    }
    return next;
  }
  void on_tick(TimePoint now) {  // repeats what the broker did not answer
    for (ToOnePartition& to : lanes_) to.lane->flush(now);
  }

 private:
  struct ToOnePartition {
    std::unique_ptr<broker::Lane> lane;
    std::deque<std::pair<From, Tag>> senders;  // of the receipts in the lane, in its order
    TimePoint due = TimePoint::max();          // when the first that waits has waited enough
  };
  void settle(ToOnePartition& to, std::size_t count, const std::string* refused) {
    BARID_ASSERT(count <= to.senders.size());
    for (std::size_t i = 0; i < count; ++i) {
      const auto [from, tag] = to.senders[i];
      const auto listener = listeners_.find(from);
      if (listener == listeners_.end()) continue;
      refused == nullptr ? listener->second.on_durable(tag) : listener->second.on_refused(*refused);
    }
    to.senders.erase(to.senders.begin(), to.senders.begin() + static_cast<std::ptrdiff_t>(count));
  }

  std::vector<ToOnePartition> lanes_;
  std::unordered_map<From, Listener> listeners_;
  From last_ = 0;
};

}  // namespace barid::delivery
