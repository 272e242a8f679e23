// Of Directory: groups. The rules are in storage::Groups, under the lock of the group; here are texts, limits on
// guessing, and the answers. A change is answered when its event is on its way to the members.
#include "base/log.h"
#include "storage/pool.h"
#include "workers/directory/directory.h"
#include "workers/directory/group_frames.h"
#include "workers/directory/invites.h"

namespace barid::directory {

using storage::Groups;
using wire::Code;

namespace {
std::chrono::milliseconds soon() { return std::chrono::milliseconds(kUnavailableRetryMs); }
wire::Error not_told() { return error(Code::unavailable, "the members can't be told right now; ask again", soon()); }
}  // namespace

bool Directory::published(GroupId group) {
  try {
    publish_(group);
    return true;
  } catch (const std::exception& away) {
    spdlog::debug("events of group {} must wait: {}", hex_id(group.value), away.what());
    return false;
  }
}

Directory::Body Directory::told(const Groups::Outcome<Groups::Changed>& outcome) {
  if (!outcome) return refusal_of(outcome.error());
  if (!published(outcome->group)) return not_told();
  return wire::GroupChanged{outcome->group, outcome->version, outcome->skipped};
}

Directory::Body Directory::create_group(const control::DirectoryCall& call, const wire::CreateGroup& request) {
  if (request.key == 0) return error(Code::invalid_argument, "key must be a random number");
  if (const std::string no = storage::objection_to_name(request.name); !no.empty())
    return error(Code::invalid_argument, no);
  const Groups::Draft draft{
      request.key, {request.name, request.description, request.picture}, stored(request.settings), request.members};
  const auto created = groups_.create(call.user, draft, clock_());
  if (!created) return refusal_of(created.error());
  if (!published(created->group)) return not_told();
  return group_info(call, created->group);
}

Directory::Body Directory::edit_group(const control::DirectoryCall& call, const wire::EditGroup& request) {
  if (request.name)
    if (const std::string no = storage::objection_to_name(*request.name); !no.empty())
      return error(Code::invalid_argument, no);
  Groups::Edit edit{request.expected_version, request.name, request.description, request.picture, {}};
  if (request.settings) edit.settings = stored(*request.settings);
  return told(groups_.edit(call.user, request.group, edit, clock_()));
}

Directory::Body Directory::add_members(const control::DirectoryCall& call, const wire::AddMembers& request) {
  return told(groups_.add(call.user, request.group, request.users, clock_()));
}

Directory::Body Directory::remove_members(const control::DirectoryCall& call, const wire::RemoveMembers& request) {
  for (const UserId user : request.users)
    if (user == call.user) return error(Code::invalid_argument, "to go yourself, leave the group");
  return told(groups_.remove(call.user, request.group, request.users, clock_()));
}

Directory::Body Directory::set_role(const control::DirectoryCall& call, const wire::SetRole& request) {
  return told(groups_.set_role(call.user, request.group, request.user, static_cast<storage::GroupRole>(request.role),
                               clock_()));
}

Directory::Body Directory::leave_group(const control::DirectoryCall& call, const wire::LeaveGroup& request) {
  return told(groups_.leave(call.user, request.group, request.successor, clock_()));
}

Directory::Body Directory::delete_group(const control::DirectoryCall& call, const wire::DeleteGroup& request) {
  return told(groups_.end(call.user, request.group, clock_()));
}

Directory::Body Directory::group_info(const control::DirectoryCall& call, GroupId group) {
  const auto found = groups_.info(call.user, group);
  if (!found) return refusal_of(found.error());
  return group_answer(*found, secrets_.address);
}

Directory::Body Directory::list_groups(const control::DirectoryCall& call, const wire::ListGroups& request) {
  const auto found = groups_.of_user(call.user, request.after, limits::kGroupsPageMax + 1);
  wire::GroupList list;
  list.more = found.size() > limits::kGroupsPageMax;
  for (const auto& g : found) {
    if (list.groups.size() == limits::kGroupsPageMax) break;
    list.groups.push_back(
        {group_address(g.group, secrets_.address), g.version, g.name, static_cast<wire::GroupRole>(g.role), g.members});
  }
  return list;
}

Directory::Body Directory::group_invite(const control::DirectoryCall& call, const wire::GroupInvite& request) {
  if (request.action == wire::InviteAction::revoke) {
    const Body answer = told(groups_.revoke_invite(call.user, request.group, clock_()));
    return std::holds_alternative<wire::GroupChanged>(answer) ? Body(wire::Done{}) : answer;
  }
  const bool make = request.action == wire::InviteAction::create;
  const auto invite = make ? groups_.make_invite(call.user, request.group, make_invite_nonce(), clock_())
                           : groups_.invite(call.user, request.group);
  if (!invite) return refusal_of(invite.error());
  if (make && !published(request.group)) return not_told();
  return wire::Invite{invite_text(request.group, invite->nonce, secrets_.otp), invite->at.value, invite->by};
}

// The throttle is charged before the invite is looked at, so that many guesses at once can't slip through together, and
// refunded when it was right.
Directory::Body Directory::join_by_invite(const control::DirectoryCall& call, const wire::JoinByInvite& request) {
  const std::string guesser = throttle_key("invites", hex_id(call.user.value));
  if (const auto taken = throttles_.take(guesser, config_.invite_failures_per_user, clock_()); !taken)
    return error(Code::rate_limited, "too many invites that are not valid", taken.error().retry_after);
  const auto no_such_invite = [] { return error(Code::not_found, "this invite is not valid; ask for a new one"); };
  const auto group = group_of_invite(request.token);
  const auto nonce = group ? groups_.invite_nonce(*group) : std::nullopt;
  if (!nonce || !is_invite(request.token, *group, *nonce, secrets_.otp)) return no_such_invite();
  throttles_.refund(guesser, config_.invite_failures_per_user);
  const auto joined = groups_.join(call.user, *group, *nonce, clock_());
  if (!joined) {
    if (joined.error() == storage::GroupErrc::not_found) return no_such_invite();
    return refusal_of(joined.error());
  }
  if (!published(*group)) return not_told();
  if (joined->waiting) return wire::Done{};
  return group_info(call, *group);
}

Directory::Body Directory::list_join_requests(const control::DirectoryCall& call,
                                              const wire::ListJoinRequests& request) {
  const auto waiting = groups_.join_requests(call.user, request.group);
  if (!waiting) return refusal_of(waiting.error());
  wire::JoinRequestList list{request.group, {}};
  for (const auto& w : *waiting) list.requests.push_back({w.user, w.at.value});
  return list;
}

Directory::Body Directory::answer_join_request(const control::DirectoryCall& call,
                                               const wire::AnswerJoinRequest& request) {
  return told(groups_.answer(call.user, request.group, request.user, request.accept, clock_()));
}

// What is not told here, the publisher tells: the change is in storage::Groups since the devices changed.
void Directory::tell_device_changes(UserId user) {
  try {
    for (const auto& change : groups_.device_changes_of(user, kDeviceChangesInline)) {
      groups_.tell_device_change(change, clock_());
      publish_(change.group);
    }
  } catch (const std::exception& away) {
    spdlog::debug("groups of user {} learn of a device later: {}", hex_id(user.value), away.what());
  }
}

}  // namespace barid::directory
