#include "storage/groups.h"

#include <algorithm>

#include "storage/group_turn.h"
#include "storage/pool.h"

namespace barid::storage {

using Work = pqxx::transaction_base;

// A refused verb has written nothing, so its transaction may commit; a verb whose commit is in doubt is asked again.
template <class T, class Verb>
Groups::Outcome<T> Groups::transact(const char* what, const Verb& verb) {
  Outcome<T> outcome = fail(GroupErrc::not_member);
  const auto run = [&] { pool_->transact(what, [&](Work& work) { outcome = verb(work); }); };
  try {
    run();
  } catch (const InDoubt&) {
    run();
  }
  return outcome;
}

template <class T, class Verb>
Groups::Outcome<T> Groups::as_member(const char* what, UserId actor, GroupId group, WallMs now, const Verb& verb) {
  return transact<T>(what, [&](Work& work) -> Outcome<T> {
    auto turn = GroupTurn::lock(work, group, encode_, limits_, now);
    const GroupRole role = turn && !turn->ended ? turn->role_of(actor) : GroupRole::none;
    if (role == GroupRole::none) return fail(GroupErrc::not_member);
    return verb(*turn, role, work);
  });
}

Groups::Outcome<Groups::Changed> Groups::create_in(Work& work, UserId actor, const Draft& draft, GroupId id,
                                                   WallMs now) {
  const auto key = static_cast<std::int64_t>(draft.key);
  const auto before = work.exec_params(
      "SELECT group_id, version FROM groups WHERE creator_id = $1 AND creator_key = $2", bigint(actor), key);
  if (!before.empty()) return Changed{id_of<GroupId>(before[0][0]), before[0][1].as<std::uint64_t>(), {}};
  work.exec_params0(
      "INSERT INTO groups (group_id, version, creator_id, creator_key, name, description, picture, only_admins_send, "
      "only_admins_edit, join_approval, members, created_at_ms) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10)",
      bigint(id), bigint(actor), key, draft.text.name, draft.text.description, draft.text.picture,
      draft.settings.only_admins_send, draft.settings.only_admins_edit, draft.settings.join_approval, now.value);
  auto turn = GroupTurn::lock(work, id, encode_, limits_, now);
  std::vector<UserId> skipped, others;
  if (turn->addable(actor, {actor}, skipped).empty()) {
    work.exec_params0("DELETE FROM groups WHERE group_id = $1", bigint(id));
    return fail(GroupErrc::too_many_groups);
  }
  std::copy_if(draft.members.begin(), draft.members.end(), std::back_inserter(others),
               [&](UserId user) { return user != actor; });
  turn->create(actor, turn->addable(actor, others, skipped));
  return turn->changed(std::move(skipped));
}

Groups::Outcome<Groups::Changed> Groups::create(UserId actor, const Draft& draft, WallMs now) {
  if (draft.members.size() + 1 > limits_.members) return fail(GroupErrc::full);
  for (int attempt = 1;; ++attempt) {
    try {
      const auto id = random_id<GroupId>();
      return transact<Changed>("create a group", [&](Work& work) { return create_in(work, actor, draft, id, now); });
    } catch (const pqxx::unique_violation&) {  // the id is taken, or the same request is under way elsewhere
      if (attempt == kIdAttempts) throw;
    }
  }
}

Groups::Outcome<Groups::Changed> Groups::edit(UserId actor, GroupId group, const Edit& edit, WallMs now) {
  return as_member<Changed>(
      "edit a group", actor, group, now, [&](GroupTurn& turn, GroupRole role, Work&) -> Outcome<Changed> {
        if ((edit.name || edit.description || edit.picture) && !may_edit_info(role, turn.settings))
          return fail(GroupErrc::not_allowed);
        if (edit.settings && !is_admin(role)) return fail(GroupErrc::not_allowed);
        const GroupText text{edit.name.value_or(turn.text.name), edit.description.value_or(turn.text.description),
                             edit.picture.value_or(turn.text.picture)};
        const GroupSettings settings = edit.settings.value_or(turn.settings);
        if (text == turn.text && settings == turn.settings) return turn.changed();
        if (edit.expected_version != 0 && edit.expected_version != turn.version) return fail(GroupErrc::conflict);
        turn.text = text;
        turn.settings = settings;
        turn.write_text(actor);
        return turn.changed();
      });
}

Groups::Outcome<Groups::Changed> Groups::add(UserId actor, GroupId group, const std::vector<UserId>& users,
                                             WallMs now) {
  return as_member<Changed>("add to a group", actor, group, now,
                            [&](GroupTurn& turn, GroupRole role, Work&) -> Outcome<Changed> {
                              if (!is_admin(role)) return fail(GroupErrc::not_allowed);
                              std::vector<UserId> skipped;
                              const auto add = turn.addable(actor, users, skipped);
                              if (turn.members + add.size() > limits_.members) return fail(GroupErrc::full);
                              if (!add.empty()) turn.add(actor, add);
                              return turn.changed(std::move(skipped));
                            });
}

Groups::Outcome<Groups::Changed> Groups::remove(UserId actor, GroupId group, const std::vector<UserId>& users,
                                                WallMs now) {
  return as_member<Changed>("remove from a group", actor, group, now,
                            [&](GroupTurn& turn, GroupRole role, Work&) -> Outcome<Changed> {
                              if (!is_admin(role)) return fail(GroupErrc::not_allowed);
                              std::vector<UserId> gone;
                              for (const UserId user : users) {
                                const GroupRole target = turn.role_of(user);
                                if (target == GroupRole::none) continue;
                                if (user == actor) return fail(GroupErrc::invalid);
                                if (!may_remove(role, target)) return fail(GroupErrc::not_allowed);
                                if (std::find(gone.begin(), gone.end(), user) == gone.end()) gone.push_back(user);
                              }
                              if (!gone.empty()) turn.remove(actor, gone);
                              return turn.changed();
                            });
}

Groups::Outcome<Groups::Changed> Groups::set_role(UserId actor, GroupId group, UserId user, GroupRole wanted,
                                                  WallMs now) {
  return as_member<Changed>("set a role", actor, group, now,
                            [&](GroupTurn& turn, GroupRole role, Work&) -> Outcome<Changed> {
                              const GroupRole target = turn.role_of(user);
                              if (const auto no = objection_to_role(role, target, wanted, turn.owners()))
                                return fail(*no);
                              if (target != wanted) turn.set_role(actor, user, wanted);
                              return turn.changed();
                            });
}

Groups::Outcome<Groups::Changed> Groups::leave(UserId actor, GroupId group, UserId successor, WallMs now) {
  return transact<Changed>("leave a group", [&](Work& work) -> Outcome<Changed> {
    auto turn = GroupTurn::lock(work, group, encode_, limits_, now);
    if (!turn || !turn->was_in(actor)) return fail(GroupErrc::not_member);
    const GroupRole role = turn->role_of(actor);
    if (role == GroupRole::none) return turn->changed();  // has left before
    const bool names_one = successor != UserId{};
    if (const auto no = objection_to_leaving(role, turn->owners(), turn->members, names_one)) return fail(*no);
    if (names_one) {
      const GroupRole target = turn->role_of(successor);
      if (target == GroupRole::none || successor == actor) return fail(GroupErrc::no_such_member);
      if (target != GroupRole::owner) turn->set_role(actor, successor, GroupRole::owner);
    }
    if (turn->members == 1) {
      turn->end(actor);
    } else {
      turn->leave(actor);
    }
    return turn->changed();
  });
}

Groups::Outcome<Groups::Changed> Groups::end(UserId actor, GroupId group, WallMs now) {
  return transact<Changed>("end a group", [&](Work& work) -> Outcome<Changed> {
    auto turn = GroupTurn::lock(work, group, encode_, limits_, now);
    if (!turn || !turn->was_in(actor)) return fail(GroupErrc::not_member);
    if (turn->ended) return turn->changed();
    const GroupRole role = turn->role_of(actor);
    if (role != GroupRole::owner) return fail(role == GroupRole::none ? GroupErrc::not_member : GroupErrc::not_allowed);
    turn->end(actor);
    return turn->changed();
  });
}

Groups::Outcome<Group> Groups::info(UserId actor, GroupId group) {
  return transact<Group>("look a group up", [&](Work& work) -> Outcome<Group> {
    // FOR SHARE: the members are those of this version.
    const auto rows = work.exec_params(
        "SELECT g.version, g.created_at_ms, g.creator_id, g.name, g.description, g.picture, g.only_admins_send, "
        "g.only_admins_edit, g.join_approval FROM groups g JOIN group_members m ON m.group_id = g.group_id AND "
        "m.user_id "
        "= $2 AND m.left_version IS NULL WHERE g.group_id = $1 FOR SHARE OF g",
        bigint(group), bigint(actor));
    if (rows.empty()) return fail(GroupErrc::not_member);
    const auto& r = rows[0];
    Group found{group,
                r[0].as<std::uint64_t>(),
                wall_of(r[1]),
                id_of<UserId>(r[2]),
                {r[3].as<std::string>(), r[4].as<std::string>(), r[5].as<std::string>()},
                {r[6].as<bool>(), r[7].as<bool>(), r[8].as<bool>()},
                {}};
    for (const auto& m : work.exec_params(
             "SELECT user_id, role FROM group_members WHERE group_id = $1 AND left_version IS NULL ORDER BY user_id",
             bigint(group)))
      found.members.push_back({id_of<UserId>(m[0]), static_cast<GroupRole>(m[1].as<int>())});
    return found;
  });
}

std::vector<GroupShort> Groups::of_user(UserId user, GroupId after, std::size_t most) {
  std::vector<GroupShort> page;
  pool_->transact("list a user's groups", [&](Work& work) {
    page.clear();
    for (const auto& row : work.exec_params(
             "SELECT g.group_id, g.version, g.name, m.role, g.members FROM group_members m JOIN groups g ON g.group_id "
             "= "
             "m.group_id WHERE m.user_id = $1 AND m.left_version IS NULL AND m.group_id > $2 ORDER BY m.group_id LIMIT "
             "$3",
             bigint(user), bigint(after), static_cast<std::int64_t>(most)))
      page.push_back({id_of<GroupId>(row[0]), row[1].as<std::uint64_t>(), row[2].as<std::string>(),
                      static_cast<GroupRole>(row[3].as<int>()), row[4].as<std::uint32_t>()});
  });
  return page;
}

Groups::Outcome<Groups::Invite> Groups::invite(UserId actor, GroupId group) {
  return as_member<Invite>("show an invite", actor, group, WallMs{},
                           [&](GroupTurn& turn, GroupRole role, Work&) -> Outcome<Invite> {
                             if (!is_admin(role)) return fail(GroupErrc::not_allowed);
                             if (!turn.invite) return fail(GroupErrc::not_found);
                             return *turn.invite;
                           });
}

Groups::Outcome<Groups::Invite> Groups::make_invite(UserId actor, GroupId group, const std::string& nonce, WallMs now) {
  return as_member<Invite>("make an invite", actor, group, now,
                           [&](GroupTurn& turn, GroupRole role, Work&) -> Outcome<Invite> {
                             if (!is_admin(role)) return fail(GroupErrc::not_allowed);
                             if (!turn.invite || turn.invite->nonce != nonce) turn.set_invite(actor, nonce);
                             return *turn.invite;
                           });
}

Groups::Outcome<Groups::Changed> Groups::revoke_invite(UserId actor, GroupId group, WallMs now) {
  return as_member<Changed>("revoke an invite", actor, group, now,
                            [&](GroupTurn& turn, GroupRole role, Work&) -> Outcome<Changed> {
                              if (!is_admin(role)) return fail(GroupErrc::not_allowed);
                              if (turn.invite) turn.set_invite(actor, std::nullopt);
                              return turn.changed();
                            });
}

std::optional<std::string> Groups::invite_nonce(GroupId group) {
  std::optional<std::string> nonce;
  pool_->transact("look an invite up", [&](Work& work) {
    nonce.reset();
    const auto rows = work.exec_params(
        "SELECT invite_nonce FROM groups WHERE group_id = $1 AND invite_nonce IS NOT NULL", bigint(group));
    if (!rows.empty()) nonce = bytes_of(rows[0][0]);
  });
  return nonce;
}

Groups::Outcome<Groups::Joined> Groups::join(UserId user, GroupId group, const std::string& nonce, WallMs now) {
  return transact<Joined>("join a group", [&](Work& work) -> Outcome<Joined> {
    auto turn = GroupTurn::lock(work, group, encode_, limits_, now);
    if (!turn || turn->ended || !turn->invite || turn->invite->nonce != nonce) return fail(GroupErrc::not_found);
    if (turn->role_of(user) != GroupRole::none) return Joined{group, false};
    if (turn->members >= limits_.members) return fail(GroupErrc::full);
    std::vector<UserId> skipped;
    if (turn->addable(user, {user}, skipped).empty()) return fail(GroupErrc::too_many_groups);
    if (!turn->settings.join_approval && !turn->was_removed(user)) {
      turn->add(user, {user});
      return Joined{group, false};
    }
    const auto waiting = work.exec_params1(
        "SELECT count(*), count(*) FILTER (WHERE user_id = $2) FROM group_join_requests WHERE group_id = $1",
        bigint(group), bigint(user));
    if (waiting[1].as<int>() != 0) return Joined{group, true};
    if (waiting[0].as<std::size_t>() >= limits_.waiting) return fail(GroupErrc::too_many_waiting);
    turn->ask_to_join(user);
    return Joined{group, true};
  });
}

Groups::Outcome<std::vector<Groups::JoinRequest>> Groups::join_requests(UserId actor, GroupId group) {
  using Requests = std::vector<JoinRequest>;
  return as_member<Requests>(
      "list join requests", actor, group, WallMs{}, [&](GroupTurn&, GroupRole role, Work& work) -> Outcome<Requests> {
        if (!is_admin(role)) return fail(GroupErrc::not_allowed);
        Requests requests;
        for (const auto& row : work.exec_params(
                 "SELECT user_id, at_ms FROM group_join_requests WHERE group_id = $1 ORDER BY at_ms, user_id",
                 bigint(group)))
          requests.push_back({id_of<UserId>(row[0]), wall_of(row[1])});
        return requests;
      });
}

Groups::Outcome<Groups::Changed> Groups::answer(UserId actor, GroupId group, UserId user, bool accept, WallMs now) {
  return as_member<Changed>(
      "answer a join request", actor, group, now, [&](GroupTurn& turn, GroupRole role, Work& work) -> Outcome<Changed> {
        if (!is_admin(role)) return fail(GroupErrc::not_allowed);
        if (accept && turn.role_of(user) != GroupRole::none) return turn.changed();
        const auto waits = work.exec_params("SELECT 1 FROM group_join_requests WHERE group_id = $1 AND user_id = $2",
                                            bigint(group), bigint(user));
        if (waits.empty()) return fail(GroupErrc::not_found);
        if (accept && turn.members >= limits_.members) return fail(GroupErrc::full);
        work.exec_params0("DELETE FROM group_join_requests WHERE group_id = $1 AND user_id = $2", bigint(group),
                          bigint(user));
        if (!accept) return turn.changed();
        std::vector<UserId> skipped;
        const auto add = turn.addable(user, {user}, skipped);
        if (!add.empty()) turn.add(actor, add);
        return turn.changed(std::move(skipped));
      });
}

}  // namespace barid::storage
