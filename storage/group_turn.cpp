#include "storage/group_turn.h"

#include <algorithm>
#include <set>

namespace barid::storage {

std::optional<GroupTurn> GroupTurn::lock(pqxx::transaction_base& work, GroupId group, const Groups::Encode& encode,
                                         const Groups::Limits& limits, WallMs now) {
  const auto rows = work.exec_params(
      "SELECT version, name, description, picture, only_admins_send, only_admins_edit, join_approval, members, "
      "deleted_at_ms, invite_nonce, invite_at_ms, invite_by FROM groups WHERE group_id = $1 FOR NO KEY UPDATE",
      bigint(group));
  if (rows.empty()) return {};
  const auto& row = rows[0];
  GroupTurn turn(work, group, encode, limits, now);
  turn.version = row[0].as<std::uint64_t>();
  turn.text = {row[1].as<std::string>(), row[2].as<std::string>(), row[3].as<std::string>()};
  turn.settings = {row[4].as<bool>(), row[5].as<bool>(), row[6].as<bool>()};
  turn.members = row[7].as<std::size_t>();
  turn.ended = !row[8].is_null();
  if (!row[9].is_null()) turn.invite = Groups::Invite{bytes_of(row[9]), wall_of(row[10]), id_of<UserId>(row[11])};
  return turn;
}

GroupRole GroupTurn::role_of(UserId user) {
  const auto rows =
      work_.exec_params("SELECT role FROM group_members WHERE group_id = $1 AND user_id = $2 AND left_version IS NULL",
                        bigint(group_), bigint(user));
  return rows.empty() ? GroupRole::none : static_cast<GroupRole>(rows[0][0].as<int>());
}

bool GroupTurn::was_in(UserId user) {
  return !work_
              .exec_params("SELECT 1 FROM group_members WHERE group_id = $1 AND user_id = $2 LIMIT 1", bigint(group_),
                           bigint(user))
              .empty();
}

bool GroupTurn::was_removed(UserId user) {
  const auto rows = work_.exec_params(
      "SELECT removed FROM group_members WHERE group_id = $1 AND user_id = $2 ORDER BY joined_version DESC LIMIT 1",
      bigint(group_), bigint(user));
  return !rows.empty() && rows[0][0].as<bool>();
}

std::size_t GroupTurn::owners() {
  return work_
      .exec_params1("SELECT count(*) FROM group_members WHERE group_id = $1 AND role = $2 AND left_version IS NULL",
                    bigint(group_), static_cast<int>(GroupRole::owner))[0]
      .as<std::size_t>();
}

std::vector<UserId> GroupTurn::addable(UserId actor, const std::vector<UserId>& users, std::vector<UserId>& skipped) {
  std::set<UserId> can, in;
  for (const auto& row : work_.exec_params(
           "SELECT u.user_id, m.user_id FROM users u LEFT JOIN group_members m ON m.group_id = $1 AND m.user_id = "
           "u.user_id AND m.left_version IS NULL WHERE u.user_id = ANY($2::bigint[]) AND NOT EXISTS (SELECT FROM "
           "blocks "
           "b WHERE b.user_id = u.user_id AND b.blocked_id = $3) AND (SELECT count(*) FROM group_members g WHERE "
           "g.user_id = u.user_id AND g.left_version IS NULL) < $4",
           bigint(group_), id_array(users), bigint(actor), static_cast<std::int64_t>(limits_.groups_per_user)))
    can.insert(id_of<UserId>(row[0]));
  for (const auto& row : work_.exec_params(
           "SELECT user_id FROM group_members WHERE group_id = $1 AND user_id = ANY($2::bigint[]) AND left_version IS "
           "NULL",
           bigint(group_), id_array(users)))
    in.insert(id_of<UserId>(row[0]));
  std::vector<UserId> add;
  std::set<UserId> seen;
  for (const UserId user : users)
    if (seen.insert(user).second && !in.contains(user)) (can.contains(user) ? add : skipped).push_back(user);
  return add;
}

void GroupTurn::open_rows(const std::vector<UserId>& users, GroupRole role, std::uint64_t from) {
  work_.exec_params0(
      "INSERT INTO group_members (group_id, user_id, joined_version, role) SELECT $1, unnest($2::bigint[]), $3, $4",
      bigint(group_), id_array(users), static_cast<std::int64_t>(from), static_cast<int>(role));
}

void GroupTurn::close_rows(const std::vector<UserId>& users, std::uint64_t at, bool removed) {
  work_.exec_params0(
      "UPDATE group_members SET left_version = $3, removed = $4 WHERE group_id = $1 AND user_id = ANY($2::bigint[]) "
      "AND "
      "left_version IS NULL",
      bigint(group_), id_array(users), static_cast<std::int64_t>(at), removed);
}

void GroupTurn::fill_devices(GroupEvent& e) {
  for (const auto& row : work_.exec_params("SELECT user_id, device_id FROM devices WHERE user_id = ANY($1::bigint[]) "
                                           "AND revoked_at_ms IS NULL ORDER BY "
                                           "user_id, created_at_ms LIMIT $2",
                                           id_array(e.users), static_cast<std::int64_t>(limits_.event_devices + 1)))
    e.devices.push_back({id_of<UserId>(row[0]), id_of<DeviceId>(row[1])});
  e.devices_left_out = e.devices.size() > limits_.event_devices;
  if (e.devices_left_out) e.devices.clear();
}

void GroupTurn::event(GroupEvent e, int joined) {
  e.group = group_;
  e.version = ++version;
  e.at = now_;
  if (e.kind == GroupEventKind::created || e.kind == GroupEventKind::members_added ||
      e.kind == GroupEventKind::devices_changed)
    fill_devices(e);
  if (e.kind == GroupEventKind::created || e.kind == GroupEventKind::edited) e.text = text;
  if (e.kind == GroupEventKind::members_added) e.text.name = text.name;
  if (!e.text.name.empty()) e.settings = settings;
  members = static_cast<std::size_t>(static_cast<std::int64_t>(members) + joined);
  work_.exec_params0("UPDATE groups SET version = $2, members = $3 WHERE group_id = $1", bigint(group_),
                     static_cast<std::int64_t>(version), static_cast<std::int64_t>(members));
  work_.exec_params0(
      "INSERT INTO group_events (group_id, version, frame, only_admins_send, at_ms) VALUES ($1, $2, $3, $4, $5)",
      bigint(group_), static_cast<std::int64_t>(version), bytea(encode_(e)), settings.only_admins_send, now_.value);
}

void GroupTurn::create(UserId actor, const std::vector<UserId>& others) {
  version = 0;
  open_rows({actor}, GroupRole::owner, 1);
  open_rows(others, GroupRole::member, 1);
  GroupEvent e;
  e.kind = GroupEventKind::created, e.actor = actor, e.users = {actor};
  e.users.insert(e.users.end(), others.begin(), others.end());
  const auto joined = static_cast<int>(e.users.size());
  event(std::move(e), joined);
}

void GroupTurn::write_text(UserId actor) {
  work_.exec_params0(
      "UPDATE groups SET name = $2, description = $3, picture = $4, only_admins_send = $5, only_admins_edit = $6, "
      "join_approval = $7 WHERE group_id = $1",
      bigint(group_), text.name, text.description, text.picture, settings.only_admins_send, settings.only_admins_edit,
      settings.join_approval);
  GroupEvent e;
  e.kind = GroupEventKind::edited, e.actor = actor;
  event(std::move(e));
}

void GroupTurn::add(UserId actor, const std::vector<UserId>& users) {
  open_rows(users, GroupRole::member, version + 1);
  work_.exec_params0("DELETE FROM group_join_requests WHERE group_id = $1 AND user_id = ANY($2::bigint[])",
                     bigint(group_), id_array(users));
  GroupEvent e;
  e.kind = GroupEventKind::members_added, e.actor = actor, e.users = users;
  event(std::move(e), static_cast<int>(users.size()));
}

void GroupTurn::remove(UserId actor, const std::vector<UserId>& users) {
  close_rows(users, version + 1, true);
  GroupEvent e;
  e.kind = GroupEventKind::members_removed, e.actor = actor, e.users = users;
  event(std::move(e), -static_cast<int>(users.size()));
}

void GroupTurn::set_role(UserId actor, UserId user, GroupRole role) {
  close_rows({user}, version + 1, false);
  open_rows({user}, role, version + 1);
  GroupEvent e;
  e.kind = GroupEventKind::role_changed, e.actor = actor, e.role = role, e.users = {user};
  event(std::move(e));
}

void GroupTurn::leave(UserId user) {
  close_rows({user}, version + 1, false);
  GroupEvent e;
  e.kind = GroupEventKind::member_left, e.actor = user;
  event(std::move(e), -1);
}

void GroupTurn::end(UserId actor) {
  work_.exec_params0("UPDATE group_members SET left_version = $2 WHERE group_id = $1 AND left_version IS NULL",
                     bigint(group_), static_cast<std::int64_t>(version + 1));
  work_.exec_params0("DELETE FROM group_join_requests WHERE group_id = $1", bigint(group_));
  work_.exec_params0(
      "UPDATE groups SET deleted_at_ms = $2, invite_nonce = NULL, invite_at_ms = NULL, invite_by = NULL WHERE group_id "
      "= "
      "$1",
      bigint(group_), now_.value);
  ended = true;
  GroupEvent e;
  e.kind = GroupEventKind::deleted, e.actor = actor;
  event(std::move(e), -static_cast<int>(members));
}

void GroupTurn::set_invite(UserId actor, const std::optional<std::string>& nonce) {
  if (nonce) {
    work_.exec_params0("UPDATE groups SET invite_nonce = $2, invite_at_ms = $3, invite_by = $4 WHERE group_id = $1",
                       bigint(group_), bytea(*nonce), now_.value, bigint(actor));
    invite = Groups::Invite{*nonce, now_, actor};
  } else {
    work_.exec_params0(
        "UPDATE groups SET invite_nonce = NULL, invite_at_ms = NULL, invite_by = NULL WHERE group_id = $1",
        bigint(group_));
    invite.reset();
  }
  GroupEvent e;
  e.kind = GroupEventKind::invite_changed, e.actor = actor;
  event(std::move(e));
}

void GroupTurn::ask_to_join(UserId user) {
  work_.exec_params0("INSERT INTO group_join_requests (group_id, user_id, at_ms) VALUES ($1, $2, $3)", bigint(group_),
                     bigint(user), now_.value);
  GroupEvent e;
  e.kind = GroupEventKind::join_requested, e.actor = user;
  event(std::move(e));
}

void GroupTurn::tell_devices(UserId user) {
  GroupEvent e;
  e.kind = GroupEventKind::devices_changed, e.actor = user, e.users = {user};
  event(std::move(e));
}

}  // namespace barid::storage
