// Private to storage/: one transaction's work on one group, whose row it has locked. What is asked of it is read under
// that lock; each event() is the next version.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/groups.h"
#include "storage/rows.h"

namespace barid::storage {

inline std::string id_array(const std::vector<UserId>& users) {  // for ANY($1::bigint[])
  std::string out = "{";
  for (const UserId user : users) out += (out.size() > 1 ? "," : "") + std::to_string(bigint(user));
  return out + "}";
}

class GroupTurn {
 public:
  // nullopt: there is no such group. One that has ended is locked, too.
  static std::optional<GroupTurn> lock(pqxx::transaction_base& work, GroupId group, const Groups::Encode& encode,
                                       const Groups::Limits& limits, WallMs now);

  bool ended = false;
  GroupText text;
  GroupSettings settings;
  std::size_t members = 0;
  std::uint64_t version = 0;
  std::optional<Groups::Invite> invite;

  GroupRole role_of(UserId user);
  bool was_in(UserId user);       // now or ever
  bool was_removed(UserId user);  // the last time that they were in, somebody removed them
  std::size_t owners();
  // Those of `users` who may be added by `actor`, without repetitions; the others go to `skipped`. Those who are in
  // already are in neither.
  std::vector<UserId> addable(UserId actor, const std::vector<UserId>& users, std::vector<UserId>& skipped);

  // Each makes the next version with its event.
  void create(UserId actor, const std::vector<UserId>& others);  // the first event, of version 1
  void write_text(UserId actor);                                 // edited: text and settings as they are set here
  void add(UserId actor, const std::vector<UserId>& users);
  void remove(UserId actor, const std::vector<UserId>& users);
  void set_role(UserId actor, UserId user, GroupRole role);
  void leave(UserId user);
  void end(UserId actor);
  void set_invite(UserId actor, const std::optional<std::string>& nonce);
  void ask_to_join(UserId user);
  void tell_devices(UserId user);
  void event(GroupEvent e, int joined = 0);  // group, version and time are filled in

  Groups::Changed changed(std::vector<UserId> skipped = {}) const { return {group_, version, std::move(skipped)}; }

 private:
  GroupTurn(pqxx::transaction_base& work, GroupId group, const Groups::Encode& encode, const Groups::Limits& limits,
            WallMs now)
      : work_(work), group_(group), encode_(encode), limits_(limits), now_(now) {}
  void open_rows(const std::vector<UserId>& users, GroupRole role, std::uint64_t from);
  void close_rows(const std::vector<UserId>& users, std::uint64_t at, bool removed);
  void fill_devices(GroupEvent& e);

  pqxx::transaction_base& work_;
  GroupId group_;
  const Groups::Encode& encode_;
  const Groups::Limits& limits_;
  WallMs now_;
};

}  // namespace barid::storage
