// Who may do what in a group. Pure: the repository asks these under the lock of the group's row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace barid::storage {

enum class GroupRole : std::int16_t { none = 0, member = 1, admin = 2, owner = 3 };
struct GroupSettings {
  bool only_admins_send = false, only_admins_edit = false, join_approval = false;
  bool operator==(const GroupSettings&) const = default;
};

// Why a verb was refused. Everything that a caller who is not in the group may not know is not_member.
enum class GroupErrc {
  not_member,
  not_allowed,       // the role does not suffice
  last_owner,        // a group is never without an owner
  no_such_member,    // the one whom it is about
  full,              // group_members_max
  conflict,          // the version is not the expected one
  not_found,         // no such invite or join request
  too_many_groups,   // of the one who asks
  too_many_waiting,  // join requests
  invalid,
};

inline bool is_admin(GroupRole role) { return role >= GroupRole::admin; }

inline bool may_edit_info(GroupRole role, const GroupSettings& settings) {
  return role >= (settings.only_admins_edit ? GroupRole::admin : GroupRole::member);
}

// Admins and owners may remove whoever does not stand above them.
inline bool may_remove(GroupRole actor, GroupRole target) { return is_admin(actor) && target <= actor; }

// Owners set every role, admins those below owner, of those below owner. The last owner stays one.
std::optional<GroupErrc> objection_to_role(GroupRole actor, GroupRole target, GroupRole wanted, std::size_t owners);

// The last owner leaves others behind only with a successor; only an owner names one.
std::optional<GroupErrc> objection_to_leaving(GroupRole actor, std::size_t owners, std::size_t members,
                                              bool names_successor);

// Empty: fine. Else what is wrong with it, for people.
std::string objection_to_name(const std::string& name);

inline constexpr std::size_t kGroupNameCharactersMax = 100;

}  // namespace barid::storage
