#include "schemas/wire_group.h"

#include "schemas/codec.h"
#include "schemas/wire_request.h"

namespace barid::wire {
namespace {

using codec::text;

void bound(std::size_t size, std::size_t most) {
  if (size > most) refuse(Code::malformed);
}

std::vector<UserId> read_users(capnp::List<std::uint64_t>::Reader list, std::size_t most = limits::kGroupMembersMax) {
  bound(list.size(), most);
  std::vector<UserId> users;
  users.reserve(list.size());
  for (const std::uint64_t user : list) users.emplace_back(user);
  return users;
}
void fill_users(capnp::List<std::uint64_t>::Builder list, const std::vector<UserId>& users) {
  for (unsigned i = 0; i < users.size(); ++i) list.set(i, users[i].value);
}
unsigned count(const auto& list) { return static_cast<unsigned>(list.size()); }

GroupSettings read_settings(schema::GroupSettings::Reader r) {
  return {r.getOnlyAdminsSend(), r.getOnlyAdminsEdit(), r.getJoinApproval()};
}
void fill_settings(schema::GroupSettings::Builder b, const GroupSettings& s) {
  b.setOnlyAdminsSend(s.only_admins_send);
  b.setOnlyAdminsEdit(s.only_admins_edit);
  b.setJoinApproval(s.join_approval);
}

GroupRole read_role(schema::GroupRole role) { return read_enum(role, GroupRole::owner); }
schema::GroupRole role_of(GroupRole role) { return static_cast<schema::GroupRole>(role); }

std::string read_description(capnp::Text::Reader r) { return read_short_text(r, limits::kGroupDescriptionBytesMax); }

Address read_address(schema::Address::Reader r) { return {UserId(r.getUser()), DeviceId(r.getDevice()), r.getTag()}; }
void fill_address(schema::Address::Builder b, const Address& a) {
  b.setUser(a.user.value);
  b.setDevice(a.device.value);
  b.setTag(a.tag);
}

CreateGroup read_create(schema::CreateGroup::Reader r) {
  return {r.getKey(),
          read_short_text(r.getName()),
          read_description(r.getDescription()),
          read_short_text(r.getPicture()),
          read_settings(r.getSettings()),
          read_users(r.getMembers())};
}

EditGroup read_edit(schema::EditGroup::Reader r) {
  EditGroup edit{GroupId(r.getGroup()), r.getExpectedVersion(), {}, {}, {}, {}};
  if (r.getSetName()) edit.name = read_short_text(r.getName());
  if (r.getSetDescription()) edit.description = read_description(r.getDescription());
  if (r.getSetPicture()) edit.picture = read_short_text(r.getPicture());
  if (r.getSetSettings()) edit.settings = read_settings(r.getSettings());
  return edit;
}

Group read_group(schema::Group::Reader r) {
  Group group{read_address(r.getAddress()),
              r.getVersion(),
              r.getCreatedAtMs(),
              UserId(r.getCreatedBy()),
              read_short_text(r.getName()),
              read_description(r.getDescription()),
              read_short_text(r.getPicture()),
              read_settings(r.getSettings()),
              {}};
  auto members = r.getMembers();
  bound(members.size(), limits::kGroupMembersMax);
  group.members.reserve(members.size());
  for (auto m : members) group.members.push_back({UserId(m.getUser()), read_role(m.getRole())});
  return group;
}

GroupList read_groups(schema::GroupList::Reader r) {
  GroupList groups;
  groups.more = r.getMore();
  bound(r.getGroups().size(), limits::kGroupsPageMax);
  for (auto g : r.getGroups())
    groups.groups.push_back({read_address(g.getAddress()), g.getVersion(), read_short_text(g.getName()),
                             read_role(g.getRole()), g.getMembers()});
  return groups;
}

JoinRequestList read_join_requests(schema::JoinRequestList::Reader r) {
  JoinRequestList list{GroupId(r.getGroup()), {}};
  bound(r.getRequests().size(), limits::kJoinRequestsMax);
  for (auto request : r.getRequests()) list.requests.push_back({UserId(request.getUser()), request.getAtMs()});
  return list;
}

}  // namespace

RequestBody read_group_request(schema::Request::Reader r) {
  switch (r.which()) {
    case schema::Request::CREATE_GROUP:
      return read_create(r.getCreateGroup());
    case schema::Request::EDIT_GROUP:
      return read_edit(r.getEditGroup());
    case schema::Request::ADD_MEMBERS:
      return AddMembers{GroupId(r.getAddMembers().getGroup()), read_users(r.getAddMembers().getUsers())};
    case schema::Request::REMOVE_MEMBERS:
      return RemoveMembers{GroupId(r.getRemoveMembers().getGroup()), read_users(r.getRemoveMembers().getUsers())};
    case schema::Request::SET_ROLE: {
      auto s = r.getSetRole();
      return SetRole{GroupId(s.getGroup()), UserId(s.getUser()), read_role(s.getRole())};
    }
    case schema::Request::LEAVE_GROUP:
      return LeaveGroup{GroupId(r.getLeaveGroup().getGroup()), UserId(r.getLeaveGroup().getSuccessor())};
    case schema::Request::DELETE_GROUP:
      return DeleteGroup{GroupId(r.getDeleteGroup().getGroup())};
    case schema::Request::GROUP_INFO:
      return GetGroup{GroupId(r.getGroupInfo().getGroup())};
    case schema::Request::LIST_GROUPS:
      return ListGroups{GroupId(r.getListGroups().getAfter())};
    case schema::Request::GROUP_INVITE:
      return GroupInvite{GroupId(r.getGroupInvite().getGroup()),
                         read_enum(r.getGroupInvite().getAction(), InviteAction::revoke)};
    case schema::Request::JOIN_BY_INVITE:
      return JoinByInvite{read_short_text(r.getJoinByInvite().getToken())};
    case schema::Request::LIST_JOIN_REQUESTS:
      return ListJoinRequests{GroupId(r.getListJoinRequests().getGroup())};
    case schema::Request::ANSWER_JOIN_REQUEST: {
      auto a = r.getAnswerJoinRequest();
      return AnswerJoinRequest{GroupId(a.getGroup()), UserId(a.getUser()), a.getAccept()};
    }
    default:
      return read_keys_request(r);
  }
}

ResponseBody read_group_response(schema::Response::Reader r) {
  switch (r.which()) {
    case schema::Response::GROUP:
      return read_group(r.getGroup());
    case schema::Response::GROUPS:
      return read_groups(r.getGroups());
    case schema::Response::INVITE: {
      auto i = r.getInvite();
      return Invite{read_short_text(i.getToken()), i.getCreatedAtMs(), UserId(i.getCreatedBy())};
    }
    case schema::Response::JOIN_REQUESTS:
      return read_join_requests(r.getJoinRequests());
    case schema::Response::GROUP_CHANGED: {
      auto c = r.getGroupChanged();
      return GroupChanged{GroupId(c.getGroup()), c.getVersion(), read_users(c.getSkipped())};
    }
    default:
      return read_keys_response(r);
  }
}

void fill(schema::Request::Builder builder, const CreateGroup& r) {
  auto b = builder.initCreateGroup();
  b.setKey(r.key);
  b.setName(text(r.name));
  b.setDescription(text(r.description));
  b.setPicture(text(r.picture));
  fill_settings(b.initSettings(), r.settings);
  fill_users(b.initMembers(count(r.members)), r.members);
}
void fill(schema::Request::Builder builder, const EditGroup& r) {
  auto b = builder.initEditGroup();
  b.setGroup(r.group.value);
  b.setExpectedVersion(r.expected_version);
  b.setSetName(r.name.has_value());
  b.setSetDescription(r.description.has_value());
  b.setSetPicture(r.picture.has_value());
  b.setSetSettings(r.settings.has_value());
  if (r.name) b.setName(text(*r.name));
  if (r.description) b.setDescription(text(*r.description));
  if (r.picture) b.setPicture(text(*r.picture));
  if (r.settings) fill_settings(b.initSettings(), *r.settings);
}
void fill(schema::Request::Builder builder, const AddMembers& r) {
  auto b = builder.initAddMembers();
  b.setGroup(r.group.value);
  fill_users(b.initUsers(count(r.users)), r.users);
}
void fill(schema::Request::Builder builder, const RemoveMembers& r) {
  auto b = builder.initRemoveMembers();
  b.setGroup(r.group.value);
  fill_users(b.initUsers(count(r.users)), r.users);
}
void fill(schema::Request::Builder builder, const SetRole& r) {
  auto b = builder.initSetRole();
  b.setGroup(r.group.value);
  b.setUser(r.user.value);
  b.setRole(role_of(r.role));
}
void fill(schema::Request::Builder builder, const LeaveGroup& r) {
  auto b = builder.initLeaveGroup();
  b.setGroup(r.group.value);
  b.setSuccessor(r.successor.value);
}
void fill(schema::Request::Builder builder, const DeleteGroup& r) { builder.initDeleteGroup().setGroup(r.group.value); }
void fill(schema::Request::Builder builder, const GetGroup& r) { builder.initGroupInfo().setGroup(r.group.value); }
void fill(schema::Request::Builder builder, const ListGroups& r) { builder.initListGroups().setAfter(r.after.value); }
void fill(schema::Request::Builder builder, const GroupInvite& r) {
  auto b = builder.initGroupInvite();
  b.setGroup(r.group.value);
  b.setAction(static_cast<schema::InviteAction>(r.action));
}
void fill(schema::Request::Builder builder, const JoinByInvite& r) {
  builder.initJoinByInvite().setToken(text(r.token));
}
void fill(schema::Request::Builder builder, const ListJoinRequests& r) {
  builder.initListJoinRequests().setGroup(r.group.value);
}
void fill(schema::Request::Builder builder, const AnswerJoinRequest& r) {
  auto b = builder.initAnswerJoinRequest();
  b.setGroup(r.group.value);
  b.setUser(r.user.value);
  b.setAccept(r.accept);
}

void fill(schema::Response::Builder builder, const Group& r) {
  BARID_ASSERT(r.members.size() <= limits::kGroupMembersMax);
  auto b = builder.initGroup();
  fill_address(b.initAddress(), r.address);
  b.setVersion(r.version);
  b.setCreatedAtMs(r.created_at_ms);
  b.setCreatedBy(r.created_by.value);
  b.setName(text(r.name));
  b.setDescription(text(r.description));
  b.setPicture(text(r.picture));
  fill_settings(b.initSettings(), r.settings);
  auto members = b.initMembers(count(r.members));
  for (unsigned i = 0; i < r.members.size(); ++i) {
    members[i].setUser(r.members[i].user.value);
    members[i].setRole(role_of(r.members[i].role));
  }
}
void fill(schema::Response::Builder builder, const GroupList& r) {
  BARID_ASSERT(r.groups.size() <= limits::kGroupsPageMax);
  auto b = builder.initGroups();
  b.setMore(r.more);
  auto groups = b.initGroups(count(r.groups));
  for (unsigned i = 0; i < r.groups.size(); ++i) {
    fill_address(groups[i].initAddress(), r.groups[i].address);
    groups[i].setVersion(r.groups[i].version);
    groups[i].setName(text(r.groups[i].name));
    groups[i].setRole(role_of(r.groups[i].role));
    groups[i].setMembers(r.groups[i].members);
  }
}
void fill(schema::Response::Builder builder, const Invite& r) {
  auto b = builder.initInvite();
  b.setToken(text(r.token));
  b.setCreatedAtMs(r.created_at_ms);
  b.setCreatedBy(r.created_by.value);
}
void fill(schema::Response::Builder builder, const JoinRequestList& r) {
  BARID_ASSERT(r.requests.size() <= limits::kJoinRequestsMax);
  auto b = builder.initJoinRequests();
  b.setGroup(r.group.value);
  auto requests = b.initRequests(count(r.requests));
  for (unsigned i = 0; i < r.requests.size(); ++i) {
    requests[i].setUser(r.requests[i].user.value);
    requests[i].setAtMs(r.requests[i].at_ms);
  }
}
void fill(schema::Response::Builder builder, const GroupChanged& r) {
  auto b = builder.initGroupChanged();
  b.setGroup(r.group.value);
  b.setVersion(r.version);
  fill_users(b.initSkipped(count(r.skipped)), r.skipped);
}

GroupReceipt read_group_receipt(schema::GroupReceipt::Reader r) {
  GroupReceipt receipt{GroupId(r.getGroup()), read_enum(r.getKind(), ReceiptKind::read), r.getAtMs(), {}};
  std::size_t users = 0, ranges = 0;
  bound(r.getParts().size(), limits::kGroupReceiptMembersMax);
  receipt.parts.reserve(r.getParts().size());
  for (auto p : r.getParts()) {
    receipt.parts.push_back({read_users(p.getUsers()), read_ranges(p.getRanges())});
    bound(users += receipt.parts.back().users.size(), limits::kGroupReceiptMembersMax);
    bound(ranges += receipt.parts.back().ranges.size(), limits::kGroupReceiptRangesMax);
  }
  return receipt;
}

void fill_group_receipt(schema::GroupReceipt::Builder b, const GroupReceipt& receipt) {
  b.setGroup(receipt.group.value);
  b.setKind(static_cast<schema::ReceiptKind>(receipt.kind));
  b.setAtMs(receipt.at_ms);
  auto parts = b.initParts(count(receipt.parts));
  std::size_t users = 0, ranges = 0;
  for (unsigned i = 0; i < receipt.parts.size(); ++i) {
    const GroupReceiptPart& part = receipt.parts[i];
    fill_users(parts[i].initUsers(count(part.users)), part.users);
    fill_ranges(parts[i].initRanges(count(part.ranges)), part.ranges);
    users += part.users.size(), ranges += part.ranges.size();
  }
  BARID_ASSERT(users <= limits::kGroupReceiptMembersMax && ranges <= limits::kGroupReceiptRangesMax);
}

GroupEvent read_group_event(schema::GroupEvent::Reader r) {
  GroupEvent event{GroupId(r.getGroup()),
                   r.getVersion(),
                   read_enum(r.getKind(), GroupEventKind::devices_changed),
                   read_role(r.getRole()),
                   UserId(r.getActor()),
                   r.getAtMs(),
                   read_users(r.getUsers()),
                   {},
                   r.getDevicesLeftOut(),
                   read_short_text(r.getName()),
                   read_description(r.getDescription()),
                   read_short_text(r.getPicture()),
                   read_settings(r.getSettings())};
  bound(r.getDevices().size(), limits::kGroupEventDevicesMax);
  event.devices.reserve(r.getDevices().size());
  for (auto d : r.getDevices()) event.devices.push_back({UserId(d.getUser()), DeviceId(d.getDevice())});
  return event;
}

void fill_group_event(schema::GroupEvent::Builder b, const GroupEvent& event) {
  BARID_ASSERT(event.devices.size() <= limits::kGroupEventDevicesMax);
  BARID_ASSERT(event.users.size() <= limits::kGroupMembersMax);
  b.setGroup(event.group.value);
  b.setVersion(event.version);
  b.setKind(static_cast<schema::GroupEventKind>(event.kind));
  b.setRole(role_of(event.role));
  b.setActor(event.actor.value);
  b.setAtMs(event.at_ms);
  if (!event.users.empty()) fill_users(b.initUsers(count(event.users)), event.users);
  if (!event.devices.empty()) {
    auto devices = b.initDevices(count(event.devices));
    for (unsigned i = 0; i < event.devices.size(); ++i) {
      devices[i].setUser(event.devices[i].user.value);
      devices[i].setDevice(event.devices[i].device.value);
    }
  }
  b.setDevicesLeftOut(event.devices_left_out);
  if (!event.name.empty()) b.setName(text(event.name));
  if (!event.description.empty()) b.setDescription(text(event.description));
  if (!event.picture.empty()) b.setPicture(text(event.picture));
  if (event.settings != GroupSettings{}) fill_settings(b.initSettings(), event.settings);
}

}  // namespace barid::wire
