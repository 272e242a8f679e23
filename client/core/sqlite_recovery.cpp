// The verbs of SqliteStore for a broker that lost messages (docs/adr/0013): what may be lost is offered again.
#include "client/core/sqlite_store.h"

namespace barid::client {
namespace {
constexpr std::int64_t kReadsRepeatedMs = 30LL * 24 * 3600 * 1000;
// groups.stale: the directory is asked about 1 at once, about 2 unless its list says that nothing has changed.
constexpr int kStale = 1, kUnsure = 2;
}  // namespace

void SqliteStore::offer_again(std::uint64_t incarnation, WallMs at) {
  const bool new_here = account().incarnation == 0;  // there was nothing to lose
  db_.run("UPDATE account SET incarnation = ?", incarnation);
  db_.run("UPDATE copies SET pending = 1 WHERE kind IN (?, ?) AND state < ? AND gone = 0",
          static_cast<int>(wire::SendKind::message), static_cast<int>(wire::SendKind::group),
          static_cast<int>(State::failed));
  if (new_here) return;
  db_.run("UPDATE messages SET told = 0 WHERE incoming = 1 AND state = 5 AND told = 1 AND read_ms > ? AND seq > 0",
          at.value - kReadsRepeatedMs);
  db_.run("UPDATE groups SET stale = ? WHERE stale = 0 AND role > 0", kUnsure);
  db_.run("UPDATE meta SET list_groups_after = 0");
}

std::optional<GroupId> SqliteStore::groups_to_list() {
  auto q = db_.query("SELECT list_groups_after FROM meta WHERE list_groups_after IS NOT NULL");
  if (!q.step()) return std::nullopt;
  return GroupId(q.id(0));
}

void SqliteStore::groups_listed(const wire::GroupList& list) {
  for (const wire::GroupShort& listed : list.groups) {
    const GroupId id(listed.address.user.value);
    const GroupState g = ensure_group(id);  // one that is new here is stale already
    const bool same = g.version == listed.version && g.role == listed.role;
    db_.run("UPDATE groups SET stale = ? WHERE id = ? AND stale IN (0, ?)", same ? 0 : kStale, id.value, kUnsure);
  }
  if (list.more && !list.groups.empty()) {
    db_.run("UPDATE meta SET list_groups_after = ?", list.groups.back().address.user.value);
    return;
  }
  db_.run("UPDATE meta SET list_groups_after = NULL");
  db_.run("UPDATE groups SET stale = ? WHERE stale = ?", kStale, kUnsure);  // not in the list: we may not be in them
}

}  // namespace barid::client
