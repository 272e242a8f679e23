// The transactional outbox: which users' blocks and which devices' revocations have changed and may not have
// reached the key-value buckets yet. Written in the transaction of the change, so that a crash between the
// two heals. A handle on a Pool, cheap to copy; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace pqxx {
class transaction_base;
}

namespace barid::storage {

class Pool;

// presence: has no bucket and is never pending; owners are told, and ask.
enum class ProjectionKind : std::int16_t { blocks = 1, revoked = 2, presence = 3 };
struct Change {
  ProjectionKind kind;
  std::uint64_t id = 0;  // a user (blocks) or a device (revoked)
  bool operator==(const Change&) const = default;
};

// Private to storage/: part of the transaction that makes the change.
void note_change(pqxx::transaction_base& work, Change change);

class Projections {
 public:
  explicit Projections(Pool& pool) : pool_(&pool) {}

  std::vector<Change> pending(std::size_t most);
  // The version of a pending change: read it before the state, and settle() with it after the state is
  // written.
  std::optional<std::int64_t> version(Change change);
  void settle(Change change, std::int64_t version);  // does nothing when the state has changed again since

 private:
  Pool* pool_;
};

}  // namespace barid::storage
