#include "storage/presence.h"

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {

using Work = pqxx::transaction_base;

namespace {

template <class Items, class Number>
std::string bigints(const Items& items, Number&& number) {
  std::string out = "{";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += std::to_string(number(item));
  }
  return out + "}";
}

// What is asked for is safe to do again, so after a commit in doubt it is.
template <class Verb>
void twice_if_in_doubt(const Verb& verb) {
  try {
    verb();
  } catch (const InDoubt&) {
    verb();
  }
}

bool shows(int audience, bool contact) {
  return audience == static_cast<int>(Audience::everyone) ||
         (audience == static_cast<int>(Audience::contacts) && contact);
}

}  // namespace

PrivacySettings Presence::privacy(UserId user) {
  PrivacySettings settings;
  pool_->transact("read privacy settings", [&](Work& work) {
    settings = {};
    const auto rows = work.exec_params("SELECT last_seen, online FROM privacy WHERE user_id = $1", bigint(user));
    if (!rows.empty())
      settings = {static_cast<Audience>(rows[0][0].as<int>()), static_cast<Audience>(rows[0][1].as<int>())};
  });
  return settings;
}

Result<void, Presence::Errc> Presence::set_privacy(UserId user, PrivacySettings settings) {
  Result<void, Errc> outcome;
  twice_if_in_doubt([&] {
    pool_->transact("change privacy settings", [&](Work& work) {
      outcome = {};
      const auto done = work.exec_params(
          "INSERT INTO privacy (user_id, last_seen, online) SELECT user_id, $2, $3 FROM users WHERE user_id = $1 "
          "ON CONFLICT (user_id) DO UPDATE SET last_seen = excluded.last_seen, online = excluded.online",
          bigint(user), static_cast<int>(settings.last_seen), static_cast<int>(settings.online));
      if (done.affected_rows() == 0) outcome = fail(Errc::no_such_user);
    });
  });
  return outcome;
}

Result<void, Presence::Errc> Presence::edit_contacts(UserId user, const std::vector<UserId>& add,
                                                     const std::vector<UserId>& remove) {
  const auto id = [](UserId u) { return bigint(u); };
  const std::string added = bigints(add, id), removed = bigints(remove, id);
  const auto edit = [&](Work& work) {
    if (work.exec_params("SELECT 1 FROM users WHERE user_id = $1 FOR UPDATE", bigint(user)).empty()) return false;
    work.exec_params0("DELETE FROM contacts WHERE user_id = $1 AND contact_id = ANY($2::bigint[])", bigint(user),
                      removed);
    work.exec_params0(
        "INSERT INTO contacts (user_id, contact_id) SELECT $1, user_id FROM users "
        "WHERE user_id = ANY($2::bigint[]) AND user_id <> $1 ORDER BY user_id ON CONFLICT DO NOTHING",
        bigint(user), added);
    return true;
  };
  struct TooMany {};
  Result<void, Errc> outcome;
  try {
    twice_if_in_doubt([&] {
      pool_->transact("edit contacts", [&](Work& work) {
        outcome = {};
        if (!edit(work)) {
          outcome = fail(Errc::no_such_user);
          return;
        }
        const auto count = work.exec_params1("SELECT count(*) FROM contacts WHERE user_id = $1", bigint(user));
        if (count[0].as<std::size_t>() > kContactsMax) throw TooMany{};  // undone
      });
    });
  } catch (const TooMany&) {
    return fail(Errc::too_many);
  }
  return outcome;
}

std::vector<PresenceRights> Presence::rights(const std::vector<Pair>& pairs) {
  std::vector<PresenceRights> all;
  if (pairs.empty()) return all;
  const std::string watched = bigints(pairs, [](const Pair& p) { return bigint(p.watched); });
  const std::string watchers = bigints(pairs, [](const Pair& p) { return bigint(p.watcher); });
  pool_->transact("decide who sees whom", [&](Work& work) {
    all.clear();
    const auto rows = work.exec_params(
        "SELECT u.user_id IS NULL OR EXISTS (SELECT 1 FROM blocks WHERE (user_id, blocked_id) = (p.watched, "
        "p.watcher)) "
        "   OR EXISTS (SELECT 1 FROM blocks WHERE (user_id, blocked_id) = (p.watcher, p.watched)), "
        " coalesce(a.last_seen, 0), coalesce(a.online, 0), coalesce(b.last_seen, 0), coalesce(b.online, 0), "
        " EXISTS (SELECT 1 FROM contacts WHERE (user_id, contact_id) = (p.watched, p.watcher)), "
        " EXISTS (SELECT 1 FROM contacts WHERE (user_id, contact_id) = (p.watcher, p.watched)), "
        " coalesce(l.at_ms, 0) "
        "FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS p (watched, watcher, n) "
        "LEFT JOIN users u ON u.user_id = p.watched "
        "LEFT JOIN privacy a ON a.user_id = p.watched LEFT JOIN privacy b ON b.user_id = p.watcher "
        "LEFT JOIN last_seen l ON l.user_id = p.watched ORDER BY p.n",
        watched, watchers);
    for (const auto& row : rows) {
      const bool knows = row[5].as<bool>(), known = row[6].as<bool>();
      PresenceRights r;
      r.blocked = row[0].as<bool>();
      r.last_seen = !r.blocked && shows(row[1].as<int>(), knows) && shows(row[3].as<int>(), known);
      r.online = !r.blocked && shows(row[2].as<int>(), knows) && shows(row[4].as<int>(), known);
      if (r.last_seen) r.last_seen_ms = row[7].as<std::int64_t>();
      all.push_back(r);
    }
  });
  return all;
}

void Presence::write_last_seen(const std::vector<Seen>& seen) {
  if (seen.empty()) return;
  const std::string users = bigints(seen, [](const Seen& s) { return bigint(s.user); });
  const std::string times = bigints(seen, [](const Seen& s) { return s.at.value; });
  twice_if_in_doubt([&] {
    pool_->transact("write last-seen times", [&](Work& work) {
      work.exec_params0(
          "INSERT INTO last_seen (user_id, at_ms) SELECT s.id, max(s.at) FROM unnest($1::bigint[], $2::bigint[]) "
          "AS s (id, at) JOIN users ON users.user_id = s.id GROUP BY s.id ORDER BY s.id "
          "ON CONFLICT (user_id) DO UPDATE SET at_ms = greatest(last_seen.at_ms, excluded.at_ms)",
          users, times);
    });
  });
}

}  // namespace barid::storage
