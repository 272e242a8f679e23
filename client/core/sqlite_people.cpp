// The verbs of SqliteStore that people's commands use: address book, writing, history.
#include <algorithm>

#include "base/log.h"
#include "client/core/sqlite_store.h"

namespace barid::client {
namespace {

Peer read_peer(const Sqlite::Query& q) {
  Peer p;
  p.id = PeerId(q.integer(0));
  p.user = UserId(q.id(1));
  p.phone = q.text(2);
  p.name = q.text(3);
  p.blocked = q.integer(4) != 0;
  p.group = GroupId(q.id(5));
  return p;
}

Message read_message(const Sqlite::Query& q) {
  Message m;
  m.id = MessageRow(q.integer(0));
  m.peer = PeerId(q.integer(1));
  m.incoming = q.integer(2) != 0;
  m.from_device = DeviceId(q.id(3));
  m.seq = q.id(4);
  m.content = q.text(5);
  m.state = static_cast<State>(q.integer(6));
  m.reason = static_cast<wire::Code>(q.integer(7));
  m.created_ms = q.integer(8);
  m.accepted_ms = q.integer(9);
  m.delivered_ms = q.integer(10);
  m.read_ms = q.integer(11);
  m.revision = Revision(q.integer(12));
  m.author = UserId(q.id(13));
  m.recipients = static_cast<std::uint32_t>(q.integer(14));
  m.got = static_cast<std::uint32_t>(q.integer(15));
  m.seen = static_cast<std::uint32_t>(q.integer(16));
  return m;
}

std::vector<Message> read_messages(Sqlite::Query q) {
  std::vector<Message> messages;
  while (q.step()) messages.push_back(read_message(q));
  return messages;
}

std::optional<Peer> read_one(Sqlite::Query q) {
  if (!q.step()) return std::nullopt;
  return read_peer(q);
}

#define BARID_MESSAGE                                                                              \
  "SELECT id, peer, incoming, from_device, seq, content, state, reason, created_ms, accepted_ms, " \
  "delivered_ms, "                                                                                 \
  "read_ms, revision, author, recipients, got, seen FROM messages "
#define BARID_PEER                                                                                                  \
  "SELECT id, user, phone, coalesce(name, (SELECT g.name FROM groups g WHERE g.id = group_id)), blocked, group_id " \
  "FROM peers "

}  // namespace

std::vector<Peer> SqliteStore::peers() {
  std::vector<Peer> found;
  auto q = db_.query(BARID_PEER "WHERE group_id IS NULL ORDER BY name IS NULL, name, phone, id");
  while (q.step()) found.push_back(read_peer(q));
  return found;
}

std::optional<Peer> SqliteStore::peer(PeerId id) { return read_one(db_.query(BARID_PEER "WHERE id = ?", id.value)); }

std::optional<Peer> SqliteStore::peer_of(UserId user) {
  return read_one(db_.query(BARID_PEER "WHERE user = ?", user.value));
}

std::optional<Peer> SqliteStore::find_peer(std::string_view who) {
  if (auto named = read_one(db_.query(BARID_PEER "WHERE name = ?", who))) return named;
  if (auto called = read_one(db_.query(BARID_PEER "WHERE phone = ?", who))) return called;
  std::uint64_t user = 0;
  if (who.starts_with("user:") && parse_hex_id(who.substr(5), user))
    return read_one(db_.query(BARID_PEER "WHERE user = ?", user));
  return std::nullopt;
}

Peer SqliteStore::ensure_phone(const std::string& phone) {
  Scope scope(*this);
  if (auto known = read_one(db_.query(BARID_PEER "WHERE phone = ?", phone))) return *known;
  db_.run("INSERT INTO peers(phone) VALUES(?)", phone);
  Peer p;
  p.id = PeerId(db_.last_row());
  p.phone = phone;
  scope.commit();
  return p;
}

Result<Peer, SqliteStore::PeerErrc> SqliteStore::add_contact(const std::string& name, const std::string& phone) {
  Scope scope(*this);
  const auto named = read_one(db_.query(BARID_PEER "WHERE name = ?", name));
  if (named && named->phone != phone) return barid::fail(PeerErrc::name_taken);
  Peer p = ensure_phone(phone);
  db_.run("UPDATE peers SET name = ? WHERE id = ?", name, p.id.value);
  p.name = name;
  scope.commit();
  return p;
}

void SqliteStore::learn(PeerId peer, const wire::Contact& found) {
  Scope scope(*this);
  resolved(peer, found.user);
  set_devices(found.user, found.devices);
  scope.commit();
}

bool SqliteStore::remove_contact(PeerId id) {
  Scope scope(*this);
  db_.run("UPDATE peers SET name = NULL WHERE id = ? AND name IS NOT NULL", id.value);
  const bool was = db_.changed() != 0;
  scope.commit();
  return was;
}

void SqliteStore::set_blocked(PeerId id, bool blocked) {
  Scope scope(*this);
  db_.run("UPDATE peers SET blocked = ? WHERE id = ?", blocked ? 1 : 0, id.value);
  scope.commit();
}

MessageRow SqliteStore::enqueue(PeerId to, std::string content, WallMs at) {
  Scope scope(*this);
  db_.run("INSERT INTO messages(peer, incoming, content, state, created_ms, revision) VALUES(?, 0, ?, 0, ?, ?)",
          to.value, Blob{content}, at.value, touch().value);
  const MessageRow row(db_.last_row());
  scope.commit();
  return row;
}

std::size_t SqliteStore::mark_read(PeerId peer, WallMs at) {
  {
    auto q = db_.query(
        "SELECT 1 FROM messages INDEXED BY messages_unread WHERE peer = ? AND incoming = 1 AND state < 5 "
        "AND held NOT BETWEEN 1 AND ? LIMIT 1",
        peer.value, kAskedMax);
    if (!q.step()) return 0;  // without a write lock
  }
  Scope scope(*this);
  // Whom we block learns nothing about us: told = 2 is never told, also when notices are repeated. What can't be
  // decrypted yet is read when it can.
  db_.run(
      "UPDATE messages SET state = 5, read_ms = ?1, revision = ?2, told = 2 * (SELECT blocked FROM peers WHERE "
      "id = ?3) "
      "WHERE peer = ?3 AND incoming = 1 AND state < 5 AND held NOT BETWEEN 1 AND ?4",
      at.value, touch().value, peer.value, kAskedMax);
  const auto count = static_cast<std::size_t>(db_.changed());
  scope.commit();
  return count;
}

std::optional<Message> SqliteStore::message(MessageRow id) {
  auto q = db_.query(BARID_MESSAGE "WHERE id = ?", id.value);
  if (!q.step()) return std::nullopt;
  return read_message(q);
}

std::vector<Message> SqliteStore::history(PeerId peer, std::size_t limit, MessageRow before) {
  auto found = read_messages(db_.query(BARID_MESSAGE "WHERE peer = ? AND id < ? ORDER BY id DESC LIMIT ?", peer.value,
                                       before.value, static_cast<std::int64_t>(limit)));
  std::reverse(found.begin(), found.end());
  return found;
}

std::vector<Message> SqliteStore::changed_since(Cursor after, std::size_t limit) {
  return read_messages(db_.query(BARID_MESSAGE "WHERE (revision, id) > (?, ?) ORDER BY revision, id LIMIT ?",
                                 after.revision.value, after.row.value, static_cast<std::int64_t>(limit)));
}

std::vector<Message> SqliteStore::outbox(std::size_t limit) {
  return read_messages(db_.query(BARID_MESSAGE "INDEXED BY messages_outgoing_open WHERE incoming = 0 AND state < 3 "
                                               "ORDER BY id LIMIT ?",
                                 static_cast<std::int64_t>(limit)));
}

SqliteStore::Counts SqliteStore::counts() {
  return {db_.value("SELECT count(*) FROM peers WHERE name IS NOT NULL"), db_.value("SELECT count(*) FROM messages"),
          db_.value("SELECT count(*) FROM messages WHERE incoming = 0 AND state < 3"),
          db_.value("SELECT count(*) FROM messages WHERE incoming = 1 AND state < 5")};
}

std::vector<Message> SqliteStore::not_listened(std::size_t limit) {
  return read_messages(db_.query(BARID_MESSAGE
                                 "WHERE incoming = 1 AND id > (SELECT listened FROM meta) ORDER BY id LIMIT ?",
                                 static_cast<std::int64_t>(limit)));
}

void SqliteStore::set_listened(MessageRow last) {
  Scope scope(*this, Durability::relaxed);
  db_.run("UPDATE meta SET listened = max(listened, ?)", last.value);
  scope.commit();
}

}  // namespace barid::client
