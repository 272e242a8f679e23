#include "edge/gate.h"

#include <algorithm>

#include "base/assert.h"

namespace barid::edge {
namespace {
constexpr std::uint32_t kFullRetryMs = 5'000;

PeerAddress key_of(PeerAddress address) {
  if (!address.is_ipv4()) std::fill(address.bytes.begin() + 8, address.bytes.end(), std::uint8_t{0});
  return address;
}
}  // namespace

Gate::Admission Gate::enter(const PeerAddress& peer, TimePoint now) {
  const PeerAddress address = key_of(peer);
  std::lock_guard lock(mutex_);
  if (connections_ >= config_.connections_max) return {Verdict::too_many, kFullRetryMs};
  auto found = entries_.find(address);
  if (found == entries_.end()) {
    if (entries_.size() >= kAddressesMax) return {Verdict::too_many, kFullRetryMs};
    found = entries_.emplace(address, Entry{}).first;
  }
  Entry& entry = found->second;
  if (entry.connections >= config_.connections_per_address) return {Verdict::too_many_from_address, kFullRetryMs};
  if (const auto wait = entry.connects.take(config_.connects_per_address, now)) return {Verdict::too_fast, wait};
  ++entry.connections;
  ++connections_;
  return {};
}

void Gate::leave(const PeerAddress& peer) {
  const PeerAddress address = key_of(peer);
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(address);
  BARID_ASSERT(found != entries_.end() && found->second.connections > 0 && connections_ > 0);
  --found->second.connections;
  --connections_;
}

std::uint32_t Gate::request(const PeerAddress& peer, TimePoint now) {
  const PeerAddress address = key_of(peer);
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(address);
  return found == entries_.end() ? 0 : found->second.requests.take(config_.requests_per_address, now);
}

std::uint32_t Gate::connections() const {
  std::lock_guard lock(mutex_);
  return connections_;
}

void Gate::forget_idle(TimePoint now) {
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    return entry.connections == 0 && entry.connects.full(config_.connects_per_address, now) &&
           entry.requests.full(config_.requests_per_address, now);
  });
}

}  // namespace barid::edge
