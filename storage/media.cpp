#include "storage/media.h"

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {
namespace {

using Work = pqxx::transaction_base;

std::int64_t number(std::uint64_t bytes) { return static_cast<std::int64_t>(bytes); }

// All changes here may be made twice: after a commit in doubt they simply are.
void twice_if_in_doubt(Pool& pool, const char* what, const Pool::Body& body) {
  try {
    pool.transact(what, body);
  } catch (const InDoubt&) {
    pool.transact(what, body);
  }
}

void keep(Work& work, UserId user, const std::string& digest, std::uint64_t bytes, bool stored, WallMs until) {
  work.exec_params0(
      "INSERT INTO media_keeps AS k (user_id, digest, bytes, stored, until_ms) VALUES ($1, $2, $3, $4, $5) "
      "ON CONFLICT (user_id, digest) DO UPDATE SET bytes = excluded.bytes, stored = excluded.stored, "
      "until_ms = excluded.until_ms",
      bigint(user), bytea(digest), number(bytes), stored, until.value);
}

std::vector<std::string> digests(const pqxx::result& rows) {
  std::vector<std::string> out;
  out.reserve(static_cast<std::size_t>(rows.size()));
  for (const auto& row : rows) out.push_back(bytes_of(row[0]));
  return out;
}

}  // namespace

Result<bool, Media::Errc> Media::offer(UserId user, const std::string& digest, std::uint64_t bytes, const Terms& terms,
                                       WallMs now) {
  Result<bool, Errc> outcome;
  twice_if_in_doubt(*pool_, "offer media", [&](Work& work) {
    outcome = false;
    // The user's row is locked, so that two offers do not both fit into what is left.
    if (work.exec_params("SELECT 1 FROM users WHERE user_id = $1 FOR UPDATE", bigint(user)).empty()) {
      outcome = fail(Errc::no_such_user);
      return;
    }
    const auto others = work.exec_params1(
        "SELECT coalesce(sum(bytes), 0)::bigint FROM media_keeps WHERE user_id = $1 AND digest <> $2 AND until_ms > $3",
        bigint(user), bytea(digest), now.value);
    const auto used = static_cast<std::uint64_t>(others[0].as<std::int64_t>());
    if (bytes > terms.quota_bytes || used > terms.quota_bytes - bytes) {
      outcome = fail(Errc::over_quota);
      return;
    }
    // Locked against forget().
    const auto object = work.exec_params("SELECT bytes FROM media_objects WHERE digest = $1 FOR SHARE", bytea(digest));
    const bool there = !object.empty();
    if (there && object[0][0].as<std::int64_t>() != number(bytes)) {
      outcome = fail(Errc::wrong_size);
      return;
    }
    keep(work, user, digest, bytes, there, there ? terms.kept_until : terms.unfinished_until);
    outcome = there;
  });
  return outcome;
}

void Media::drop(UserId user, const std::string& digest) {
  twice_if_in_doubt(*pool_, "drop media", [&](Work& work) {
    work.exec_params0("DELETE FROM media_keeps WHERE user_id = $1 AND digest = $2 AND stored", bigint(user),
                      bytea(digest));
  });
}

void Media::abandon(UserId user, const std::string& digest) {
  twice_if_in_doubt(*pool_, "abandon an upload", [&](Work& work) {
    work.exec_params0("DELETE FROM media_keeps WHERE user_id = $1 AND digest = $2 AND NOT stored", bigint(user),
                      bytea(digest));
  });
}

bool Media::offered(UserId user, const std::string& digest, WallMs now) {
  bool is = false;
  pool_->transact("look for an upload", [&](Work& work) {
    is = !work.exec_params("SELECT 1 FROM media_keeps WHERE user_id = $1 AND digest = $2 AND until_ms > $3",
                           bigint(user), bytea(digest), now.value)
              .empty();
  });
  return is;
}

std::uint64_t Media::used_bytes(UserId user, WallMs now) {
  std::uint64_t used = 0;
  pool_->transact("add up media", [&](Work& work) {
    const auto row = work.exec_params1(
        "SELECT coalesce(sum(bytes), 0)::bigint FROM media_keeps WHERE user_id = $1 AND until_ms > $2", bigint(user),
        now.value);
    used = static_cast<std::uint64_t>(row[0].as<std::int64_t>());
  });
  return used;
}

bool Media::stored(UserId user, const std::string& digest, std::uint64_t bytes, WallMs kept_until, WallMs now) {
  bool known = false;
  twice_if_in_doubt(*pool_, "note stored media", [&](Work& work) {
    known =
        !work.exec_params("SELECT 1 FROM media_keeps WHERE user_id = $1 AND digest = $2 AND until_ms > $3 FOR UPDATE",
                          bigint(user), bytea(digest), now.value)
             .empty();
    if (!known) return;
    work.exec_params0(
        "INSERT INTO media_objects (digest, bytes, stored_at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        bytea(digest), number(bytes), now.value);
    keep(work, user, digest, bytes, true, kept_until);
  });
  return known;
}

void Media::end_keeps(WallMs now) {
  twice_if_in_doubt(*pool_, "end the keeping of media",
                    [&](Work& work) { work.exec_params0("DELETE FROM media_keeps WHERE until_ms <= $1", now.value); });
}

std::vector<std::string> Media::kept_by_nobody(WallMs now) {
  std::vector<std::string> found;
  pool_->transact("find media that nobody keeps", [&](Work& work) {
    found = digests(work.exec_params(
        "SELECT digest FROM media_objects o WHERE NOT EXISTS (SELECT 1 FROM media_keeps k WHERE k.digest = o.digest "
        "AND k.stored AND k.until_ms > $1) LIMIT $2",
        now.value, static_cast<std::int64_t>(kPageMax)));
  });
  return found;
}

bool Media::forget(const std::string& digest, WallMs now) {
  bool gone = false;
  pool_->transact("forget media", [&](Work& work) {
    // Two statements: the second sees what an offer() has committed that held the lock before.
    work.exec_params("SELECT 1 FROM media_objects WHERE digest = $1 FOR UPDATE", bytea(digest));
    gone = work.exec_params(
                   "DELETE FROM media_objects o WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM media_keeps k "
                   "WHERE k.digest = o.digest AND k.stored AND k.until_ms > $2) RETURNING 1",
                   bytea(digest), now.value)
               .size() == 1;
  });
  return gone;
}

std::vector<std::string> Media::objects_after(const std::string& digest) {
  std::vector<std::string> page;
  pool_->transact("list media", [&](Work& work) {
    page = digests(work.exec_params("SELECT digest FROM media_objects WHERE digest > $1 ORDER BY digest LIMIT $2",
                                    bytea(digest), static_cast<std::int64_t>(kPageMax)));
  });
  return page;
}

bool Media::knows(const std::string& digest) {
  bool known = false;
  pool_->transact("look for media", [&](Work& work) {
    known = !work.exec_params("SELECT 1 FROM media_objects WHERE digest = $1", bytea(digest)).empty();
  });
  return known;
}

void Media::lost(const std::string& digest) {
  twice_if_in_doubt(*pool_, "note lost media", [&](Work& work) {
    work.exec_params0("DELETE FROM media_keeps WHERE digest = $1 AND stored", bytea(digest));
    work.exec_params0("DELETE FROM media_objects WHERE digest = $1", bytea(digest));
  });
}

Media::Totals Media::totals() {
  Totals totals;
  pool_->transact("add up all media", [&](Work& work) {
    const auto row = work.exec1("SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM media_objects");
    totals = {row[0].as<std::uint64_t>(), row[1].as<std::uint64_t>()};
  });
  return totals;
}

}  // namespace barid::storage
