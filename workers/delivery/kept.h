// Letters that this owner parked not long ago, still in memory, so that a device that comes back soon is served without
// asking the broker. A copy of what lies in the inbox, never the only one. Bounded in bytes: the oldest go first.
// Belongs to its core.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/fifo.h"
#include "base/id.h"

namespace barid::delivery {

class Kept {
 public:
  static constexpr std::size_t kEntryBytes = 96;  // what an entry costs beside its batch

  struct Entry {
    StreamSeq seq;
    std::string batch;  // as the inbox holds it
  };

  explicit Kept(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // Sequences of a device grow. evicted(device, seq) is called for each that had to go, perhaps this very one.
  template <class Evicted>
  void add(DeviceId device, StreamSeq seq, std::string_view batch, Evicted&& evicted) {
    by_device_[device].push_back({seq, std::string(batch)});
    by_age_.emplace_back(device, seq);
    bytes_ += cost(batch.size());
    while (!by_age_.empty()) {
      const auto [oldest, oldest_seq] = by_age_.front();
      const auto found = by_device_.find(oldest);
      const bool here = found != by_device_.end() && found->second.front().seq == oldest_seq;
      if (here && bytes_ <= bytes_max_ && by_age_.size() <= bytes_max_ / kEntryBytes) break;
      by_age_.pop_front();
      if (!here) continue;  // taken or forgotten meanwhile
      drop_front(found);
      evicted(oldest, oldest_seq);
    }
  }

  // The first at or after `from`, which is no longer kept then, nor is anything before it.
  std::optional<Entry> take(DeviceId device, StreamSeq from) {
    auto found = by_device_.find(device);
    while (found != by_device_.end()) {
      Entry& front = found->second.front();
      if (front.seq >= from) {
        std::optional<Entry> taken(std::move(front));
        bytes_ -= cost(taken->batch.size());
        remove_front(found);
        return taken;
      }
      found = drop_front(found);
    }
    return std::nullopt;
  }

  // The device's oldest, if it is this one.
  bool drop(DeviceId device, StreamSeq seq) {
    const auto found = by_device_.find(device);
    if (found == by_device_.end() || found->second.front().seq != seq) return false;
    drop_front(found);
    return true;
  }

  void forget(DeviceId device) {
    auto found = by_device_.find(device);
    while (found != by_device_.end()) found = drop_front(found);
  }

  std::size_t bytes() const { return bytes_; }

 private:
  using ByDevice = std::unordered_map<DeviceId, Fifo<Entry>>;
  static std::size_t cost(std::size_t batch) { return batch + kEntryBytes; }
  // Returns where the device's next entry is, or the end.
  ByDevice::iterator remove_front(ByDevice::iterator at) {
    at->second.pop_front();
    if (!at->second.empty()) return at;
    by_device_.erase(at);
    return by_device_.end();
  }
  ByDevice::iterator drop_front(ByDevice::iterator at) {
    bytes_ -= cost(at->second.front().batch.size());
    return remove_front(at);
  }

  std::size_t bytes_max_, bytes_ = 0;
  ByDevice by_device_;
  std::deque<std::pair<DeviceId, StreamSeq>> by_age_;  // some are gone already
};

}  // namespace barid::delivery
