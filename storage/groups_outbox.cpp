// Of Groups: events on their way to the stream, and what the fan-out asks.
#include "storage/group_turn.h"
#include "storage/groups.h"
#include "storage/pool.h"

namespace barid::storage {

using Work = pqxx::transaction_base;

std::vector<Groups::Unpublished> Groups::unpublished(GroupId group, std::size_t most) {
  std::vector<Unpublished> events;
  pool_->transact("read a group's new events", [&](Work& work) {
    events.clear();
    for (const auto& row : work.exec_params("SELECT version, at_ms, frame FROM group_events WHERE group_id = $1 AND "
                                            "published_seq IS NULL ORDER BY version LIMIT $2",
                                            bigint(group), static_cast<std::int64_t>(most)))
      events.push_back({row[0].as<std::uint64_t>(), wall_of(row[1]), bytes_of(row[2])});
  });
  return events;
}

std::vector<GroupId> Groups::with_unpublished(std::size_t most) {
  std::vector<GroupId> groups;
  pool_->transact("list groups with new events", [&](Work& work) {
    groups.clear();
    for (const auto& row : work.exec_params("SELECT DISTINCT group_id FROM group_events WHERE published_seq IS NULL "
                                            "ORDER BY group_id LIMIT $1",
                                            static_cast<std::int64_t>(most)))
      groups.push_back(id_of<GroupId>(row[0]));
  });
  return groups;
}

void Groups::published(GroupId group, std::uint64_t version, StreamSeq seq, const std::string& incarnation) {
  const auto note = [&] {
    pool_->transact("note where an event is", [&](Work& work) {
      work.exec_params0(
          "UPDATE group_events SET published_seq = $3, published_in = $4 WHERE group_id = $1 AND version = $2 AND "
          "published_seq IS NULL",
          bigint(group), static_cast<std::int64_t>(version), static_cast<std::int64_t>(seq.value), incarnation);
    });
  };
  try {
    note();
  } catch (const InDoubt&) {
    note();
  }
}

void note_devices_changed(Work& work, UserId user) {
  work.exec_params0(
      "INSERT INTO group_device_changes (user_id, group_id) SELECT user_id, group_id FROM group_members WHERE user_id "
      "= "
      "$1 AND left_version IS NULL ON CONFLICT DO NOTHING",
      bigint(user));
}

std::vector<Groups::DeviceChange> Groups::device_changes(std::size_t most) {
  std::vector<DeviceChange> changes;
  pool_->transact("list changed devices", [&](Work& work) {
    changes.clear();
    for (const auto& row :
         work.exec_params("SELECT user_id, group_id FROM group_device_changes ORDER BY user_id, group_id LIMIT $1",
                          static_cast<std::int64_t>(most)))
      changes.push_back({id_of<UserId>(row[0]), id_of<GroupId>(row[1])});
  });
  return changes;
}

std::vector<Groups::DeviceChange> Groups::device_changes_of(UserId user, std::size_t most) {
  std::vector<DeviceChange> changes;
  pool_->transact("list a user's changed devices", [&](Work& work) {
    changes.clear();
    for (const auto& row :
         work.exec_params("SELECT group_id FROM group_device_changes WHERE user_id = $1 ORDER BY group_id LIMIT $2",
                          bigint(user), static_cast<std::int64_t>(most)))
      changes.push_back({user, id_of<GroupId>(row[0])});
  });
  return changes;
}

void Groups::tell_device_change(DeviceChange change, WallMs now) {
  const auto tell = [&] {
    pool_->transact("tell a group of changed devices", [&](Work& work) {
      auto turn = GroupTurn::lock(work, change.group, encode_, limits_, now);
      const auto taken = work.exec_params("DELETE FROM group_device_changes WHERE user_id = $1 AND group_id = $2",
                                          bigint(change.user), bigint(change.group));
      if (taken.affected_rows() == 0 || !turn || turn->role_of(change.user) == GroupRole::none) return;
      turn->tell_devices(change.user);
    });
  };
  try {
    tell();
  } catch (const InDoubt&) {
    tell();
  }
}

std::optional<Groups::Snapshot> Groups::as_of(GroupId group, StreamSeq before, const std::string& incarnation) {
  std::optional<Snapshot> found;
  pool_->transact("look a group's members up", [&](Work& work) {
    found.reset();
    const auto rows = work.exec_params(
        "SELECT version, only_admins_send FROM group_events WHERE group_id = $1 AND published_seq IS NOT NULL AND ($2 "
        "= 0 "
        "OR published_seq < $2 OR published_in <> $3) ORDER BY version DESC LIMIT 1",
        bigint(group), static_cast<std::int64_t>(before.value), incarnation);
    if (rows.empty()) return;
    Snapshot snapshot{rows[0][0].as<std::uint64_t>(), rows[0][1].as<bool>(), {}};
    // Changes made meanwhile are of later versions: they do not match, or still do.
    for (const auto& row : work.exec_params(
             "SELECT m.user_id, m.role, d.device_id FROM group_members m LEFT JOIN devices d ON d.user_id = m.user_id "
             "AND "
             "d.revoked_at_ms IS NULL WHERE m.group_id = $1 AND m.joined_version <= $2 AND (m.left_version IS NULL OR "
             "m.left_version > $2) ORDER BY m.user_id, d.created_at_ms",
             bigint(group), static_cast<std::int64_t>(snapshot.version))) {
      const auto user = id_of<UserId>(row[0]);
      if (snapshot.members.empty() || snapshot.members.back().user != user)
        snapshot.members.push_back({user, static_cast<GroupRole>(row[1].as<int>()), {}});
      if (!row[2].is_null()) snapshot.members.back().devices.push_back(id_of<DeviceId>(row[2]));
    }
    if (!snapshot.members.empty()) found = std::move(snapshot);  // else it has ended
  });
  return found;
}

void Groups::forget_before(WallMs now) {
  pool_->transact("forget old events of groups", [&](Work& work) {
    work.exec_params0(
        "DELETE FROM group_events e USING groups g WHERE e.at_ms < $1 AND e.published_seq IS NOT NULL AND g.group_id = "
        "e.group_id AND e.version < g.version",
        now.value);
  });
}

}  // namespace barid::storage
