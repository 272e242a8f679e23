// Who may connect: connections in all and per address, connects and requests before login per address. Shared by the
// reactors and locked, but asked only when a connection starts, ends, or has not logged in: never per message.
// One IPv6 client commands a whole /64, so that is what counts as its address.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/clock.h"
#include "base/config.h"
#include "edge/net.h"
#include "edge/token_bucket.h"

namespace barid::edge {

class Gate {
 public:
  static constexpr std::size_t kAddressesMax = 1 << 20;  // remembered; beyond that, idle ones are forgotten first

  explicit Gate(const EdgeConfig& config) : config_(config) {}

  enum class Verdict { admitted, too_many, too_many_from_address, too_fast };
  struct Admission {
    Verdict verdict = Verdict::admitted;
    std::uint32_t retry_after_ms = 0;
  };
  Admission enter(const PeerAddress& address, TimePoint now);  // admitted: leave() later
  void leave(const PeerAddress& address);
  // 0: allowed, else milliseconds to wait.
  std::uint32_t request(const PeerAddress& address, TimePoint now);
  std::uint32_t connections() const;
  void forget_idle(TimePoint now);  // every few seconds

 private:
  struct Entry {
    std::uint32_t connections = 0;
    TokenBucket connects, requests;
  };
  const EdgeConfig& config_;
  mutable std::mutex mutex_;
  std::unordered_map<PeerAddress, Entry, PeerAddressHash> entries_;
  std::uint32_t connections_ = 0;
};

}  // namespace barid::edge
