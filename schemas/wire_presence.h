// Presence on the wire: the frames Watch, Typing and Presence, and the requests about who may see what. Part of wire.h,
// which every user includes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/id.h"

namespace barid::wire {

enum class TypingState : std::uint8_t { stopped, typing, recording };
enum class PresenceState : std::uint8_t { hidden, offline, online };
enum class Audience : std::uint8_t { everyone, contacts, nobody };

// All that a connection wants to know of from now on: replaces what it asked for before.
struct Watch {
  std::vector<UserId> users;    // at most limits::kWatchUsersMax
  std::vector<GroupId> groups;  // who types there; at most limits::kWatchGroupsMax
};
struct Typing {
  UserId user;  // one of them
  GroupId group;
  TypingState state = TypingState::stopped;
};
struct PresenceEntry {
  UserId user;
  GroupId group;  // not 0: only what `user` types there; else all there is to know of `user`
  PresenceState state = PresenceState::hidden;
  TypingState typing = TypingState::stopped;
  std::int64_t last_seen_ms = 0;  // 0: not known, or not shown
  bool operator==(const PresenceEntry&) const = default;
};
struct Presence {
  std::vector<PresenceEntry> entries;
};

// Who sees the own user. In both directions: one sees of others what one shows them.
struct Privacy {
  Audience last_seen = Audience::everyone, online = Audience::everyone;
  bool operator==(const Privacy&) const = default;
};
struct SetPrivacy {
  Privacy privacy;
};
struct GetPrivacy {};
// The user's contacts as the directory knows them, for Audience::contacts.
struct EditContacts {
  std::vector<UserId> add, remove;
};

}  // namespace barid::wire
