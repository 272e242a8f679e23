#include "client/cli/groups.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

using Kind = wire::GroupEventKind;

constexpr std::size_t kNamedMax = 5;  // people in one sentence

const char* kind_word(Kind kind) {
  switch (kind) {
    case Kind::created:
      return "created";
    case Kind::edited:
      return "edited";
    case Kind::members_added:
      return "membersAdded";
    case Kind::members_removed:
      return "membersRemoved";
    case Kind::member_left:
      return "memberLeft";
    case Kind::role_changed:
      return "roleChanged";
    case Kind::deleted:
      return "deleted";
    case Kind::invite_changed:
      return "inviteChanged";
    case Kind::join_requested:
      return "joinRequested";
    case Kind::devices_changed:
      return "devicesChanged";
  }
  return "unknown";
}

std::string names(client::SqliteStore& store, const std::vector<UserId>& users) {
  std::string all;
  for (std::size_t i = 0; i < users.size() && i < kNamedMax; ++i)
    all += (all.empty() ? "" : ", ") + name_of(store, users[i]);
  if (users.size() > kNamedMax) all += " and " + std::to_string(users.size() - kNamedMax) + " more";
  return all;
}

}  // namespace

client::GroupState find_group(client::SqliteStore& store, const std::string& who) {
  auto found = store.find_groups(who);
  if (found.empty())
    throw Failure(Exit::error, "there is no group \"" + printable(who) + "\": barid group list shows yours");
  if (found.size() > 1)
    throw Failure(Exit::error, "there are " + std::to_string(found.size()) + " groups \"" + printable(who) +
                                   "\": name one as group:ID, from barid group list");
  return store.group(found.front().id()).value_or(found.front());
}

client::Peer find_conversation(client::SqliteStore& store, const std::string& who, bool group) {
  if (!group && !who.starts_with("group:") && (store.find_peer(who) || store.find_groups(who).empty()))
    return find_or_make_peer(store, who);
  return store.peer(find_group(store, who).peer).value_or(client::Peer{});
}

std::string name_of(client::SqliteStore& store, UserId user) {
  if (user == store.account().user) return "you";
  client::Peer stranger;
  stranger.user = user;
  return name_of(store.peer_of(user).value_or(stranger));
}

std::string role_text(wire::GroupRole role) {
  static constexpr const char* kWords[] = {"not in it", "member", "admin", "owner"};
  return kWords[static_cast<std::size_t>(role)];
}

std::string note_text(client::SqliteStore& store, const client::GroupNote& n) {
  const std::string actor = name_of(store, n.actor), users = names(store, n.users);
  switch (n.kind) {
    case Kind::created:
      return actor + " created the group";
    case Kind::edited:
      return actor + " changed the group's name, description, picture or settings";
    case Kind::members_added:
      return n.users.size() == 1 && n.users.front() == n.actor ? actor + " joined" : actor + " added " + users;
    case Kind::members_removed:
      return actor + " removed " + users;
    case Kind::member_left:
      return actor + " left";
    case Kind::role_changed:
      return actor + " made " + users + " " + role_text(n.role);
    case Kind::deleted:
      return actor + " ended the group";
    case Kind::invite_changed:
      return actor + " changed the invite";
    case Kind::join_requested:
      return actor + " asks to join";
    case Kind::devices_changed:
      return users + (n.users.size() == 1 ? " uses" : " use") + " another device";
  }
  return {};
}

std::string note_json(client::SqliteStore& store, const client::GroupNote& n) {
  using nlohmann::json;
  const auto group = store.group(n.group);
  json users = json::array();
  for (const UserId user : n.users) users.push_back(hex_id(user.value));
  json object{{"type", "group"},
              {"event", kind_word(n.kind)},
              {"group", hex_id(n.group.value)},
              {"name", group ? group->name : ""},
              {"version", n.version},
              {"actor", hex_id(n.actor.value)},
              {"users", std::move(users)},
              {"at_ms", n.at_ms},
              {"text", note_text(store, n)}};
  if (n.role != wire::GroupRole::none) object["role"] = role_text(n.role);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string progress_text(const client::Message& m) {
  if (m.incoming || m.recipients == 0 || m.got == 0) return {};
  const std::string all = " of " + std::to_string(m.recipients);
  return "delivered to " + std::to_string(m.got) + all +
         (m.seen == 0 ? "" : ", read by " + std::to_string(m.seen) + all);
}

}  // namespace barid::cli
