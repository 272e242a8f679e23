// Letters on their way into inboxes: one lane for each device that has any, one batch a device under way. Lanes are
// used again, since parking for 100,000 devices is otherwise mostly making and freeing them. Under load the inbox
// streams take turns, so that each gets its letters in a burst: the broker's price is by the burst. Belongs to the
// owner's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "broker/lane.h"
#include "workers/delivery/core.h"

namespace barid::delivery {

class Parks {
 public:
  static constexpr std::size_t kSpareLanesMax = 4'096;
  static constexpr std::size_t kFewDevices = 64;    // so many leave at once whatever the load
  static constexpr std::uint16_t kTurnsOfAll = 16;  // turns under load in which each stream has its turn
  struct Listener {
    // batch: as it is in the inbox now.
    std::function<void(const Address&, const std::vector<Tag>&, StreamSeq, std::string_view batch)> on_parked;
    std::function<void(const Address&, const std::vector<Tag>&)> on_refused;  // this inbox is full
  };

  Parks(broker::NatsLink& link, Partition partition, std::uint16_t shards, Listener listener);

  void add(const Address& to, const Envelope& letter, Tag tag);
  void flush(TimePoint now, bool under_load);
  void on_tick(TimePoint now);  // repeats what the broker did not answer

 private:
  struct Park {
    Address to;
    std::uint16_t shard = 0;
    bool queued = false;
    std::unique_ptr<broker::Lane> lane;
  };
  Park& park_for(const Address& to);
  std::unique_ptr<Park> new_park();
  void queue(Park& park);
  void after(Park& park);  // a batch has come to its end

  broker::NatsLink& link_;
  Partition partition_;
  std::uint16_t shards_;
  Listener listener_;
  std::unordered_map<DeviceId, std::unique_ptr<Park>> parks_;  // with something waiting or under way
  std::vector<std::unique_ptr<Park>> spare_;
  std::vector<std::vector<DeviceId>> queued_;  // by inbox shard: to be flushed
  std::size_t queued_count_ = 0;
  std::uint16_t next_shard_ = 0;
};

}  // namespace barid::delivery
