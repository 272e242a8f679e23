#include "storage/blocks.h"

#include "storage/pool.h"
#include "storage/projections.h"
#include "storage/rows.h"

namespace barid::storage {

using Work = pqxx::transaction_base;

// Both changes are harmless twice, so after a commit in doubt the look-up is to do it again.
Result<void, Blocks::Errc> Blocks::block(UserId user, UserId blocked, WallMs now) {
  Result<void, Errc> outcome;
  const auto block = [&] {
    pool_->transact("block a user", [&](Work& work) {
      outcome = {};
      const auto known = work.exec_params("SELECT 1 FROM users WHERE user_id = $1 FOR UPDATE", bigint(user));
      const auto other = work.exec_params("SELECT 1 FROM users WHERE user_id = $1", bigint(blocked));
      if (known.empty() || other.empty()) {
        outcome = fail(Errc::no_such_user);
        return;
      }
      work.exec_params0(
          "INSERT INTO blocks (user_id, blocked_id, created_at_ms) VALUES ($1, $2, $3) "
          "ON CONFLICT DO NOTHING",
          bigint(user), bigint(blocked), now.value);
      const auto count = work.exec_params1("SELECT count(*) FROM blocks WHERE user_id = $1", bigint(user));
      if (count[0].as<std::size_t>() > kPerUserMax) {
        work.exec_params0("DELETE FROM blocks WHERE user_id = $1 AND blocked_id = $2", bigint(user), bigint(blocked));
        outcome = fail(Errc::too_many);
        return;
      }
      note_change(work, {ProjectionKind::blocks, user.value});
    });
  };
  try {
    block();
  } catch (const InDoubt&) {
    block();
  }
  return outcome;
}

void Blocks::unblock(UserId user, UserId blocked) {
  const auto unblock = [&] {
    pool_->transact("unblock a user", [&](Work& work) {
      work.exec_params0("DELETE FROM blocks WHERE user_id = $1 AND blocked_id = $2", bigint(user), bigint(blocked));
      note_change(work, {ProjectionKind::blocks, user.value});
    });
  };
  try {
    unblock();
  } catch (const InDoubt&) {
    unblock();
  }
}

std::vector<UserId> Blocks::blocked_by(UserId user) {
  std::vector<UserId> blocked;
  pool_->transact("list blocked users", [&](Work& work) {
    blocked.clear();
    for (const auto& row :
         work.exec_params("SELECT blocked_id FROM blocks WHERE user_id = $1 ORDER BY blocked_id", bigint(user)))
      blocked.push_back(id_of<UserId>(row[0]));
  });
  return blocked;
}

std::vector<UserId> Blocks::blockers(UserId after, std::size_t most) {
  std::vector<UserId> page;
  pool_->transact("list users that block", [&](Work& work) {
    page.clear();
    for (const auto& row :
         work.exec_params("SELECT DISTINCT user_id FROM blocks WHERE user_id > $1 ORDER BY user_id LIMIT $2",
                          bigint(after), static_cast<std::int64_t>(most)))
      page.push_back(id_of<UserId>(row[0]));
  });
  return page;
}

}  // namespace barid::storage
