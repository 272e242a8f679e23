// The verbs of SqliteStore about groups: what the server tells of them, and what people look at.
#include <algorithm>

#include "base/log.h"
#include "client/core/sqlite_store.h"

namespace barid::client {
namespace {

constexpr int kGroupKind = static_cast<int>(wire::SendKind::group);
constexpr int kFailed = static_cast<int>(State::failed);

int bits_of(const wire::GroupSettings& s) {
  return (s.only_admins_send ? 1 : 0) | (s.only_admins_edit ? 2 : 0) | (s.join_approval ? 4 : 0);
}
wire::GroupSettings settings_of(std::int64_t bits) { return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0}; }

GroupState read_group(const Sqlite::Query& q) {
  GroupState g;
  g.address = {UserId(q.id(0)), DeviceId(0), q.id(2)};
  g.peer = PeerId(q.integer(1));
  g.version = q.id(3);
  g.name = q.text(4);
  g.description = q.text(5);
  g.picture = q.text(6);
  g.settings = settings_of(q.integer(7));
  g.role = static_cast<wire::GroupRole>(q.integer(8));
  return g;
}

std::string users_to_text(const std::vector<UserId>& users) {
  std::string text;
  for (const UserId user : users) text += hex_id(user.value) + ' ';
  return text;
}

std::vector<UserId> users_from_text(const std::string& text) {
  constexpr std::size_t kWord = 17;  // 16 digits and a space
  std::vector<UserId> users;
  for (std::size_t at = 0; at + kWord <= text.size(); at += kWord) {
    std::uint64_t user = 0;
    if (parse_hex_id(std::string_view(text).substr(at, kWord - 1), user)) users.emplace_back(user);
  }
  return users;
}

std::vector<GroupNote> read_notes(Sqlite::Query q) {
  std::vector<GroupNote> notes;
  while (q.step()) {
    GroupNote n;
    n.id = q.integer(0);
    n.group = GroupId(q.id(1));
    n.version = q.id(2);
    n.kind = static_cast<wire::GroupEventKind>(q.integer(3));
    n.role = static_cast<wire::GroupRole>(q.integer(4));
    n.actor = UserId(q.id(5));
    n.users = users_from_text(q.text(6));
    n.at_ms = q.integer(7);
    notes.push_back(std::move(n));
  }
  return notes;
}

bool contains(const std::vector<UserId>& users, UserId user) {
  return std::find(users.begin(), users.end(), user) != users.end();
}

#define BARID_GROUP "SELECT id, peer, tag, version, name, description, picture, settings, role FROM groups "
#define BARID_NOTE "SELECT id, group_id, version, kind, role, actor, users, at_ms FROM group_notes "

}  // namespace

std::int64_t SqliteStore::peer_of_group(GroupId group) { return ensure_group(group).peer.value; }

GroupState SqliteStore::ensure_group(GroupId group) {
  {
    auto q = db_.query(BARID_GROUP "WHERE id = ?", group.value);
    if (q.step()) return read_group(q);
  }
  db_.run("INSERT INTO peers(group_id) VALUES(?)", group.value);
  GroupState g;
  g.address.user = UserId(group.value);
  g.peer = PeerId(db_.last_row());
  db_.run("INSERT INTO groups VALUES(?, ?, 0, 0, 0, '', '', '', 0, 0, 1, 0)", group.value, g.peer.value);
  return g;
}

void SqliteStore::write_group(const GroupState& g, bool stale) {
  const std::uint64_t id = g.id().value;
  db_.run(
      "UPDATE groups SET tag = ?, version = ?, name = ?, description = ?, picture = ?, settings = ?, role = ?, "
      "stale = ? WHERE id = ?",
      g.address.tag, g.version, g.name, g.description, g.picture, bits_of(g.settings), static_cast<int>(g.role),
      stale ? 1 : 0, id);
}

void SqliteStore::group_event(const wire::GroupEvent& e) {
  const UserId me = account().user;
  const bool removed = (e.kind == wire::GroupEventKind::members_removed && contains(e.users, me)) ||
                       (e.kind == wire::GroupEventKind::member_left && e.actor == me) ||
                       e.kind == wire::GroupEventKind::deleted;
  GroupState g = ensure_group(e.group);
  db_.run(
      "INSERT OR IGNORE INTO group_notes(group_id, version, kind, role, actor, users, at_ms) VALUES(?, ?, ?, ?, ?, ?, "
      "?)",
      e.group.value, e.version, static_cast<int>(e.kind), static_cast<int>(e.role), e.actor.value,
      users_to_text(e.users), e.at_ms);
  const bool new_note = db_.changed() != 0;
  db_.run("UPDATE groups SET seen_version = max(seen_version, ?) WHERE id = ?", e.version, e.group.value);
  if (new_note) touch();
  if (new_note && (e.kind == wire::GroupEventKind::members_removed || e.kind == wire::GroupEventKind::member_left ||
                   e.kind == wire::GroupEventKind::devices_changed)) {
    db_.run("UPDATE groups SET rekey = 1 WHERE id = ?", e.group.value);
    if (e.kind == wire::GroupEventKind::devices_changed)
      for (const UserId user : e.users) db_.run("UPDATE key_checks SET stale = 1 WHERE user = ?", user.value);
  }
  if (e.version <= g.version) return;  // applied before, or in what the directory said
  if (removed) {                       // nothing comes after it, whatever is missing before
    g.version = e.version;
    g.role = wire::GroupRole::none;
    db_.run("DELETE FROM group_members WHERE group_id = ?", e.group.value);
    db_.run("UPDATE messages SET told = 2 WHERE peer = ? AND incoming = 1 AND state = 5 AND told = 0", g.peer.value);
    return write_group(g, false);
  }
  if (!e.name.empty()) g.name = e.name;
  const bool whole = db_.query("SELECT 1 FROM groups WHERE id = ? AND stale = 0", e.group.value).step();
  if (!whole || g.role == wire::GroupRole::none || e.version != g.version + 1) return write_group(g, true);
  apply(e, g);
  g.version = e.version;
  write_group(g, false);
}

// The group is whole and this is its next version.
void SqliteStore::apply(const wire::GroupEvent& e, GroupState& g) {
  using Kind = wire::GroupEventKind;
  const std::uint64_t id = e.group.value;
  const UserId me = account().user;
  const auto set = [&](UserId user, wire::GroupRole role) {
    db_.run("INSERT OR REPLACE INTO group_members VALUES(?, ?, ?)", id, user.value, static_cast<int>(role));
    if (user == me) g.role = role;
  };
  const auto drop = [&](UserId user) {
    db_.run("DELETE FROM group_members WHERE group_id = ? AND user = ?", id, user.value);
    member_gone(g.peer.value, user);
  };
  switch (e.kind) {
    case Kind::edited:
      g.description = e.description, g.picture = e.picture, g.settings = e.settings;
      break;
    case Kind::members_added:
      for (const UserId user : e.users) set(user, wire::GroupRole::member);
      break;
    case Kind::members_removed:
      for (const UserId user : e.users) drop(user);
      break;
    case Kind::member_left:
      drop(e.actor);
      break;
    case Kind::role_changed:
      for (const UserId user : e.users) set(user, e.role);
      break;
    case Kind::created:
    case Kind::deleted:
    case Kind::invite_changed:
    case Kind::join_requested:
    case Kind::devices_changed:
      break;
  }
}

std::vector<GroupId> SqliteStore::groups_to_fetch(std::size_t max) {
  std::vector<GroupId> groups;
  auto q = db_.query("SELECT id FROM groups INDEXED BY groups_stale WHERE stale = 1 LIMIT ?",
                     static_cast<std::int64_t>(max));
  while (q.step()) groups.emplace_back(q.id(0));
  return groups;
}

void SqliteStore::set_group(const wire::Group& said) {
  Scope scope(*this);
  const GroupId id(said.address.user.value);
  const UserId me = account().user;
  GroupState g = ensure_group(id);
  if (said.version < g.version) {  // an answer that events have overtaken
    scope.commit();
    return;
  }
  g.address = said.address;
  g.version = said.version;
  g.name = said.name, g.description = said.description, g.picture = said.picture;
  g.settings = said.settings;
  g.role = wire::GroupRole::none;
  std::vector<UserId> gone;
  {
    auto q = db_.query("SELECT user FROM group_members WHERE group_id = ?", id.value);
    while (q.step()) gone.emplace_back(q.id(0));
  }
  db_.run("DELETE FROM group_members WHERE group_id = ?", id.value);
  for (const wire::GroupMember& m : said.members) {
    db_.run("INSERT OR REPLACE INTO group_members VALUES(?, ?, ?)", id.value, m.user.value, static_cast<int>(m.role));
    if (m.user == me) g.role = m.role;
    std::erase(gone, m.user);
  }
  for (const UserId user : gone) member_gone(g.peer.value, user);
  // Events are missing: whoever left, or has another device, was perhaps in one of them.
  db_.run("UPDATE groups SET rekey = 1 WHERE id = ?", id.value);
  db_.run("UPDATE key_checks SET stale = 1 WHERE user IN (SELECT user FROM group_members WHERE group_id = ?)",
          id.value);
  // What has been seen beyond this answer was made after it: ask again.
  const bool behind =
      db_.query("SELECT 1 FROM groups WHERE id = ? AND seen_version > ?", id.value, said.version).step();
  write_group(g, behind);
  touch();
  scope.commit();
}

void SqliteStore::group_lost(GroupId group, wire::Code why) {
  const GroupState g = ensure_group(group);
  db_.run("UPDATE groups SET role = 0, stale = 0 WHERE id = ?", group.value);
  db_.run("DELETE FROM group_members WHERE group_id = ?", group.value);
  db_.run(
      "UPDATE messages SET addressed = 1, state = ?, reason = ?, revision = ? WHERE peer = ? AND incoming = 0 AND "
      "addressed = 0",
      kFailed, static_cast<int>(why), touch().value, g.peer.value);
  db_.run("UPDATE messages SET told = 2 WHERE peer = ? AND incoming = 1 AND state = 5 AND told = 0", g.peer.value);
}

void SqliteStore::address_to_group(std::int64_t message, GroupId group, std::int64_t created_ms) {
  const std::uint64_t seq = next_seq();
  db_.run(
      "INSERT INTO copies(seq, message, kind, user, device, tag, created_ms) SELECT ?, ?, ?, id, 0, tag, ? FROM groups "
      "WHERE id = ?",
      seq, message, kGroupKind, created_ms, group.value);
  if (seals()) seal_copy(seq, {UserId(group.value), DeviceId(0)}, this->message(MessageRow(message))->content);
  db_.run("INSERT OR IGNORE INTO group_marks SELECT ?, user, 0, 0 FROM group_members WHERE group_id = ? AND user != ?",
          message, group.value, account().user.value);
  db_.run(
      "UPDATE messages SET addressed = 1, seq = ?, recipients = (SELECT count(*) FROM group_marks WHERE message = ?2) "
      "WHERE id = ?2",
      seq, message);
}

// Whoever is gone without having got a message will not get it: it is delivered when the others have it.
void SqliteStore::member_gone(std::int64_t peer, UserId user) {
  std::vector<std::int64_t> messages;
  {
    auto q = db_.query(
        "SELECT k.message FROM group_marks k INDEXED BY group_marks_open JOIN messages m ON m.id = k.message WHERE "
        "k.user = ? AND k.delivered_ms = 0 AND m.peer = ?",
        user.value, peer);
    while (q.step()) messages.push_back(q.integer(0));
  }
  for (const std::int64_t message : messages) {
    db_.run("DELETE FROM group_marks WHERE message = ? AND user = ?", message, user.value);
    count_marks(message, 0);
  }
}

void SqliteStore::count_marks(std::int64_t message, std::int64_t at_ms) {
  std::int64_t all = 0, got = 0, seen = 0;
  {
    auto q = db_.query(
        "SELECT count(*), count(nullif(delivered_ms, 0)), count(nullif(read_ms, 0)) FROM group_marks WHERE message = ?",
        message);
    if (q.step()) all = q.integer(0), got = q.integer(1), seen = q.integer(2);
  }
  db_.run("UPDATE messages SET recipients = ?, got = ?, seen = ?, revision = ? WHERE id = ?", all, got, seen,
          touch().value, message);
  if (got == 0) return;
  const State reached = seen == all ? State::read : got == all ? State::delivered : State::accepted;
  db_.run("UPDATE copies SET pending = 0, gone = 0, state = max(state, ?) WHERE message = ? AND kind = ?",
          static_cast<int>(reached), message, kGroupKind);
  refresh(message, wire::Code::none, at_ms);
}

void SqliteStore::group_receipt(const wire::GroupReceipt& r) {
  const UserId me = account().user;
  const std::int64_t read_ms = r.kind == wire::ReceiptKind::read ? r.at_ms : 0;
  for (const wire::GroupReceiptPart& part : r.parts)
    for (const SeqRange& range : part.ranges) {
      if (range.first > static_cast<std::uint64_t>(INT64_MAX) - range.count) continue;  // never given out
      std::vector<std::int64_t> messages;
      {
        auto q = db_.query("SELECT message FROM copies WHERE seq BETWEEN ? AND ? AND kind = ? AND user = ?",
                           range.first, range.first + range.count - 1, kGroupKind, r.group.value);
        while (q.step()) messages.push_back(q.integer(0));
      }
      for (const std::int64_t message : messages) {
        for (const UserId user : part.users) {
          if (user == me) continue;
          db_.run(
              "INSERT INTO group_marks VALUES(?, ?, ?, ?) ON CONFLICT(message, user) DO UPDATE SET delivered_ms = "
              "coalesce(nullif(delivered_ms, 0), excluded.delivered_ms), read_ms = coalesce(nullif(read_ms, 0), "
              "excluded.read_ms)",
              message, user.value, r.at_ms, read_ms);
        }
        count_marks(message, r.at_ms);
      }
    }
}

std::vector<GroupState> SqliteStore::groups() {
  std::vector<GroupState> found;
  auto q = db_.query(BARID_GROUP "WHERE role > 0 ORDER BY name COLLATE NOCASE, id");
  while (q.step()) found.push_back(read_group(q));
  return found;
}

std::optional<GroupState> SqliteStore::group(GroupId id) {
  std::optional<GroupState> found;
  {
    auto q = db_.query(BARID_GROUP "WHERE id = ?", id.value);
    if (q.step()) found = read_group(q);
  }
  if (!found) return found;
  auto q = db_.query("SELECT user, role FROM group_members WHERE group_id = ? ORDER BY role DESC, user", id.value);
  while (q.step()) found->members.push_back({UserId(q.id(0)), static_cast<wire::GroupRole>(q.integer(1))});
  return found;
}

std::vector<GroupState> SqliteStore::find_groups(std::string_view who) {
  std::vector<GroupState> found;
  std::uint64_t id = 0;
  if (who.starts_with("group:") && parse_hex_id(who.substr(6), id)) {
    if (auto one = group(GroupId(id))) found.push_back(std::move(*one));
    return found;
  }
  auto q = db_.query(BARID_GROUP "WHERE name = ? COLLATE NOCASE ORDER BY role > 0 DESC, id", who);
  while (q.step()) found.push_back(read_group(q));
  // One that we are in before those that we were in.
  if (!found.empty() && found.front().role != wire::GroupRole::none)
    std::erase_if(found, [](const GroupState& g) { return g.role == wire::GroupRole::none; });
  return found;
}

std::vector<GroupMark> SqliteStore::marks(MessageRow message) {
  std::vector<GroupMark> found;
  auto q = db_.query(
      "SELECT user, delivered_ms, read_ms FROM group_marks WHERE message = ? ORDER BY read_ms = 0, delivered_ms = 0, "
      "user",
      message.value);
  while (q.step()) found.push_back({UserId(q.id(0)), q.integer(1), q.integer(2)});
  return found;
}

std::vector<GroupNote> SqliteStore::notes_after(std::int64_t id, std::size_t limit) {
  return read_notes(db_.query(BARID_NOTE "WHERE id > ? ORDER BY id LIMIT ?", id, static_cast<std::int64_t>(limit)));
}

std::vector<GroupNote> SqliteStore::notes_of(GroupId group, std::size_t limit) {
  auto found = read_notes(db_.query(BARID_NOTE "WHERE group_id = ? ORDER BY version DESC LIMIT ?", group.value,
                                    static_cast<std::int64_t>(limit)));
  std::reverse(found.begin(), found.end());
  return found;
}

std::int64_t SqliteStore::listened_notes() { return db_.value("SELECT listened_notes FROM meta"); }

void SqliteStore::set_listened_notes(std::int64_t last) {
  Scope scope(*this, Durability::relaxed);
  db_.run("UPDATE meta SET listened_notes = max(listened_notes, ?)", last);
  scope.commit();
}

}  // namespace barid::client
