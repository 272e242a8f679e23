// All that Postgres holds on one user: to export it, and to erase it. A handle on a Pool, cheap to copy; any thread.
// Connects as the owner of the tables: the operator's, not the directory's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"

namespace barid::storage {

class Pool;

class UserData {
 public:
  explicit UserData(Pool& pool) : pool_(&pool) {}

  std::optional<UserId> find(const std::string& phone);  // E.164
  bool exists(UserId user);
  std::vector<DeviceId> all_devices(UserId user);  // revoked ones too

  std::string export_json(UserId user);  // one JSON object; no keys that are secret: the server has none

  // Everything that says who the user was or whom they knew. What stays is a tombstone: the random ids of the user and
  // of the revoked devices, for as long as somebody could hold a token of theirs. The blocks of those who blocked the
  // user change, and are projected. Again is fine.
  void erase(UserId user);

 private:
  Pool* pool_;
};

}  // namespace barid::storage
