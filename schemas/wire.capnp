# What travels between a client and the edge. docs/protocol.md is the specification; this file only ever appends.
@0xd3b1a6f0c2e84a11;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("barid::wire::schema");

# A device's address. The tag proves that the directory handed it out (SipHash-2-4 of user and device under the
# cluster's address key), so an edge recognises an invented recipient without asking anybody.
struct Address { user @0 :UInt64; device @1 :UInt64; tag @2 :UInt64; }
struct Range { first @0 :UInt64; count @1 :UInt32; }

enum Code {
  none @0;
  # closes the connection
  malformed @1; unsupportedVersion @2; unknownFrame @3; frameTooLarge @4; notLoggedIn @5; badToken @6; badSignature @7;
  tokenExpired @8; deviceRevoked @9; sessionReplaced @10; sessionStale @11; ackTimeout @12; heartbeatTimeout @13;
  loginTimeout @14; tooManyConnections @15; slowReader @16; goingAway @17; protocolViolation @18;
  # refuses one thing, the connection goes on
  rateLimited @19; unavailable @20; brokerFull @21; unknownRecipient @22; contentTooLarge @23; invalidText @24;
  invalidPhone @25; codeWrong @26; codeExpired @27; codeTriesExhausted @28; codeThrottled @29; notFound @30;
  notAllowed @31; quotaExceeded @32; invalidArgument @33;
  # why a message failed
  expired @34; recipientGone @35; undeliverable @36;
  # groups: refuse one thing, or say why a message failed
  notMember @37; groupFull @38; versionConflict @39;
}

struct Challenge { nonce @0 :Data; serverTimeMs @1 :Int64; protocolMin @2 :UInt8; protocolMax @3 :UInt8; edge @4 :Text; }
struct Login { token @0 :Data; signature @1 :Data; sessionNo @2 :UInt64; client @3 :Text; }
struct Welcome {
  user @0 :UInt64; device @1 :UInt64; serverTimeMs @2 :Int64; sendWindow @3 :UInt16; deliverWindow @4 :UInt16;
  contentBytesMax @5 :UInt32; heartbeatMs @6 :UInt32; halfOpenMs @7 :UInt32; messageTtlS @8 :UInt32;
  incarnation @9 :UInt64;
}

enum SendKind { message @0; read @1; group @2; groupRead @3; }
struct Send {
  seq @0 :UInt64; to @1 :Address; kind @2 :SendKind; sentAtMs @3 :Int64; ttlS @4 :UInt32; content @5 :Data;
  ranges @6 :List(Range);
  author @7 :UInt64;  # kind groupRead: the device whose messages were read
}
struct Accepted { ranges @0 :List(Range); }
struct Refused { seq @0 :UInt64; code @1 :Code; retryAfterMs @2 :UInt32; text @3 :Text; }

struct Deliver {
  fromUser @0 :UInt64; fromDevice @1 :UInt64; seq @2 :UInt64; sentAtMs @3 :Int64; acceptedAtMs @4 :Int64;
  content @5 :Data;
  group @6 :UInt64;  # 0: one to one
}
enum ReceiptKind { delivered @0; read @1; failed @2; }
struct Receipt {
  kind @0 :ReceiptKind; peerUser @1 :UInt64; peerDevice @2 :UInt64; ranges @3 :List(Range); atMs @4 :Int64;
  reason @5 :Code;
}
struct Ack { upTo @0 :UInt64; }

struct Ping { token @0 :UInt64; }
struct Pong { token @0 :UInt64; }
struct Error { code @0 :Code; retryAfterMs @1 :UInt32; text @2 :Text; }

struct Request {
  id @0 :UInt32;
  union {
    requestCode @1 :RequestCode;
    verifyCode @2 :VerifyCode;
    lookup @3 :Lookup;
    block @4 :UserRef;
    unblock @5 :UserRef;
    listBlocked @6 :Void;
    listDevices @7 :Void;
    revokeDevice @8 :DeviceRef;
    devicesOf @9 :UserRef;
    createGroup @10 :CreateGroup;
    editGroup @11 :EditGroup;
    addMembers @12 :GroupUsers;
    removeMembers @13 :GroupUsers;
    setRole @14 :SetRole;
    leaveGroup @15 :LeaveGroup;
    deleteGroup @16 :GroupRef;
    groupInfo @17 :GroupRef;
    listGroups @18 :ListGroups;
    groupInvite @19 :GroupInvite;
    joinByInvite @20 :JoinByInvite;
    listJoinRequests @21 :GroupRef;
    answerJoinRequest @22 :AnswerJoinRequest;
    setPrivacy @23 :Privacy;
    getPrivacy @24 :Void;
    editContacts @25 :EditContacts;
    uploadKeys @26 :UploadKeys;
    keysOf @27 :KeysOf;
    keyStatus @28 :Void;
    uploadMedia @29 :UploadMedia;
    downloadMedia @30 :MediaRef;
    deleteMedia @31 :MediaRef;
    mediaUsage @32 :Void;
  }
}
struct RequestCode { phone @0 :Text; }
struct VerifyCode { phone @0 :Text; code @1 :Text; deviceKey @2 :Data; deviceName @3 :Text; }
struct Lookup { phones @0 :List(Text); }
struct UserRef { user @0 :UInt64; }
struct DeviceRef { device @0 :UInt64; }

struct Response {
  id @0 :UInt32;
  union {
    error @1 :Error;
    codeSent @2 :CodeSent;
    registered @3 :Registered;
    contacts @4 :List(Contact);
    done @5 :Void;
    users @6 :List(UInt64);
    devices @7 :List(DeviceInfo);
    group @8 :Group;
    groups @9 :GroupList;
    invite @10 :Invite;
    joinRequests @11 :JoinRequestList;
    groupChanged @12 :GroupChanged;
    privacy @13 :Privacy;
    keys @14 :Keys;
    keyStatus @15 :KeyStatus;
    mediaUpload @16 :MediaUpload;
    mediaUrl @17 :MediaUrl;
    mediaUsage @18 :MediaUsage;
  }
}
struct CodeSent { expiresInS @0 :UInt32; resendInS @1 :UInt32; }
struct Registered { user @0 :UInt64; device @1 :UInt64; token @2 :Data; phone @3 :Text; }
struct Contact { phone @0 :Text; user @1 :UInt64; devices @2 :List(Address); }
struct DeviceInfo { device @0 :UInt64; name @1 :Text; createdAtMs @2 :Int64; current @3 :Bool; }

# ---- groups

enum GroupRole { none @0; member @1; admin @2; owner @3; }
struct GroupSettings {
  onlyAdminsSend @0 :Bool;  # an announcement group
  onlyAdminsEdit @1 :Bool;  # name, description, picture
  joinApproval @2 :Bool;    # who comes by the invite link waits for an admin
}
struct GroupMember { user @0 :UInt64; role @1 :GroupRole; }

struct GroupReceipt { group @0 :UInt64; kind @1 :ReceiptKind; atMs @2 :Int64; parts @3 :List(GroupReceiptPart); }
# All of `users` received or read all of `ranges`: numbers of the device that gets the receipt.
struct GroupReceiptPart { users @0 :List(UInt64); ranges @1 :List(Range); }

enum GroupEventKind {
  created @0; edited @1; membersAdded @2; membersRemoved @3; memberLeft @4; roleChanged @5; deleted @6;
  inviteChanged @7; joinRequested @8; devicesChanged @9;
}
struct GroupEvent {
  group @0 :UInt64; version @1 :UInt64; kind @2 :GroupEventKind; role @3 :GroupRole; actor @4 :UInt64;
  atMs @5 :Int64; users @6 :List(UInt64);
  devices @7 :List(GroupDevice);  # all devices of `users`: created, membersAdded, devicesChanged
  devicesLeftOut @8 :Bool;        # there are too many to list
  name @9 :Text; description @10 :Text; picture @11 :Text; settings @12 :GroupSettings;
}
struct GroupDevice { user @0 :UInt64; device @1 :UInt64; }

struct CreateGroup {
  key @0 :UInt64;  # random; the same key again gives the same group
  name @1 :Text; description @2 :Text; picture @3 :Text; settings @4 :GroupSettings; members @5 :List(UInt64);
}
struct EditGroup {
  group @0 :UInt64; expectedVersion @1 :UInt64;
  setName @2 :Bool; setDescription @3 :Bool; setPicture @4 :Bool; setSettings @5 :Bool;
  name @6 :Text; description @7 :Text; picture @8 :Text; settings @9 :GroupSettings;
}
struct GroupUsers { group @0 :UInt64; users @1 :List(UInt64); }
struct SetRole { group @0 :UInt64; user @1 :UInt64; role @2 :GroupRole; }
struct LeaveGroup { group @0 :UInt64; successor @1 :UInt64; }
struct GroupRef { group @0 :UInt64; }
struct ListGroups { after @0 :UInt64; }
enum InviteAction { show @0; create @1; revoke @2; }
struct GroupInvite { group @0 :UInt64; action @1 :InviteAction; }
struct JoinByInvite { token @0 :Text; }
struct AnswerJoinRequest { group @0 :UInt64; user @1 :UInt64; accept @2 :Bool; }

struct Group {
  address @0 :Address; version @1 :UInt64; createdAtMs @2 :Int64; createdBy @3 :UInt64;
  name @4 :Text; description @5 :Text; picture @6 :Text; settings @7 :GroupSettings; members @8 :List(GroupMember);
}
struct GroupShort { address @0 :Address; version @1 :UInt64; name @2 :Text; role @3 :GroupRole; members @4 :UInt32; }
struct GroupList { groups @0 :List(GroupShort); more @1 :Bool; }
struct Invite { token @0 :Text; createdAtMs @1 :Int64; createdBy @2 :UInt64; }
struct JoinRequest { user @0 :UInt64; atMs @1 :Int64; }
struct JoinRequestList { group @0 :UInt64; requests @1 :List(JoinRequest); }
struct GroupChanged { group @0 :UInt64; version @1 :UInt64; skipped @2 :List(UInt64); }

# ---- presence: ephemeral, never acknowledged

enum TypingState { stopped @0; typing @1; recording @2; }
enum PresenceState { hidden @0; offline @1; online @2; }
enum Audience { everyone @0; contacts @1; nobody @2; }

# All that this connection wants to know of from now on: replaces what it asked for before.
struct Watch { users @0 :List(UInt64); groups @1 :List(UInt64); }
struct Typing { user @0 :UInt64; group @1 :UInt64; state @2 :TypingState; }  # to one of them
struct Presence { entries @0 :List(PresenceEntry); }
struct PresenceEntry {
  user @0 :UInt64;
  group @1 :UInt64;  # not 0: only what `user` types there; else all there is to know of `user`
  state @2 :PresenceState; typing @3 :TypingState;
  lastSeenMs @4 :Int64;  # 0: not known, or not shown
}
struct Privacy { lastSeen @0 :Audience; online @1 :Audience; }
struct EditContacts { add @0 :List(UInt64); remove @1 :List(UInt64); }

# ---- keys of end-to-end encryption: public ones only, 32 bytes each (Curve25519); signatures are XEdDSA, 64 bytes

# version 1: X3DH and Double Ratchet. The next field numbers of UploadKeys (7) and DeviceKeys (9) are kept for a signed
# post-quantum prekey: its id, the key, the signature.
struct UploadKeys {
  version @0 :UInt8; registration @1 :UInt32; identity @2 :Data;
  signedPrekeyId @3 :UInt32; signedPrekey @4 :Data; signature @5 :Data; prekeys @6 :List(Prekey);
}
struct Prekey { id @0 :UInt32; key @1 :Data; }
struct KeysOf { users @0 :List(KeysWanted); }
struct KeysWanted { user @0 :UInt64; known @1 :List(UInt64); }  # known: devices whose keys are not wanted
struct Keys { users @0 :List(UserKeys); }
struct UserKeys { user @0 :UInt64; devices @1 :List(DeviceKeys); }
# version 0: no keys, as the device is known or has none. prekey is empty when none is left.
struct DeviceKeys {
  address @0 :Address; version @1 :UInt8; registration @2 :UInt32; identity @3 :Data;
  signedPrekeyId @4 :UInt32; signedPrekey @5 :Data; signature @6 :Data; prekeyId @7 :UInt32; prekey @8 :Data;
}
struct KeyStatus { prekeys @0 :UInt32; signedPrekeyId @1 :UInt32; }  # what the server has of this device; id 0: nothing

# ---- media: ciphertext, kept by the SHA-256 of its bytes (digest, 32 bytes)

struct UploadMedia { digest @0 :Data; bytes @1 :UInt64; }
struct MediaRef { digest @0 :Data; }
# stored: the bytes are there already, and kept for this user too; then url is empty.
struct MediaUpload { stored @0 :Bool; url @1 :Text; expiresAtMs @2 :Int64; keptUntilMs @3 :Int64; }
struct MediaUrl { url @0 :Text; expiresAtMs @1 :Int64; }
struct MediaUsage { usedBytes @0 :UInt64; quotaBytes @1 :UInt64; fileBytesMax @2 :UInt64; retentionS @3 :UInt32; }
