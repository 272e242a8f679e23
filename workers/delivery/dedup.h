// Which messages of a (sender device, recipient device) pair were taken already: a sliding window as in
// IPsec's anti-replay (RFC 4303, 3.4.3), but generous: whatever is too old to tell is let through, because
// the receiving device is the exact judge. So it may pass a duplicate and can never drop an original.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/id.h"

namespace barid::delivery {

class Dedup {
 public:
  static constexpr std::size_t kPairsMax = 262'144;  // then it starts afresh, which only lets duplicates through
  static constexpr std::uint64_t kWindow = 64;       // sequence numbers below the highest that are remembered

  // True when the message was taken before; otherwise remembers it as taken.
  bool seen(DeviceId from, DeviceId to, std::uint64_t seq) {
    if (pairs_.size() >= kPairsMax) pairs_.clear();
    Window& w = pairs_[Pair{from, to}];
    if (seq > w.highest) {
      const std::uint64_t ahead = seq - w.highest;
      w.taken = ahead >= kWindow ? 0 : w.taken << ahead;
      w.taken |= 1;
      w.highest = seq;
      return false;
    }
    const std::uint64_t behind = w.highest - seq;
    if (behind >= kWindow) return false;
    const std::uint64_t bit = std::uint64_t{1} << behind;
    const bool before = (w.taken & bit) != 0;
    w.taken |= bit;
    return before;
  }
  std::size_t pairs() const { return pairs_.size(); }

 private:
  struct Pair {
    DeviceId from, to;
    bool operator==(const Pair&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Pair& p) const {
      return std::hash<DeviceId>{}(p.from) * 31 + std::hash<DeviceId>{}(p.to);
    }
  };
  struct Window {
    std::uint64_t highest = 0;
    std::uint64_t taken = 0;  // bit i: highest - i was taken
  };
  std::unordered_map<Pair, Window, Hash> pairs_;
};

}  // namespace barid::delivery
