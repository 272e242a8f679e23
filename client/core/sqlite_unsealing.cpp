// The verbs of SqliteStore that decrypt, and what clients say to each other about that. All of one delivery is one
// transaction: the ratchet, what it says, and that it was seen.
#include "client/core/sqlite_store.h"

namespace barid::client {
namespace {

constexpr int kResendsMax = 3;                                       // times that one message is said again
constexpr std::int64_t kFreshSessionMs = 60'000;                     // a session that failed is not replaced more often
constexpr int kHeld = 1, kHeldForGood = 1 + SqliteStore::kAskedMax;  // messages.held

constexpr std::uint64_t kNothingSaid = INT64_MAX;  // copies.origin: an empty answer, which is not answered again

constexpr int kMessageKind = static_cast<int>(wire::SendKind::message);
constexpr int kGroupKind = static_cast<int>(wire::SendKind::group);

// What people see; the rest is between clients, and belongs inside one ciphertext only.
bool is_for_people(const content::Content& c) {
  return !std::holds_alternative<content::Sealed>(c) && !std::holds_alternative<content::SenderKey>(c) &&
         !std::holds_alternative<content::Retry>(c) && !std::holds_alternative<content::Again>(c);
}

std::string not_sealed() { return content::encode(content::Sealed{}).value(); }

}  // namespace

void SqliteStore::unseal(const wire::Deliver& d, WallMs at) {
  const auto decoded = content::decode(d.content);
  const auto* sealed = decoded ? std::get_if<content::Sealed>(&*decoded) : nullptr;
  // Not encrypted, or in a way that we do not know: whoever wrote it, it was not proved.
  if (sealed == nullptr || sealed->version != wire::kKeysVersion || sealed->type == content::SealedType::none)
    return insert_incoming(d, not_sealed(), kHeldForGood, at);
  const e2ee::Device from{d.from_user, d.from_device};
  const bool by_sender_key = sealed->type == content::SealedType::sender_key_message;
  if (by_sender_key != (d.group != GroupId())) return insert_incoming(d, not_sealed(), kHeldForGood, at);
  const auto plain = by_sender_key ? sealer_->open_in_group(d.group, from, sealed->body)
                                   : sealer_->open(from, static_cast<e2ee::CipherType>(sealed->type), sealed->body);
  if (sealed->type == content::SealedType::prekey_message) keys_moved_ = true;  // a prekey may be used up
  if (plain) return opened(d, *plain, at);
  if (plain.error() == e2ee::Errc::duplicate) return;
  insert_incoming(d, d.content, kHeld, at);
  ask_again(d, !by_sender_key, at);
}

void SqliteStore::opened(const wire::Deliver& d, const std::string& plain, WallMs at) {
  const e2ee::Device from{d.from_user, d.from_device};
  const auto said = content::decode(plain);
  if (!said || is_for_people(*said)) return insert_incoming(d, plain, 0, at);  // or of a newer client's kind
  if (d.group != GroupId()) return;                                            // not in a group
  if (const auto* key = std::get_if<content::SenderKey>(&*said)) {
    on_sender_key(from, *key);
  } else if (const auto* retry = std::get_if<content::Retry>(&*said)) {
    on_retry(from, *retry);
  } else if (const auto* again = std::get_if<content::Again>(&*said)) {
    on_again(from, *again);
  }
}

void SqliteStore::ask_again(const wire::Deliver& d, bool session_at_fault, WallMs at) {
  {
    auto q = db_.query("SELECT held FROM messages WHERE from_device = ? AND seq = ? AND incoming = 1 AND held > 0",
                       d.from_device.value, d.seq);
    if (!q.step() || q.integer(0) > kAskedMax) return;
  }
  db_.run("UPDATE messages SET held = held + 1 WHERE from_device = ? AND seq = ? AND incoming = 1", d.from_device.value,
          d.seq);
  if (session_at_fault)
    db_.run(
        "INSERT INTO sessions(user, device, fresh) VALUES(?1, ?2, 1) ON CONFLICT(user, device) DO UPDATE SET fresh = 1 "
        "WHERE begun_ms < ?3",
        d.from_user.value, d.from_device.value, at.value - kFreshSessionMs);
  add_control({d.from_user, d.from_device}, content::Retry{d.seq, d.group});
}

// What we asked for once may not have been understood.
void SqliteStore::ask_for_held(e2ee::Device from) {
  struct Held {
    std::uint64_t seq;
    GroupId group;
  };
  std::vector<Held> held;
  {
    auto q = db_.query(
        "SELECT m.seq, coalesce(p.group_id, 0) FROM messages m INDEXED BY messages_held JOIN peers p ON p.id = m.peer "
        "WHERE m.from_device = ? AND m.held BETWEEN 1 AND ? ORDER BY m.seq LIMIT 16",
        from.device.value, kAskedMax);
    while (q.step()) held.push_back({q.id(0), GroupId(q.id(1))});
  }
  for (const Held& h : held) {
    db_.run("UPDATE messages SET held = held + 1 WHERE from_device = ? AND seq = ? AND incoming = 1 AND held > 0",
            from.device.value, h.seq);
    add_control(from, content::Retry{h.seq, h.group});
  }
}

void SqliteStore::on_sender_key(e2ee::Device from, const content::SenderKey& key) {
  if (!sealer_->take_distribution(key.group, from, key.key)) return;
  struct Held {
    std::int64_t id;
    std::string content;
  };
  std::vector<Held> held;  // messages that were faster than their key
  {
    auto q = db_.query(
        "SELECT m.id, m.content FROM messages m INDEXED BY messages_held JOIN peers p ON p.id = m.peer WHERE "
        "m.from_device = ? AND m.held > 0 AND p.group_id = ? ORDER BY m.seq",
        from.device.value, key.group.value);
    while (q.step()) held.push_back({q.integer(0), q.text(1)});
  }
  for (const Held& h : held) {
    const auto decoded = content::decode(h.content);
    const auto* sealed = decoded ? std::get_if<content::Sealed>(&*decoded) : nullptr;
    if (sealed == nullptr || sealed->type != content::SealedType::sender_key_message) continue;
    const auto plain = sealer_->open_in_group(key.group, from, sealed->body);
    if (!plain) continue;
    revive(h.id, *plain);
  }
}

// Under a new row, as something new: whoever has seen that it could not be read sees now what it says.
void SqliteStore::revive(std::int64_t message, std::string_view content) {
  db_.run(
      "INSERT INTO messages(peer, incoming, from_device, seq, content, state, created_ms, accepted_ms, delivered_ms, "
      "revision, author) SELECT peer, 1, from_device, seq, ?, ?, created_ms, accepted_ms, delivered_ms, ?, author FROM "
      "messages WHERE id = ?",
      Blob{content}, static_cast<int>(State::delivered), touch().value, message);
  db_.run("DELETE FROM messages WHERE id = ?", message);
}

// Only what went to that user is said again: to that device, or in a group of which the user was a recipient.
void SqliteStore::on_retry(e2ee::Device from, const content::Retry& retry) {
  std::int64_t message = 0, resends = 0;
  std::uint64_t seq = retry.seq, origin = 0;
  bool theirs = false;
  const auto look = [&] {
    auto q = db_.query(
        "SELECT message, resends, kind = ?1 AND user = ?2 AND device = ?3, kind = ?4 AND EXISTS(SELECT 1 "
        "FROM group_marks k WHERE k.message = copies.message AND k.user = ?2), origin FROM copies WHERE seq = ?5",
        kMessageKind, from.user.value, from.device.value, kGroupKind, seq);
    message = resends = 0, origin = 0, theirs = false;
    if (!q.step()) return;
    message = q.integer(0), resends = q.integer(1);
    theirs = q.integer(2) != 0 || q.integer(3) != 0;
    origin = q.id(4);
  };
  if (seq > static_cast<std::uint64_t>(INT64_MAX)) return;
  look();
  if (origin == kNothingSaid) return;  // where asking ends
  if (message == 0) {                  // people see nothing of that one, but it may have said something again
    add_control(from, content::Again{seq, {}}, kNothingSaid);
    if (theirs && origin == 0) ask_for_held(from);  // it may have asked for something
    if (!theirs || origin == 0) return;
    seq = origin;
    look();
  }
  if (!theirs || resends >= kResendsMax) return;
  if (retry.group != GroupId())
    db_.run("DELETE FROM key_holders WHERE group_id = ? AND user = ? AND device = ?", retry.group.value,
            from.user.value, from.device.value);
  db_.run("UPDATE copies SET resends = resends + 1 WHERE seq = ?", seq);
  std::string content;
  if (message != 0)
    if (const auto said = this->message(MessageRow(message))) content = said->content;
  add_control(from, content::Again{seq, std::move(content)}, seq);
}

void SqliteStore::on_again(e2ee::Device from, const content::Again& again) {
  if (again.content.empty()) {  // it was for the client, not for people
    db_.run("DELETE FROM messages WHERE from_device = ? AND seq = ? AND incoming = 1 AND held > 0", from.device.value,
            again.seq);
    return;
  }
  const auto said = content::decode(again.content);
  if (said && !is_for_people(*said)) return;
  std::int64_t held = 0;
  {
    auto q = db_.query("SELECT id FROM messages WHERE from_device = ? AND seq = ? AND incoming = 1 AND held > 0",
                       from.device.value, again.seq);
    if (q.step()) held = q.integer(0);
  }
  if (held != 0) revive(held, again.content);
}

}  // namespace barid::client
