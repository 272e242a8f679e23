#include "workers/fanout/members.h"

#include <algorithm>

#include "base/partition.h"

namespace barid::fanout {

using wire::GroupEventKind;
using wire::GroupRole;

Members::Members(const control::GroupSnapshot& snapshot) {
  if (!snapshot.found) return;
  version_ = snapshot.version;
  only_admins_send_ = snapshot.only_admins_send;
  for (const control::SnapshotMember& member : snapshot.members)
    members_[member.user] = Member{member.role, member.devices};
  count();
}

bool Members::may_send(UserId user) const {
  const auto found = members_.find(user);
  return found != members_.end() && (!only_admins_send_ || found->second.role >= GroupRole::admin);
}

std::optional<UserId> Members::user_of(DeviceId device) const {
  if (by_device_.empty()) {
    by_device_.reserve(devices_);
    for (const auto& [user, member] : members_)
      for (const DeviceId id : member.devices) by_device_.emplace_back(id, user);
    std::sort(by_device_.begin(), by_device_.end());
  }
  const auto found = std::lower_bound(by_device_.begin(), by_device_.end(), std::pair(device, UserId()));
  if (found == by_device_.end() || found->first != device) return std::nullopt;
  return found->second;
}

bool Members::apply(const wire::GroupEvent& event) {
  const bool tells_devices = event.kind == GroupEventKind::created || event.kind == GroupEventKind::members_added ||
                             event.kind == GroupEventKind::devices_changed;
  if (tells_devices && event.devices_left_out) return false;
  switch (event.kind) {
    case GroupEventKind::created:
    case GroupEventKind::members_added:
      only_admins_send_ = event.settings.only_admins_send;
      for (const UserId user : event.users) members_[user] = Member{GroupRole::member, {}};
      if (event.kind == GroupEventKind::created) members_[event.actor].role = GroupRole::owner;
      set_devices(event);
      break;
    case GroupEventKind::devices_changed:
      for (const UserId user : event.users)
        if (const auto found = members_.find(user); found != members_.end()) found->second.devices.clear();
      set_devices(event);
      break;
    case GroupEventKind::members_removed:
      for (const UserId user : event.users) members_.erase(user);
      break;
    case GroupEventKind::member_left:
      members_.erase(event.actor);
      break;
    case GroupEventKind::role_changed:
      for (const UserId user : event.users)
        if (const auto found = members_.find(user); found != members_.end()) found->second.role = event.role;
      break;
    case GroupEventKind::edited:
      only_admins_send_ = event.settings.only_admins_send;
      break;
    case GroupEventKind::deleted:
      members_.clear();
      break;
    case GroupEventKind::invite_changed:
    case GroupEventKind::join_requested:
      break;
  }
  version_ = event.version;
  count();
  return true;
}

void Members::set_devices(const wire::GroupEvent& event) {
  for (const wire::GroupDevice& d : event.devices)
    if (const auto found = members_.find(d.user); found != members_.end()) found->second.devices.push_back(d.device);
}

void Members::count() {
  devices_ = 0;
  for (const auto& [user, member] : members_) devices_ += member.devices.size();
  routes_.clear();
  by_device_.clear();
}

void Members::add_routes(std::vector<Route>& routes, const Members* unless_in, std::uint16_t partitions) const {
  for (const auto& [user, member] : members_) {
    if (member.devices.empty() || (unless_in != nullptr && unless_in->contains(user))) continue;
    const Partition to = partition_of(user, partitions);
    auto route = std::find_if(routes.begin(), routes.end(), [to](const Route& r) { return r.to == to; });
    if (route == routes.end()) route = routes.insert(routes.end(), Route{to, {}});
    for (const DeviceId device : member.devices) route->recipients.push_back({user, device});
  }
}

const std::vector<Route>& Members::routes(std::uint16_t partitions) const {
  if (routes_.empty()) add_routes(routes_, nullptr, partitions);
  return routes_;
}

std::vector<Route> Members::routes_with(const Members& before, std::uint16_t partitions) const {
  std::vector<Route> all = routes(partitions);
  before.add_routes(all, this, partitions);
  return all;
}

}  // namespace barid::fanout
