#include "storage/projections.h"

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {
namespace {
int kind_of(Change change) { return static_cast<int>(change.kind); }
std::int64_t key_of(Change change) { return bigint(UserId(change.id)); }
}  // namespace

void note_change(pqxx::transaction_base& work, Change change) {
  work.exec_params0(
      "INSERT INTO projections (kind, id) VALUES ($1, $2) "
      "ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version",
      kind_of(change), key_of(change));
}

std::vector<Change> Projections::pending(std::size_t most) {
  std::vector<Change> changes;
  pool_->transact("list what is to be projected", [&](pqxx::transaction_base& work) {
    changes.clear();
    for (const auto& row : work.exec_params("SELECT kind, id FROM projections ORDER BY kind, id LIMIT $1",
                                            static_cast<std::int64_t>(most)))
      changes.push_back({static_cast<ProjectionKind>(row[0].as<int>()), id_of<UserId>(row[1]).value});
  });
  return changes;
}

std::optional<std::int64_t> Projections::version(Change change) {
  std::optional<std::int64_t> version;
  pool_->transact("look a projection up", [&](pqxx::transaction_base& work) {
    version.reset();
    const auto rows = work.exec_params("SELECT version FROM projections WHERE kind = $1 AND id = $2", kind_of(change),
                                       key_of(change));
    if (!rows.empty()) version = rows[0][0].as<std::int64_t>();
  });
  return version;
}

void Projections::settle(Change change, std::int64_t version) {
  try {
    pool_->transact("settle a projection", [&](pqxx::transaction_base& work) {
      work.exec_params0("DELETE FROM projections WHERE kind = $1 AND id = $2 AND version = $3", kind_of(change),
                        key_of(change), version);
    });
  } catch (const InDoubt&) {  // if it is still there, the next round projects it once more: harmless
  }
}

}  // namespace barid::storage
