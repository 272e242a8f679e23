// Who may see whose presence: settings, contacts, and when users were last seen. A handle on a Pool; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

enum class Audience : std::uint8_t { everyone, contacts, nobody };
struct PrivacySettings {
  Audience last_seen = Audience::everyone, online = Audience::everyone;
  bool operator==(const PrivacySettings&) const = default;
};
struct PresenceRights {
  bool blocked = false;  // one of them blocks the other, or is no user
  bool online = false, last_seen = false;
  std::int64_t last_seen_ms = 0;  // 0: never, or not to be seen
};

class Presence {
 public:
  enum class Errc { no_such_user, too_many };
  static constexpr std::size_t kContactsMax = 10'000;  // of a user

  struct Pair {
    UserId watched, watcher;
  };
  struct Seen {
    UserId user;
    WallMs at;
  };

  explicit Presence(Pool& pool) : pool_(&pool) {}

  PrivacySettings privacy(UserId user);
  Result<void, Errc> set_privacy(UserId user, PrivacySettings settings);
  // Both are harmless twice. Those who are no users are left out.
  Result<void, Errc> edit_contacts(UserId user, const std::vector<UserId>& add, const std::vector<UserId>& remove);

  // In the order of the pairs. In both directions: one sees what one shows.
  std::vector<PresenceRights> rights(const std::vector<Pair>& pairs);
  void write_last_seen(const std::vector<Seen>& seen);  // one statement; the later time stands

 private:
  Pool* pool_;
};

}  // namespace barid::storage
