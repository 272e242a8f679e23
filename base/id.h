// Strong ids: values that must never be mixed up. Plain data, copied freely, any thread.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace barid {

template <class Tag, class Rep>
struct Id {
  Rep value{};
  constexpr Id() = default;
  constexpr explicit Id(Rep v) : value(v) {}
  constexpr auto operator<=>(const Id&) const = default;
};

using UserId = Id<struct UserTag, std::uint64_t>;
using DeviceId = Id<struct DeviceTag, std::uint64_t>;
using GroupId = Id<struct GroupTag, std::uint64_t>;
using Partition = Id<struct PartitionTag, std::uint16_t>;
using Epoch = Id<struct EpochTag, std::uint64_t>;              // of a partition's ownership; grows at every takeover
using StreamSeq = Id<struct StreamSeqTag, std::uint64_t>;      // JetStream sequence, from 1
using SessionNo = Id<struct SessionNoTag, std::uint64_t>;      // chosen by the device, grows at every login
using ConnId = Id<struct ConnTag, std::uint64_t>;              // one connection of one reactor, never reused by it
using Incarnation = Id<struct IncarnationTag, std::uint64_t>;  // random, new at every process start

// A message is named by the device that sent it and that device's own number for it (from 1, strictly
// growing).
struct MessageId {
  DeviceId device;
  std::uint64_t seq = 0;
  constexpr auto operator<=>(const MessageId&) const = default;
};

// A stretch of sequence numbers: first, first + 1, … (count of them).
struct SeqRange {
  std::uint64_t first = 0;
  std::uint32_t count = 0;
  constexpr auto operator<=>(const SeqRange&) const = default;
};

}  // namespace barid

template <class Tag, class Rep>
struct std::hash<barid::Id<Tag, Rep>> {
  std::size_t operator()(const barid::Id<Tag, Rep>& id) const noexcept {
    // Finaliser of SplitMix64 (Steele, Lea, Flood 2014): ids may be sequential, buckets must not be.
    std::uint64_t x = static_cast<std::uint64_t>(id.value) + 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<std::size_t>(x ^ (x >> 31));
  }
};
template <>
struct std::hash<barid::MessageId> {
  std::size_t operator()(const barid::MessageId& id) const noexcept {
    return std::hash<barid::DeviceId>{}(barid::DeviceId(id.device.value ^ (id.seq * 0x9e3779b97f4a7c15ULL)));
  }
};
