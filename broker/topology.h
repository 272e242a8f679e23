// The names of everything in the broker, and the one declaration of its streams and buckets.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/id.h"

namespace barid::broker {

class Control;

// Subjects and streams.
std::string ingress_subject(Partition partition);  // ingress.3
std::string ingress_stream(Partition partition);   // INGRESS_0
std::uint16_t inbox_shard(DeviceId device, std::uint16_t shards);
std::string inbox_stream(std::uint16_t shard);  // INBOX_07
std::string inbox_subject(std::uint16_t shard, Partition partition, UserId user, DeviceId device);
std::string inbox_subjects_of(std::uint16_t shard,
                              Partition partition);   // inbox.7.3.> : for the expiry sweep
std::string dead_subject(std::string_view reason);    // dead.expired
std::string fanout_subject(Partition partition);      // group.3
std::string drain_subject(std::string_view process);  // drain.edge-1: orders of the operator
inline constexpr const char* kFanoutStream = "FANOUT";

// KV buckets and keys.
inline constexpr const char* kOwnersBucket = "barid-owners";
inline constexpr const char* kWorkersBucket = "barid-workers";
inline constexpr const char* kRevokedBucket = "barid-revoked";
inline constexpr const char* kBlocksBucket = "barid-blocks";
inline constexpr const char* kMetaBucket = "barid-meta";
inline constexpr const char* kMetaPartitions = "partitions";
inline constexpr const char* kMetaInboxShards = "inbox-shards";
inline constexpr const char* kMetaIncarnation = "incarnation";     // hex, random at first apply
inline constexpr const char* kMetaDirectoryKey = "directory-key";  // hex, Ed25519 public key
inline constexpr const char* kMetaAddressKey = "address-key";      // hex, SipHash key

// What is owned by one worker at a time, by lease: a partition of users, or one of groups.
enum class Stage : char { delivery = 'p', fanout = 'g' };
std::string owner_key(Partition partition, Stage stage = Stage::delivery);                   // p3, g3
bool is_owner_key(std::string_view key, Stage stage);                                        // anything, of that stage
Partition partition_of_owner_key(std::string_view key);                                      // of either stage
std::string consumer_prefix(Partition partition, Stage stage);                               // g3-e
std::string consumer_name(Partition partition, Epoch epoch, Stage stage = Stage::delivery);  // p3-e17
std::string source_stream(Partition partition, Stage stage);                                 // what its owner consumes
std::string source_subject(Partition partition, Stage stage);
std::string worker_key(std::string_view worker, Stage stage);  // worker-1, worker-1/fanout
// nullopt: the key is of a worker of another stage.
std::optional<std::string> worker_of_key(std::string_view key, Stage stage);

// One difference between what is declared and what is there.
struct TopologyChange {
  enum class Kind : char { create, update, loses, refused, unknown };
  Kind kind;
  std::string name;  // a stream's, or a setting's
  std::string what;  // what changes; for refused: why it can't
};
// Every difference, in the order of the declaration. update loses nothing; loses may lose messages or copies; refused
// can't be done to a topology that exists; unknown is there and not declared, and is left alone. Reads only.
std::vector<TopologyChange> plan_topology(Control& control, const NatsConfig& nats, const MessagesConfig& messages);

enum class Losses : bool { leave, accept };

// Makes the broker what the plan says, and records what can't change later. Throws on what is refused, before it does
// anything. Idempotent; prints nothing. Returns what it did: "created INGRESS_0".
std::vector<std::string> carry_out(Control& control, const NatsConfig& nats, const MessagesConfig& messages,
                                   const std::vector<TopologyChange>& plan, Losses losses);

// What there is, by name.
struct StreamThere {
  std::string created;  // as the broker tells it
  StreamSeq last;
};
std::map<std::string, StreamThere> streams_there(Control& control);
std::vector<std::string> declared_names(const NatsConfig& nats);
// Declared and not there.
std::vector<std::string> missing_streams(const std::map<std::string, StreamThere>& present, const NatsConfig& nats,
                                         const MessagesConfig& messages);

// The declaration as text: JSON with a format number, for a version control system.
inline constexpr int kTopologyFormat = 1;
std::string declared_topology(const NatsConfig& nats, const MessagesConfig& messages);

// Plan and carry_out; what would lose something is left as it is. Returns the names created.
std::vector<std::string> apply_topology(Control& control, const NatsConfig& nats, const MessagesConfig& messages);

}  // namespace barid::broker
