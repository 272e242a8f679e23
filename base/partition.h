// Which partition a user's mail belongs to: the unit of order and ownership.
#pragma once

#include <xxhash.h>

#include <cstdint>

#include "base/id.h"

namespace barid {

// XXH3-64 of the user id (8 bytes, little-endian), masked. `partitions` is a power of two, so that doubling
// it splits p into p and p + partitions.
inline Partition partition_of(UserId user, std::uint16_t partitions) {
  std::uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(user.value >> (8 * i));
  return Partition(static_cast<std::uint16_t>(XXH3_64bits(bytes, sizeof bytes) & (partitions - 1U)));
}

}  // namespace barid
