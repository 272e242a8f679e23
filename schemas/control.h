// What the processes say to each other: ToOwner and ToEdge over ZeroMQ, DirectoryCall over NATS. Unpacked
// Cap'n Proto. Pure functions, any thread. Views returned by a decode are valid until the next decode on the
// same thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "schemas/wire.h"

namespace barid::control {

enum class Errc { malformed };

struct SessionOpen {
  UserId user;
  DeviceId device;
  ConnId conn;
  SessionNo session_no;
};
struct SessionAck {
  UserId user;
  DeviceId device;
  ConnId conn;
  std::uint64_t up_to = 0;
};
struct SessionClose {
  UserId user;
  DeviceId device;
  ConnId conn;
};
// Whom a connection watches in that partition, all of them: replaces what it watched there. Empty: no longer any.
struct WatchSet {
  Partition partition;
  UserId user;
  DeviceId device;
  ConnId conn;
  std::vector<UserId> users;
  std::vector<GroupId> groups;
};
struct TypingNote {
  UserId user;
  UserId to_user;  // one of them
  GroupId to_group;
  wire::TypingState state = wire::TypingState::stopped;
};
struct PartitionEpoch {
  Partition partition;
  Epoch epoch;
};

// edge → owner, at most one a turn (and at least one every kHeartbeat, empty if need be).
// Read in the order opens, acks, closes, announced, watches, typings.
struct ToOwner {
  Incarnation edge;
  Incarnation worker;        // whom this is for: a successor at the same endpoint ignores it
  std::uint64_t number = 0;  // 1, 2, 3 … from this edge to this worker: a gap means that messages were lost
  std::vector<SessionOpen> opens;
  std::vector<SessionAck> acks;
  std::vector<SessionClose> closes;
  std::vector<PartitionEpoch> announced;  // every session of that partition has been opened with this owner
  std::vector<WatchSet> watches;
  std::vector<TypingNote> typings;
  bool empty() const {
    return opens.empty() && acks.empty() && closes.empty() && announced.empty() && watches.empty() && typings.empty();
  }
  void clear() { opens.clear(), acks.clear(), closes.clear(), announced.clear(), watches.clear(), typings.clear(); }
};

struct Delivery {
  Partition partition;
  Epoch epoch;
  ConnId conn;
  std::string_view frame;
};
struct Kick {
  Partition partition;
  Epoch epoch;
  ConnId conn;
  wire::Code code = wire::Code::none;
};

// For a connection that watches.
struct PresenceUpdate {
  Partition partition;
  Epoch epoch;
  ConnId conn;
  wire::PresenceEntry entry;
};

// owner → edge, one a turn and edge.
struct ToEdge {
  Incarnation worker;
  std::uint64_t number = 0;          // 1, 2, 3 … from this worker to this edge: a gap means that messages were lost
  std::vector<Delivery> deliveries;  // per conn in the order to be written
  std::vector<Kick> kicks;           // after the deliveries: send wire::Error{code} and close
  bool reannounce = false;  // the owner has lost count of this edge: announce every session of its partitions again
  std::vector<PresenceUpdate> presences;
  bool empty() const { return deliveries.empty() && kicks.empty() && !reannounce && presences.empty(); }
  void clear() { deliveries.clear(), kicks.clear(), reannounce = false, presences.clear(); }
};

void encode(std::string& out, const ToOwner& message);  // replaces `out`
void encode(std::string& out, const ToEdge& message);
Result<ToOwner, Errc> decode_to_owner(std::string_view bytes);
Errc const* decode_to_edge(std::string_view bytes, ToEdge& out);  // nullptr: fine

// edge → directory pool: request on subject kDirectorySubject, queue group kDirectoryQueue; reply: one
// Response.
inline constexpr const char* kDirectorySubject = "directory.call";
inline constexpr const char* kDirectoryQueue = "directory";
struct DirectoryCall {
  UserId user;          // 0 before login
  DeviceId device;      // 0 before login
  std::string address;  // of the client, for throttles
  wire::Request request;
};
std::string encode(const DirectoryCall& call);
Result<DirectoryCall, Errc> decode_directory_call(std::string_view bytes);
std::string encode(const wire::Response& response);
Result<wire::Response, Errc> decode_response(std::string_view bytes);

// fan-out → directory pool: request on subject kGroupSubject, queue group kDirectoryQueue; reply: one GroupSnapshot.
inline constexpr const char* kGroupSubject = "directory.group";
struct GroupSnapshotCall {
  GroupId group;
  StreamSeq before_seq;  // of the stream FANOUT: the members before that place; 0: as of now
};
struct SnapshotMember {
  UserId user;
  wire::GroupRole role = wire::GroupRole::member;
  std::vector<DeviceId> devices;  // as they are now
  bool operator==(const SnapshotMember&) const = default;
};
struct GroupSnapshot {
  bool found = false;        // false: there is no such group, or it was not yet, or is no more, at that place
  bool unavailable = false;  // ask again
  std::uint64_t version = 0;
  bool only_admins_send = false;
  std::vector<SnapshotMember> members;
};
std::string encode(const GroupSnapshotCall& call);
Result<GroupSnapshotCall, Errc> decode_group_snapshot_call(std::string_view bytes);
std::string encode(const GroupSnapshot& snapshot);
Result<GroupSnapshot, Errc> decode_group_snapshot(std::string_view bytes);

// owner → directory pool: request on subject kPresenceSubject, queue group kDirectoryQueue; reply: one PresenceAnswer.
inline constexpr const char* kPresenceSubject = "directory.presence";
// directory → owners: what may be seen of this user, or what this user may see, has changed. The payload is the user's
// id in hex. May be lost: owners ask again after a while anyway.
inline constexpr const char* kPresenceChangedSubject = "presence.changed";
struct PresencePair {
  UserId watched, watcher;
  auto operator<=>(const PresencePair&) const = default;
};
struct LastSeen {
  UserId user;
  std::int64_t at_ms = 0;
};
struct PresenceCall {
  std::vector<PresencePair> pairs;  // at most limits::kPresencePairsMax
  std::vector<LastSeen> seen;       // at most limits::kLastSeenBatchMax
};
struct PresenceRights {
  bool blocked = false;  // one of them blocks the other
  bool online = false, last_seen = false;
  std::int64_t last_seen_ms = 0;  // as written last; 0: never, or not to be seen
};
struct PresenceAnswer {
  bool unavailable = false;            // ask again
  std::vector<PresenceRights> rights;  // in the order of the pairs
};
std::string encode(const PresenceCall& call);
Result<PresenceCall, Errc> decode_presence_call(std::string_view bytes);
std::string encode(const PresenceAnswer& answer);
Result<PresenceAnswer, Errc> decode_presence_answer(std::string_view bytes);

}  // namespace barid::control
