// Groups on the wire: the frames GroupReceipt and GroupEvent, and the requests and responses of the directory about
// groups. Part of wire.h, which every user includes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"

namespace barid::wire {

// Where a send goes: a device of a user, or a group: (group id, device 0).
struct Address {
  UserId user;
  DeviceId device;
  std::uint64_t tag = 0;
  bool operator==(const Address&) const = default;
};

enum class ReceiptKind : std::uint8_t { delivered, read, failed };

enum class GroupRole : std::uint8_t { none, member, admin, owner };
struct GroupSettings {
  bool only_admins_send = false;  // an announcement group
  bool only_admins_edit = false;  // name, description, picture
  bool join_approval = false;     // who comes by the invite link waits for an admin
  bool operator==(const GroupSettings&) const = default;
};
struct GroupMember {
  UserId user;
  GroupRole role = GroupRole::member;
  bool operator==(const GroupMember&) const = default;
};

// All of `users` received or read all of `ranges`: numbers of the device that gets the receipt.
struct GroupReceiptPart {
  std::vector<UserId> users;
  std::vector<SeqRange> ranges;
};
// What limits::kGroupReceiptMembersMax and kGroupReceiptRangesMax allow: users and ranges of all parts together.
struct GroupReceipt {
  GroupId group;
  ReceiptKind kind = ReceiptKind::delivered;
  std::int64_t at_ms = 0;
  std::vector<GroupReceiptPart> parts;
};

enum class GroupEventKind : std::uint8_t {
  created,          // users: all members, actor among them and owner, the others members
  edited,           // name, description, picture, settings: as they are now, all of them
  members_added,    // users; actor is one of them when they came by the invite link
  members_removed,  // users
  member_left,      // actor
  role_changed,     // users have `role` now
  deleted,
  invite_changed,   // created or revoked
  join_requested,   // actor waits for an admin
  devices_changed,  // users' devices are `devices` now
};
struct GroupDevice {
  UserId user;
  DeviceId device;
  bool operator==(const GroupDevice&) const = default;
};
// The change that made `version` of the group out of version - 1.
struct GroupEvent {
  GroupId group;
  std::uint64_t version = 0;
  GroupEventKind kind = GroupEventKind::created;
  GroupRole role = GroupRole::none;
  UserId actor;
  std::int64_t at_ms = 0;
  std::vector<UserId> users;
  std::vector<GroupDevice> devices;  // all devices of `users`: created, members_added, devices_changed
  bool devices_left_out = false;     // more than limits::kGroupEventDevicesMax: ask for a snapshot
  std::string name;                  // created, edited, members_added
  std::string description, picture;  // created, edited
  GroupSettings settings;            // created, edited, members_added
};

// ---- requests

struct CreateGroup {
  std::uint64_t key = 0;  // random; the same key again gives the same group
  std::string name, description, picture;
  GroupSettings settings;
  std::vector<UserId> members;  // besides the one who asks
};
struct EditGroup {
  GroupId group;
  std::uint64_t expected_version = 0;  // 0: whatever it is
  std::optional<std::string> name, description, picture;
  std::optional<GroupSettings> settings;
};
struct AddMembers {
  GroupId group;
  std::vector<UserId> users;
};
struct RemoveMembers {
  GroupId group;
  std::vector<UserId> users;
};
struct SetRole {
  GroupId group;
  UserId user;
  GroupRole role = GroupRole::member;
};
struct LeaveGroup {
  GroupId group;
  UserId successor;  // becomes owner; 0: nobody
};
struct DeleteGroup {
  GroupId group;
};
struct GetGroup {
  GroupId group;
};
struct ListGroups {
  GroupId after;  // the last one of the page before
};
enum class InviteAction : std::uint8_t { show, create, revoke };
struct GroupInvite {
  GroupId group;
  InviteAction action = InviteAction::show;
};
struct JoinByInvite {
  std::string token;
};
struct ListJoinRequests {
  GroupId group;
};
struct AnswerJoinRequest {
  GroupId group;
  UserId user;
  bool accept = false;
};

// ---- responses

struct Group {
  Address address;  // user: the group's id
  std::uint64_t version = 0;
  std::int64_t created_at_ms = 0;
  UserId created_by;
  std::string name, description, picture;
  GroupSettings settings;
  std::vector<GroupMember> members;
};
struct GroupShort {
  Address address;
  std::uint64_t version = 0;
  std::string name;
  GroupRole role = GroupRole::none;  // of the one who asks
  std::uint32_t members = 0;
};
struct GroupList {
  std::vector<GroupShort> groups;  // by growing id
  bool more = false;               // ask again, after the last one
};
struct Invite {
  std::string token;
  std::int64_t created_at_ms = 0;
  UserId created_by;
};
struct JoinRequest {
  UserId user;
  std::int64_t at_ms = 0;
};
struct JoinRequestList {
  GroupId group;
  std::vector<JoinRequest> requests;
};
struct GroupChanged {
  GroupId group;
  std::uint64_t version = 0;    // after the change, or as it was when there was nothing to do
  std::vector<UserId> skipped;  // those who could not be added
};

}  // namespace barid::wire
