#include "storage/group_rules.h"

#include <algorithm>

namespace barid::storage {

std::optional<GroupErrc> objection_to_role(GroupRole actor, GroupRole target, GroupRole wanted, std::size_t owners) {
  if (wanted < GroupRole::member || wanted > GroupRole::owner) return GroupErrc::invalid;
  if (!is_admin(actor)) return GroupErrc::not_allowed;
  if (target == GroupRole::none) return GroupErrc::no_such_member;
  if (actor != GroupRole::owner && (target == GroupRole::owner || wanted == GroupRole::owner))
    return GroupErrc::not_allowed;
  if (target == GroupRole::owner && wanted != GroupRole::owner && owners <= 1) return GroupErrc::last_owner;
  return {};
}

std::optional<GroupErrc> objection_to_leaving(GroupRole actor, std::size_t owners, std::size_t members,
                                              bool names_successor) {
  if (actor == GroupRole::none) return GroupErrc::not_member;
  if (names_successor && actor != GroupRole::owner) return GroupErrc::not_allowed;
  if (actor == GroupRole::owner && owners <= 1 && members > 1 && !names_successor) return GroupErrc::last_owner;
  return {};
}

std::string objection_to_name(const std::string& name) {
  const auto is_blank = [](char c) { return c == ' '; };
  if (std::all_of(name.begin(), name.end(), is_blank)) return "a group needs a name";
  if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return "a group's name is one line of text";
  const auto characters =
      std::count_if(name.begin(), name.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; });  // UTF-8
  if (static_cast<std::size_t>(characters) > kGroupNameCharactersMax)
    return "a group's name has at most " + std::to_string(kGroupNameCharactersMax) + " characters";
  return {};
}

}  // namespace barid::storage
