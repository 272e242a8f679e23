// The words of the client: account, peer, message, copy and the states a message goes through. Plain data,
// any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "schemas/wire.h"

namespace barid::client {

using PeerId = Id<struct PeerTag, std::int64_t>;            // a row of this device's address book
using MessageRow = Id<struct MessageRowTag, std::int64_t>;  // a row of this device's history, growing with time
using Revision = Id<struct RevisionTag, std::int64_t>;      // of the store: every change of a message gets a higher one

// Up to where the changes of the store have been looked at.
struct Cursor {
  Revision revision;
  MessageRow row;
};

// Time as the shell tells it: steady for waiting, wall for what people see.
struct Now {
  TimePoint steady;
  WallMs wall;
};

// The order is the rule: a message only ever moves to a higher state. So failed is final, unless proof
// arrives that the message was delivered after all; delivered never becomes failed.
enum class State : std::uint8_t { queued, sent, accepted, failed, delivered, read };
std::string_view name_of(State state);

struct Account {
  std::string phone, name;  // E.164; what this device is called
  std::string server,
      tls_ca;               // tcp:// tls:// ws:// wss://; file of trusted certificates, empty: the system's
  crypto::SecretKey key{};  // of this device
  std::string token;        // from the directory, opaque
  UserId user;
  DeviceId device;
  SessionNo session_no;           // the last one used
  std::uint64_t incarnation = 0;  // of the broker's streams, as last seen
};

struct Peer {
  PeerId id;
  UserId user;        // 0: not looked up yet
  std::string phone;  // empty: they wrote to us and we know no number
  std::string name;   // empty: not a contact; of a group: its name
  bool blocked = false;
  GroupId group;  // not 0: a conversation of many, with no user and no phone
};

struct Message {
  MessageRow id;
  PeerId peer;
  bool incoming = false;
  DeviceId from_device;   // incoming
  UserId author;          // incoming, in a group
  std::uint64_t seq = 0;  // incoming: the sender's number; outgoing: the first copy's, 0 while it has none
  std::string content;    // schemas/content.h decodes it
  State state = State::queued;
  wire::Code reason = wire::Code::none;                         // state failed
  std::int64_t created_ms = 0;                                  // by the sender's clock
  std::int64_t accepted_ms = 0, delivered_ms = 0, read_ms = 0;  // 0: not yet
  std::uint32_t recipients = 0, got = 0, seen = 0;              // outgoing, in a group: how many of how many
  Revision revision;
};

// What is numbered and sent: one message for one device, or the news that messages of one device were read.
struct Copy {
  std::uint64_t seq = 0;
  MessageRow message;  // 0 for kind read
  wire::SendKind kind = wire::SendKind::message;
  wire::Address to;
  std::int64_t created_ms = 0;
  std::string content;
  std::vector<SeqRange> ranges;
  DeviceId author;  // kind group_read
};

// A group as this device knows it.
struct GroupState {
  PeerId peer;
  wire::Address address;  // tag 0: not known yet
  std::uint64_t version = 0;
  std::string name, description, picture;
  wire::GroupSettings settings;
  wire::GroupRole role = wire::GroupRole::none;  // ours; none: not in it (any more)
  std::vector<wire::GroupMember> members;        // empty until the directory was asked
  GroupId id() const { return GroupId(address.user.value); }
};

// A person's identity key, as this device has seen it.
struct PeerIdentity {
  std::string key;
  bool verified = false;  // the person has compared safety numbers
  bool strict = false;    // a change blocks sending
  bool held = false;      // it has: nothing is encrypted for them until they are trusted again
};

// Somebody's identity key is another one now.
struct IdentityNote {
  std::int64_t id = 0;  // growing
  UserId user;
  std::int64_t at_ms = 0;
};

// What became of our message at one member.
struct GroupMark {
  UserId user;
  std::int64_t delivered_ms = 0, read_ms = 0;  // 0: not yet
};

// A line of a group's history: who did what.
struct GroupNote {
  std::int64_t id = 0;  // growing
  GroupId group;
  std::uint64_t version = 0;
  wire::GroupEventKind kind = wire::GroupEventKind::created;
  wire::GroupRole role = wire::GroupRole::none;
  UserId actor;
  std::vector<UserId> users;
  std::int64_t at_ms = 0;
};

}  // namespace barid::client
