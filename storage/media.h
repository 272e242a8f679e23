// What the media service has, for whom and until when; the bytes themselves are elsewhere. The directory offers and
// drops, barid-media notes what is stored and forgets what nobody keeps. A handle on a Pool; any thread. Digests are 32
// bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

class Media {
 public:
  enum class Errc { no_such_user, over_quota, wrong_size };
  static constexpr std::size_t kPageMax = 256;

  explicit Media(Pool& pool) : pool_(&pool) {}

  struct Terms {
    std::uint64_t quota_bytes = 0;
    WallMs unfinished_until;  // an upload that begins now
    WallMs kept_until;        // what is there already
  };
  // Somebody wants to upload. Counts the bytes against the quota from now on. True: they are there already and now kept
  // for this user too.
  Result<bool, Errc> offer(UserId user, const std::string& digest, std::uint64_t bytes, const Terms& terms, WallMs now);
  // Stored and no longer to be kept for this user; what isn't is fine. An upload under way goes on: it holds its quota
  // until abandon() or its time is over, so that nobody uploads more than that.
  void drop(UserId user, const std::string& digest);
  std::uint64_t used_bytes(UserId user, WallMs now);

  bool offered(UserId user, const std::string& digest, WallMs now);  // under way, or stored
  void abandon(UserId user, const std::string& digest);              // an upload under way has ended without its bytes
  // All bytes are durably there. Again is fine. False: they were not offered, or too long ago.
  bool stored(UserId user, const std::string& digest, std::uint64_t bytes, WallMs kept_until, WallMs now);
  void end_keeps(WallMs now);                                         // removes those whose time is over
  std::vector<std::string> kept_by_nobody(WallMs now);                // candidates for forget(), at most kPageMax
  bool forget(const std::string& digest, WallMs now);                 // false: somebody keeps it after all
  std::vector<std::string> objects_after(const std::string& digest);  // ascending, at most kPageMax
  bool knows(const std::string& digest);
  void lost(const std::string& digest);  // its bytes are gone: who offers it next uploads it again
  struct Totals {
    std::uint64_t objects = 0, bytes = 0;
  };
  Totals totals();

 private:
  Pool* pool_;
};

}  // namespace barid::storage
