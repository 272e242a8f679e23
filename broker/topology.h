// The names of everything in the broker, and the one declaration of its streams and buckets.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"
#include "base/id.h"

namespace barid::broker {

class Control;

// Subjects and streams.
std::string ingress_subject(Partition partition);             // ingress.3
std::string ingress_stream(Partition partition);              // INGRESS_0
std::string consumer_name(Partition partition, Epoch epoch);  // p3-e17
std::uint16_t inbox_shard(DeviceId device, std::uint16_t shards);
std::string inbox_stream(std::uint16_t shard);  // INBOX_07
std::string inbox_subject(std::uint16_t shard, Partition partition, UserId user, DeviceId device);
std::string inbox_subjects_of(std::uint16_t shard,
                              Partition partition);  // inbox.7.3.> : for the expiry sweep
std::string dead_subject(std::string_view reason);   // dead.expired
std::string fanout_subject(Partition partition);     // group.3
inline constexpr const char* kFanoutStream = "FANOUT";

// KV buckets and keys.
inline constexpr const char* kOwnersBucket = "barid-owners";
inline constexpr const char* kWorkersBucket = "barid-workers";
inline constexpr const char* kRevokedBucket = "barid-revoked";
inline constexpr const char* kBlocksBucket = "barid-blocks";
inline constexpr const char* kMetaBucket = "barid-meta";
inline constexpr const char* kMetaPartitions = "partitions";
inline constexpr const char* kMetaIncarnation = "incarnation";     // hex, random at first apply
inline constexpr const char* kMetaDirectoryKey = "directory-key";  // hex, Ed25519 public key
inline constexpr const char* kMetaAddressKey = "address-key";      // hex, SipHash key
std::string owner_key(Partition partition);                        // p3
Partition partition_of_owner_key(std::string_view key);

// Creates what is missing and leaves the rest; throws if what exists contradicts the configuration (other
// partition count, other retention). Idempotent; prints nothing. Returns the names created.
std::vector<std::string> apply_topology(Control& control, const NatsConfig& nats, const MessagesConfig& messages);

}  // namespace barid::broker
