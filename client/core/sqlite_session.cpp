// The verbs of SqliteStore that a session uses: addressing, sending, receipts, receiving.
#include <algorithm>

#include "base/assert.h"
#include "client/core/sqlite_store.h"

namespace barid::client {
namespace {

constexpr int kMessageKind = static_cast<int>(wire::SendKind::message);
constexpr int kReadKind = static_cast<int>(wire::SendKind::read);
constexpr int kGroupKind = static_cast<int>(wire::SendKind::group);
constexpr int kGroupReadKind = static_cast<int>(wire::SendKind::group_read);
constexpr int kAccepted = static_cast<int>(State::accepted);
constexpr int kFailed = static_cast<int>(State::failed);
constexpr int kDelivered = static_cast<int>(State::delivered);

// SQLite integers are signed: what lies beyond them is no number that we ever gave out.
bool clip(const SeqRange& range, std::int64_t& first, std::int64_t& last) {
  if (range.first == 0 || range.count == 0 || range.first > static_cast<std::uint64_t>(INT64_MAX)) return false;
  first = static_cast<std::int64_t>(range.first);
  last = first > INT64_MAX - static_cast<std::int64_t>(range.count) ? INT64_MAX : first + range.count - 1;
  return true;
}

std::string ranges_to_text(const std::vector<SeqRange>& ranges) {
  std::string text;
  for (const SeqRange& r : ranges) text += std::to_string(r.first) + '+' + std::to_string(r.count) + ' ';
  return text;
}

std::vector<SeqRange> ranges_from_text(const std::string& text) {
  std::vector<SeqRange> ranges;
  for (const char* p = text.c_str(); *p != '\0';) {
    char* end = nullptr;
    const std::uint64_t first = std::strtoull(p, &end, 10);
    const std::uint64_t count = std::strtoull(end + 1, &end, 10);
    ranges.push_back({first, static_cast<std::uint32_t>(count)});
    p = end + 1;
  }
  return ranges;
}

Copy read_copy(const Sqlite::Query& q) {
  Copy c;
  c.seq = q.id(0);
  c.message = MessageRow(q.integer(1));
  c.kind = static_cast<wire::SendKind>(q.integer(2));
  c.to = {UserId(q.id(3)), DeviceId(q.id(4)), q.id(5)};
  c.created_ms = q.integer(6);
  c.ranges = ranges_from_text(q.text(7));
  c.content = q.text(8);
  c.author = DeviceId(q.id(9));
  return c;
}

}  // namespace

std::uint64_t SqliteStore::next_seq() {
  auto q = db_.query("UPDATE meta SET next_seq = next_seq + 1 RETURNING next_seq - 1");
  BARID_ASSERT(q.step());
  const std::uint64_t seq = q.id(0);
  while (q.step()) {
  }
  return seq;
}

std::size_t SqliteStore::address_messages(std::size_t copies_max) {
  struct Waiting {
    std::int64_t id, created_ms;
    UserId user;
    GroupId group;
  };
  std::vector<Waiting> waiting;
  {
    auto q = db_.query(
        "SELECT m.id, m.created_ms, p.user, p.group_id FROM messages m INDEXED BY messages_waiting JOIN peers p ON "
        "p.id "
        "= m.peer WHERE m.incoming = 0 AND m.addressed = 0 "
        "AND ((EXISTS(SELECT 1 FROM devices d WHERE d.user = p.user) AND (?1 = 0 OR ("
        "NOT EXISTS(SELECT 1 FROM identities i WHERE i.user = p.user AND i.held = 1) AND "
        "NOT EXISTS(SELECT 1 FROM devices d LEFT JOIN sessions s ON s.user = d.user AND s.device = d.device "
        "WHERE d.user = p.user AND (s.record IS NULL OR s.fresh = 1))))) "
        "OR EXISTS(SELECT 1 FROM groups g WHERE g.id = p.group_id AND g.tag != 0)) ORDER BY m.id LIMIT ?2",
        seals() ? 1 : 0, static_cast<std::int64_t>(copies_max));
    while (q.step()) waiting.push_back({q.integer(0), q.integer(1), UserId(q.id(2)), GroupId(q.id(3))});
  }
  std::size_t made = seals() ? address_controls(copies_max) : 0;
  for (const Waiting& w : waiting) {
    if (made >= copies_max) break;
    if (w.group != GroupId()) {
      if (seals()) {
        if (!group_is_ready(w.group)) continue;
        made += send_group_keys(w.group, copies_max - made);
        if (made >= copies_max) break;
      }
      address_to_group(w.id, w.group, w.created_ms);
      ++made;
      continue;
    }
    std::vector<wire::Address> devices;
    {
      auto q = db_.query("SELECT device, tag FROM devices WHERE user = ? ORDER BY device", w.user.value);
      while (q.step()) devices.push_back({w.user, DeviceId(q.id(0)), q.id(1)});
    }
    std::uint64_t first = 0;
    for (const wire::Address& to : devices) {
      const std::uint64_t seq = next_seq();
      if (first == 0) first = seq;
      db_.run("INSERT INTO copies(seq, message, kind, user, device, tag, created_ms) VALUES(?, ?, ?, ?, ?, ?, ?)", seq,
              w.id, kMessageKind, to.user.value, to.device.value, to.tag, w.created_ms);
      if (seals()) seal_copy(seq, {to.user, to.device}, message(MessageRow(w.id))->content);
      ++made;
    }
    db_.run("UPDATE messages SET addressed = 1, seq = ? WHERE id = ?", first, w.id);
  }
  return made;
}

std::vector<Peer> SqliteStore::peers_to_resolve(std::size_t max) {
  std::vector<Peer> peers;
  auto q = db_.query(
      "SELECT id, user, phone FROM peers p WHERE p.group_id IS NULL AND ("
      "(EXISTS(SELECT 1 FROM messages m WHERE m.peer = p.id AND m.incoming = 0 AND m.addressed = 0) "
      " AND NOT EXISTS(SELECT 1 FROM devices d WHERE d.user = p.user)) "
      "OR EXISTS(SELECT 1 FROM messages m WHERE m.peer = p.id AND m.incoming = 1 AND m.state = 5 AND m.told "
      "= 0 "
      " AND NOT EXISTS(SELECT 1 FROM devices d WHERE d.user = p.user AND d.device = m.from_device))) LIMIT ?",
      static_cast<std::int64_t>(max));
  while (q.step()) {
    Peer p;
    p.id = PeerId(q.integer(0));
    p.user = UserId(q.id(1));
    p.phone = q.text(2);
    peers.push_back(std::move(p));
  }
  return peers;
}

void SqliteStore::resolved(PeerId peer, UserId user) {
  std::int64_t other = 0;
  std::string name;
  {
    auto q = db_.query("SELECT id, coalesce(name, '') FROM peers WHERE user = ? AND id != ?", user.value, peer.value);
    if (q.step()) other = q.integer(0), name = q.text(1);
  }
  if (other != 0) {  // they wrote before we knew their number: one person, one row
    db_.run("UPDATE messages SET peer = ? WHERE peer = ?", peer.value, other);
    db_.run("UPDATE peers SET blocked = max(blocked, (SELECT blocked FROM peers WHERE id = ?)) WHERE id = ?", other,
            peer.value);
    db_.run("DELETE FROM peers WHERE id = ?", other);
    if (!name.empty()) db_.run("UPDATE peers SET name = coalesce(name, ?) WHERE id = ?", name, peer.value);
  }
  db_.run("UPDATE peers SET user = ? WHERE id = ?", user.value, peer.value);
}

void SqliteStore::set_devices(UserId user, const std::vector<wire::Address>& devices) {
  db_.run("DELETE FROM devices WHERE user = ?", user.value);
  for (const wire::Address& a : devices)
    if (a.user == user) db_.run("INSERT OR REPLACE INTO devices VALUES(?, ?, ?)", user.value, a.device.value, a.tag);
  // Nobody is left to tell that these were read.
  db_.run(
      "UPDATE messages SET told = 1 WHERE incoming = 1 AND state = 5 AND told = 0 "
      "AND peer = (SELECT id FROM peers WHERE user = ?1) "
      "AND from_device NOT IN (SELECT device FROM devices WHERE user = ?1)",
      user.value);
}

void SqliteStore::unresolvable(PeerId peer, wire::Code reason, WallMs) {
  db_.run(
      "UPDATE messages SET addressed = 1, state = ?, reason = ?, revision = ? "
      "WHERE peer = ? AND incoming = 0 AND addressed = 0",
      kFailed, static_cast<int>(reason), touch().value, peer.value);
  db_.run("UPDATE messages SET told = 1 WHERE peer = ? AND incoming = 1 AND state = 5 AND told = 0", peer.value);
}

std::size_t SqliteStore::address_reads(std::size_t copies_max, WallMs at) {
  std::vector<ReadNotice> notices;
  {
    auto q = db_.query(
        "SELECT DISTINCT m.peer, d.user, d.device, d.tag FROM messages m INDEXED BY messages_untold "
        "JOIN peers p ON p.id = m.peer JOIN devices d ON d.user = p.user AND d.device = m.from_device "
        "WHERE m.incoming = 1 AND m.state = 5 AND m.told = 0 LIMIT ?",
        static_cast<std::int64_t>(copies_max));
    while (q.step())
      notices.push_back(
          {q.integer(0), wire::SendKind::read, {UserId(q.id(1)), DeviceId(q.id(2)), q.id(3)}, DeviceId(q.id(2))});
  }
  if (notices.size() < copies_max) {
    auto q = db_.query(
        "SELECT DISTINCT m.peer, g.id, g.tag, m.from_device FROM messages m INDEXED BY messages_untold "
        "JOIN peers p ON p.id = m.peer JOIN groups g ON g.id = p.group_id AND g.tag != 0 AND g.role > 0 "
        "WHERE m.incoming = 1 AND m.state = 5 AND m.told = 0 LIMIT ?",
        static_cast<std::int64_t>(copies_max - notices.size()));
    while (q.step())
      notices.push_back(
          {q.integer(0), wire::SendKind::group_read, {UserId(q.id(1)), DeviceId(0), q.id(2)}, DeviceId(q.id(3))});
  }
  std::size_t made = 0;
  for (const ReadNotice& notice : notices)
    if (made < copies_max) made += address_reads_of(notice, at);
  return made;
}

std::size_t SqliteStore::address_reads_of(const ReadNotice& n, WallMs at) {
  constexpr std::size_t kSeqsMax = 4'096;  // of one read receipt; the rest follows with the next
  std::vector<SeqRange> ranges;
  std::int64_t last = 0;
  {
    auto q = db_.query(
        "SELECT seq FROM messages INDEXED BY messages_untold WHERE peer = ? AND from_device = ? AND incoming "
        "= 1 "
        "AND state = 5 AND told = 0 AND seq > 0 ORDER BY seq LIMIT ?",
        n.peer, n.of.value, static_cast<std::int64_t>(kSeqsMax));
    while (q.step()) {
      const std::uint64_t seq = q.id(0);
      if (!ranges.empty() && ranges.back().first + ranges.back().count == seq) {
        ++ranges.back().count;
      } else {
        if (ranges.size() == limits::kRangesMax) break;
        ranges.push_back({seq, 1});
      }
      last = static_cast<std::int64_t>(seq);
    }
  }
  db_.run(
      "UPDATE messages SET told = 1 WHERE peer = ? AND from_device = ? AND incoming = 1 AND state = 5 AND "
      "told = 0 "
      "AND seq <= ?",
      n.peer, n.of.value, last);
  if (ranges.empty()) return 0;
  db_.run(
      "INSERT INTO copies(seq, message, kind, user, device, tag, ranges, created_ms, author) VALUES(?, 0, ?, ?, ?, "
      "?, ?, ?, ?)",
      next_seq(), static_cast<int>(n.kind), n.to.user.value, n.to.device.value, n.to.tag, ranges_to_text(ranges),
      at.value, n.kind == wire::SendKind::group_read ? n.of.value : 0);
  return 1;
}

std::vector<Copy> SqliteStore::pending(std::uint64_t from_seq, std::size_t max) {
  std::vector<Copy> copies;
  auto q = db_.query(
      "SELECT c.seq, c.message, c.kind, c.user, c.device, c.tag, c.created_ms, c.ranges, coalesce(c.sealed, "
      "m.content), c.author FROM "
      "copies c "
      "INDEXED BY copies_pending LEFT JOIN messages m ON m.id = c.message WHERE c.pending = 1 AND c.seq >= ? "
      "ORDER BY c.seq LIMIT ?",
      from_seq, static_cast<std::int64_t>(max));
  while (q.step()) copies.push_back(read_copy(q));
  return copies;
}

std::optional<Copy> SqliteStore::copy(std::uint64_t seq) {
  auto q = db_.query(
      "SELECT c.seq, c.message, c.kind, c.user, c.device, c.tag, c.created_ms, c.ranges, coalesce(c.sealed, "
      "m.content), c.author FROM "
      "copies c "
      "LEFT JOIN messages m ON m.id = c.message WHERE c.seq = ?",
      seq);
  if (!q.step()) return std::nullopt;
  return read_copy(q);
}

void SqliteStore::sent(const std::vector<Copy>& copies) {
  for (const Copy& c : copies) {
    if (c.message.value == 0) continue;
    db_.run("UPDATE copies SET state = 1 WHERE seq = ? AND state = 0", c.seq);
    db_.run("UPDATE messages SET state = 1, revision = ? WHERE id = ? AND state = 0", touch().value, c.message.value);
  }
}

void SqliteStore::refresh(std::int64_t message, wire::Code reason, std::int64_t at_ms) {
  int highest = 0, lowest_alive = kFailed;
  {
    auto q = db_.query(
        "SELECT max(state), coalesce(min(CASE WHEN state = 3 THEN NULL ELSE state END), 3) FROM copies "
        "WHERE message = ?",
        message);
    if (!q.step() || q.null(0)) return;
    highest = static_cast<int>(q.integer(0));
    lowest_alive = static_cast<int>(q.integer(1));
  }
  const int state = highest >= kDelivered ? highest : lowest_alive;
  db_.run(
      "UPDATE messages SET state = ?1, reason = CASE WHEN ?1 = 3 THEN ?2 ELSE 0 END, "
      "accepted_ms = CASE WHEN ?1 = 2 OR ?1 > 3 THEN coalesce(nullif(accepted_ms, 0), ?3) ELSE accepted_ms "
      "END, "
      "delivered_ms = CASE WHEN ?1 >= 4 THEN coalesce(nullif(delivered_ms, 0), ?3) ELSE delivered_ms END, "
      "read_ms = CASE WHEN ?1 = 5 THEN coalesce(nullif(read_ms, 0), ?3) ELSE read_ms END, revision = ?4 "
      "WHERE id = ?5 AND state < ?1",
      state, static_cast<int>(reason), at_ms, touch().value, message);
}

void SqliteStore::accepted(const std::vector<SeqRange>& ranges, WallMs at) {
  for (const SeqRange& range : ranges) {
    std::int64_t first = 0, last = 0;
    if (!clip(range, first, last)) continue;
    std::vector<std::int64_t> messages;
    {
      auto q = db_.query(
          "SELECT message FROM copies INDEXED BY copies_pending WHERE pending = 1 AND kind IN (?, ?) "
          "AND seq BETWEEN ? AND ?",
          kMessageKind, kGroupKind, first, last);
      while (q.step()) messages.push_back(q.integer(0));
    }
    db_.run("DELETE FROM copies WHERE pending = 1 AND kind IN (?, ?) AND seq BETWEEN ? AND ?", kReadKind,
            kGroupReadKind, first, last);
    db_.run("UPDATE copies SET pending = 0, state = max(state, ?) WHERE pending = 1 AND seq BETWEEN ? AND ?", kAccepted,
            first, last);
    for (const std::int64_t message : messages) refresh(message, wire::Code::none, at.value);
  }
}

void SqliteStore::fail(std::uint64_t seq, wire::Code reason, WallMs at) {
  const auto found = copy(seq);
  if (!found) return;
  if (found->message.value == 0) {
    db_.run("DELETE FROM copies WHERE seq = ?", seq);
    return;
  }
  db_.run("UPDATE copies SET pending = 0, gone = 0, state = max(state, ?) WHERE seq = ?", kFailed, seq);
  refresh(found->message.value, reason, at.value);
}

void SqliteStore::receipt(const wire::Receipt& r) {
  const int state = r.kind == wire::ReceiptKind::failed      ? kFailed
                    : r.kind == wire::ReceiptKind::delivered ? kDelivered
                                                             : static_cast<int>(State::read);
  for (const SeqRange& range : r.ranges) {
    std::int64_t first = 0, last = 0;
    if (!clip(range, first, last)) continue;
    struct Hit {
      std::int64_t seq, message;
    };
    std::vector<Hit> hits;
    {
      auto q = db_.query(
          "SELECT seq, message FROM copies WHERE seq BETWEEN ? AND ? AND kind IN (?, ?) AND user = ? AND "
          "state < ?",
          first, last, kMessageKind, kGroupKind, r.peer_user.value, state);
      while (q.step()) hits.push_back({q.integer(0), q.integer(1)});
    }
    for (const Hit& hit : hits) {
      if (r.kind == wire::ReceiptKind::failed && r.reason == wire::Code::recipient_gone) {
        gone(static_cast<std::uint64_t>(hit.seq), WallMs{r.at_ms});
        continue;
      }
      // Delivered: the same bytes are not needed again.
      db_.run(
          "UPDATE copies SET pending = 0, gone = 0, state = ?1, sealed = CASE WHEN ?1 > 3 THEN NULL ELSE sealed END "
          "WHERE seq = ?2",
          state, hit.seq);
      if (hit.message == 0) {  // clients among themselves
        db_.run("DELETE FROM copies WHERE seq = ? AND origin = 0", hit.seq);
        continue;
      }
      refresh(hit.message, r.reason, r.at_ms);
    }
  }
}

void SqliteStore::gone(std::uint64_t seq, WallMs at) {
  std::int64_t moves = 0;
  {
    auto q = db_.query("SELECT moves, kind, message FROM copies WHERE seq = ? AND state < ?", seq, kFailed);
    if (!q.step()) return;
    moves = q.integer(2) == 0              ? kMovesMax
            : q.integer(1) != kMessageKind ? kMovesMax
                                           : q.integer(0);  // only messages are worth moving
  }
  if (moves >= kMovesMax) return fail(seq, wire::Code::recipient_gone, at);
  db_.run("UPDATE copies SET pending = 0, gone = 1 WHERE seq = ?", seq);
}

std::vector<UserId> SqliteStore::users_of_gone(std::size_t max) {
  std::vector<UserId> users;
  auto q = db_.query("SELECT DISTINCT user FROM copies WHERE gone = 1 LIMIT ?", static_cast<std::int64_t>(max));
  while (q.step()) users.emplace_back(q.id(0));
  return users;
}

std::uint64_t SqliteStore::readdress(UserId user, WallMs at) {
  struct Gone {
    std::uint64_t seq;
    std::int64_t message;
  };
  std::vector<Gone> gone;
  {
    auto q = db_.query("SELECT seq, message FROM copies WHERE gone = 1 AND user = ? ORDER BY seq", user.value);
    while (q.step()) gone.push_back({q.id(0), q.integer(1)});
  }
  std::uint64_t lowest = 0;
  for (const Gone& g : gone) {
    // Its own device first (a tag may have changed), else one that no other copy of the message goes to.
    std::optional<wire::Address> to;
    {
      auto q = db_.query(
          "SELECT d.device, d.tag FROM devices d WHERE d.user = ?1 AND NOT EXISTS(SELECT 1 FROM copies c "
          "WHERE "
          "c.message = ?2 AND c.device = d.device AND c.seq != ?3) "
          "ORDER BY d.device = (SELECT device FROM copies WHERE seq = ?3) DESC, d.device LIMIT 1",
          user.value, g.message, g.seq);
      if (q.step()) to = wire::Address{user, DeviceId(q.id(0)), q.id(1)};
    }
    if (!to) {
      fail(g.seq, wire::Code::recipient_gone, at);
      continue;
    }
    if (seals() && (is_held(user) || !has_session({user, to->device}))) continue;  // until it may be encrypted
    db_.run("UPDATE copies SET device = ?, tag = ?, gone = 0, pending = 1, moves = moves + 1 WHERE seq = ?",
            to->device.value, to->tag, g.seq);
    if (seals()) seal_copy(g.seq, {user, to->device}, message(MessageRow(g.message))->content);
    if (lowest == 0) lowest = g.seq;
  }
  return lowest;
}

bool SqliteStore::first_time(DeviceId device, std::uint64_t seq) {
  // seen holds the numbers taken as stretches [first, last]; seqs beyond SQLite's integers are shifted into
  // order.
  const auto n = static_cast<std::int64_t>(seq ^ (1ULL << 63));
  std::int64_t first = n, last = n;
  {
    auto q = db_.query("SELECT first, last FROM seen WHERE device = ? AND first <= ? ORDER BY first DESC LIMIT 1",
                       device.value, n);
    if (q.step()) {
      if (q.integer(1) >= n) return false;
      if (q.integer(1) == n - 1) first = q.integer(0);
    }
  }
  if (n != INT64_MAX) {
    auto q = db_.query("SELECT last FROM seen WHERE device = ? AND first = ?", device.value, n + 1);
    if (q.step()) last = q.integer(0);
  }
  if (last != n) db_.run("DELETE FROM seen WHERE device = ? AND first = ?", device.value, n + 1);
  db_.run("INSERT OR REPLACE INTO seen VALUES(?, ?, ?)", device.value, first, last);
  return true;
}

std::int64_t SqliteStore::peer_of_user(UserId user) {
  {
    auto q = db_.query("SELECT id FROM peers WHERE user = ?", user.value);
    if (q.step()) return q.integer(0);
  }
  db_.run("INSERT INTO peers(user) VALUES(?)", user.value);
  return db_.last_row();
}

bool SqliteStore::take(const wire::Deliver& d, WallMs at) {
  if (!first_time(d.from_device, d.seq)) return false;
  if (seals())
    unseal(d, at);
  else
    insert_incoming(d, d.content, 0, at);
  return true;
}

void SqliteStore::insert_incoming(const wire::Deliver& d, std::string_view content, int held, WallMs at) {
  const bool in_group = d.group != GroupId();
  db_.run(
      "INSERT INTO messages(peer, incoming, from_device, seq, content, state, created_ms, accepted_ms, "
      "delivered_ms, revision, author, held) VALUES(?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      in_group ? peer_of_group(d.group) : peer_of_user(d.from_user), d.from_device.value, d.seq, Blob{content},
      kDelivered, d.sent_at_ms, d.accepted_at_ms, at.value, touch().value, in_group ? d.from_user.value : 0, held);
}

}  // namespace barid::client
