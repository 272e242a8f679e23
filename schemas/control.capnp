# Between processes: the ZeroMQ bus (edge and owner), directory calls over NATS, and the device token.
@0xc6f02e8b1d7a9345;
using Cxx = import "/capnp/c++.capnp";
using Wire = import "wire.capnp";
$Cxx.namespace("barid::control::schema");

# edge → owner; one message a turn. Read in the order opens, acks, closes.
struct ToOwner {
  edgeIncarnation @0 :UInt64;
  opens @1 :List(SessionOpen);
  acks @2 :List(SessionAck);
  closes @3 :List(SessionClose);
  announced @4 :List(PartitionEpoch);  # every session of that partition has been opened at this epoch
  worker @5 :UInt64;  # whom this is for: a successor at the same endpoint ignores it
  number @6 :UInt64;  # 1, 2, 3 … from this edge to this worker: a gap means that messages were lost
  watches @7 :List(WatchSet);
  typings @8 :List(TypingNote);
}
# Whom a connection watches in that partition, all of them: replaces what it watched there. Empty: no longer any.
struct WatchSet {
  partition @0 :UInt16; user @1 :UInt64; device @2 :UInt64; conn @3 :UInt64;
  users @4 :List(UInt64); groups @5 :List(UInt64);
}
struct TypingNote { user @0 :UInt64; toUser @1 :UInt64; toGroup @2 :UInt64; state @3 :Wire.TypingState; }
struct PartitionEpoch { partition @0 :UInt16; epoch @1 :UInt64; }
struct SessionOpen { user @0 :UInt64; device @1 :UInt64; conn @2 :UInt64; sessionNo @3 :UInt64; }
struct SessionAck { user @0 :UInt64; device @1 :UInt64; conn @2 :UInt64; upTo @3 :UInt64; }
struct SessionClose { user @0 :UInt64; device @1 :UInt64; conn @2 :UInt64; }

# owner → edge; one message a turn and edge.
struct ToEdge {
  workerIncarnation @0 :UInt64;
  deliveries @1 :List(Delivery);
  kicks @2 :List(Kick);
  number @4 :UInt64;  # 1, 2, 3 … from this worker to this edge: a gap means that messages were lost
  reannounce @3 :Bool;  # the owner has lost count of this edge: open every session again
  presences @5 :List(PresenceUpdate);
}
# For a connection that watches.
struct PresenceUpdate { partition @0 :UInt16; epoch @1 :UInt64; conn @2 :UInt64; entry @3 :Wire.PresenceEntry; }
struct Delivery { partition @0 :UInt16; epoch @1 :UInt64; conn @2 :UInt64; frame @3 :Data; }
struct Kick { partition @0 :UInt16; epoch @1 :UInt64; conn @2 :UInt64; code @3 :UInt16; }

# edge → directory: NATS request on `directory.call`; the reply is one wire.Response (unpacked).
struct DirectoryCall { user @0 :UInt64; device @1 :UInt64; address @2 :Text; request @3 :Wire.Request; }

# fan-out → directory: NATS request on `directory.group`; the reply is one GroupSnapshot.
struct GroupSnapshotCall { group @0 :UInt64; beforeSeq @1 :UInt64; }
struct GroupSnapshot {
  found @0 :Bool; unavailable @1 :Bool; version @2 :UInt64; onlyAdminsSend @3 :Bool;
  members @4 :List(SnapshotMember);
}
struct SnapshotMember { user @0 :UInt64; role @1 :Wire.GroupRole; devices @2 :List(UInt64); }

# owner → directory: NATS request on `directory.presence`; the reply is one PresenceAnswer. What may these see of those,
# and: these users were last seen then.
struct PresenceCall { pairs @0 :List(PresencePair); seen @1 :List(LastSeen); }
struct PresencePair { watched @0 :UInt64; watcher @1 :UInt64; }
struct LastSeen { user @0 :UInt64; atMs @1 :Int64; }
struct PresenceAnswer { unavailable @0 :Bool; rights @1 :List(PresenceRights); }  # in the order of the pairs
struct PresenceRights {
  blocked @0 :Bool;  # one of them blocks the other
  online @1 :Bool; lastSeen @2 :Bool; lastSeenMs @3 :Int64;
}

# What a device presents at login; `token` on the wire is a signed blob, see schemas/token.h.
struct Token { user @0 :UInt64; device @1 :UInt64; deviceKey @2 :Data; issuedAtS @3 :Int64; expiresAtS @4 :Int64; }
