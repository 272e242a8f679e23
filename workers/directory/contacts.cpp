// Of Directory: what a logged-in device asks about others and about its own user.
#include <map>

#include "base/log.h"
#include "schemas/token.h"
#include "workers/directory/directory.h"
#include "workers/directory/phone.h"

namespace barid::directory {

using storage::Accounts;
using storage::Blocks;
using storage::Change;
using storage::ProjectionKind;
using wire::Code;

std::vector<wire::Address> Directory::addresses(UserId user, const std::vector<DeviceId>& devices) const {
  std::vector<wire::Address> all;
  for (const DeviceId device : devices)
    all.push_back({user, device, token::address_tag(user, device, secrets_.address)});
  return all;
}

// Numbers that are invalid or unknown are simply not among the contacts found.
Directory::Body Directory::lookup(const control::DirectoryCall& call, const wire::Lookup& request) {
  std::map<std::string, std::vector<std::string>> asked;  // E.164 → as asked
  for (const auto& phone : request.phones)
    if (const auto normal = normalise_phone(phone)) asked[*normal].push_back(phone);
  const WallMs now = clock_();
  if (!lookups_.take(call.device, static_cast<std::uint32_t>(asked.size()), config_.lookups_per_day, now))
    return error(Code::quota_exceeded,
                 "this device may look up " + std::to_string(config_.lookups_per_day) + " numbers a day",
                 storage::until_next_day(now));
  std::vector<std::string> phones;
  for (const auto& [normal, spellings] : asked) phones.push_back(normal);
  wire::Contacts contacts;
  for (const auto& found : accounts_.find_by_phone(phones))
    for (const auto& spelling : asked[found.phone])
      contacts.found.push_back({spelling, found.user, addresses(found.user, found.devices)});
  return contacts;
}

Directory::Body Directory::block(const control::DirectoryCall& call, const wire::Block& request) {
  if (request.user == call.user) return error(Code::invalid_argument, "one can't block oneself");
  const auto blocked = blocks_.block(call.user, request.user, clock_());
  if (!blocked && blocked.error() == Blocks::Errc::too_many)
    return error(Code::quota_exceeded,
                 "one can block at most " + std::to_string(Blocks::kPerUserMax) + " users; unblock some first");
  if (!blocked) return error(Code::not_found, "there is no such user");
  project_({ProjectionKind::blocks, call.user.value});
  return wire::Done{};
}

Directory::Body Directory::unblock(const control::DirectoryCall& call, const wire::Unblock& request) {
  blocks_.unblock(call.user, request.user);
  project_({ProjectionKind::blocks, call.user.value});
  return wire::Done{};
}

Directory::Body Directory::list_blocked(const control::DirectoryCall& call) {
  return wire::Users{blocks_.blocked_by(call.user)};
}

Directory::Body Directory::list_devices(const control::DirectoryCall& call) {
  wire::Devices devices;
  for (const auto& device : accounts_.live_devices(call.user))
    devices.devices.push_back({device.device, device.name, device.created_at.value, device.device == call.device});
  return devices;
}

Directory::Body Directory::revoke_device(const control::DirectoryCall& call, const wire::RevokeDevice& request) {
  if (!accounts_.revoke_device(call.user, request.device, clock_()))
    return error(Code::not_found, "you have no such device");
  tell_device_changes(call.user);
  project_({ProjectionKind::revoked, request.device.value});
  spdlog::info("device {} revoked by its user", hex_id(request.device.value));
  return wire::Done{};
}

Directory::Body Directory::devices_of(const wire::DevicesOf& request) {
  const auto found = accounts_.devices_of(request.user);
  if (!found) return error(Code::not_found, "there is no such user");
  return wire::Contacts{{{"", found->user, addresses(found->user, found->devices)}}};
}

}  // namespace barid::directory
