#include "workers/directory/group_frames.h"

#include "base/limits.h"
#include "schemas/token.h"
#include "workers/directory/directory.h"

namespace barid::directory {
namespace {

// The same numbers on both sides, so that they are cast.
static_assert(static_cast<int>(wire::GroupRole::owner) == static_cast<int>(storage::GroupRole::owner));
static_assert(static_cast<int>(wire::GroupRole::member) == static_cast<int>(storage::GroupRole::member));
static_assert(static_cast<int>(wire::GroupEventKind::deleted) == static_cast<int>(storage::GroupEventKind::deleted));
static_assert(static_cast<int>(wire::GroupEventKind::devices_changed) ==
              static_cast<int>(storage::GroupEventKind::devices_changed));

wire::GroupRole said(storage::GroupRole role) { return static_cast<wire::GroupRole>(role); }
wire::GroupSettings said(const storage::GroupSettings& s) {
  return {s.only_admins_send, s.only_admins_edit, s.join_approval};
}

}  // namespace

storage::Groups make_groups(storage::Pool& pool, const DirectoryConfig& config) {
  storage::Groups::Limits most;
  most.members = config.group_members_max;
  most.groups_per_user = config.groups_per_user;
  most.waiting = limits::kJoinRequestsMax;
  most.event_devices = limits::kGroupEventDevicesMax;
  return {pool, &event_frame, most};
}

storage::GroupSettings stored(const wire::GroupSettings& s) {
  return {s.only_admins_send, s.only_admins_edit, s.join_approval};
}

std::string event_frame(const storage::GroupEvent& e) {
  wire::GroupEvent event;
  event.group = e.group;
  event.version = e.version;
  event.kind = static_cast<wire::GroupEventKind>(e.kind);
  event.role = said(e.role);
  event.actor = e.actor;
  event.at_ms = e.at.value;
  event.users = e.users;
  for (const auto& d : e.devices) event.devices.push_back({d.user, d.device});
  event.devices_left_out = e.devices_left_out;
  event.name = e.text.name;
  event.description = e.text.description;
  event.picture = e.text.picture;
  event.settings = said(e.settings);
  std::string frame;
  wire::append(frame, event);
  return frame;
}

wire::Address group_address(GroupId group, const crypto::ShortKey& key) {
  const UserId user(group.value);
  return {user, DeviceId(0), token::address_tag(user, DeviceId(0), key)};
}

wire::Group group_answer(const storage::Group& g, const crypto::ShortKey& key) {
  wire::Group group;
  group.address = group_address(g.group, key);
  group.version = g.version;
  group.created_at_ms = g.created_at.value;
  group.created_by = g.created_by;
  group.name = g.text.name;
  group.description = g.text.description;
  group.picture = g.text.picture;
  group.settings = said(g.settings);
  for (const auto& m : g.members) group.members.push_back({m.user, said(m.role)});
  return group;
}

wire::Error refusal_of(storage::GroupErrc why) {
  using storage::GroupErrc;
  using wire::Code;
  switch (why) {
    case GroupErrc::not_member:
      return error(Code::not_member, "you are not in this group");
    case GroupErrc::not_allowed:
      return error(Code::not_allowed, "your role in this group does not allow it");
    case GroupErrc::last_owner:
      return error(Code::not_allowed, "a group needs an owner: make somebody else owner first, or name a successor");
    case GroupErrc::no_such_member:
      return error(Code::not_found, "they are not in this group");
    case GroupErrc::full:
      return error(Code::group_full, "the group has no room for that many members");
    case GroupErrc::conflict:
      return error(Code::version_conflict, "somebody has changed the group meanwhile");
    case GroupErrc::not_found:
      return error(Code::not_found, "there is no such invite or request");
    case GroupErrc::too_many_groups:
      return error(Code::quota_exceeded, "you are in as many groups as one may be; leave one first");
    case GroupErrc::too_many_waiting:
      return error(Code::quota_exceeded, "too many people wait to be let in");
    case GroupErrc::invalid:
      break;
  }
  return error(Code::invalid_argument, "this can't be asked of a group");
}

}  // namespace barid::directory
