// Who has blocked whom: the truth that the bucket barid-blocks is projected from. A handle on a Pool; any
// thread.
#pragma once

#include <cstddef>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

class Blocks {
 public:
  enum class Errc { no_such_user, too_many };
  static constexpr std::size_t kPerUserMax = 5'000;  // the list must fit one response frame

  explicit Blocks(Pool& pool) : pool_(&pool) {}

  Result<void, Errc> block(UserId user, UserId blocked, WallMs now);  // again is fine
  void unblock(UserId user, UserId blocked);                          // one that isn't blocked is fine
  std::vector<UserId> blocked_by(UserId user);                        // ascending

  // Users that block somebody, ascending, after `after`: for paging.
  std::vector<UserId> blockers(UserId after, std::size_t most);

 private:
  Pool* pool_;
};

}  // namespace barid::storage
