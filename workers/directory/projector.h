// Keeps the key-value buckets that edges and owners watch (barid-revoked, barid-blocks, the public keys in
// barid-meta) equal to Postgres and the secrets. A change is projected in the request that made it; what a
// crash or an outage left behind follows within kSweepEvery; everything is compared again at start and when
// the broker lost its data. Owned by DirectoryService. project() is thread-safe; one thread of its own does
// the rest.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "storage/projections.h"

namespace prometheus {
class Counter;
}
namespace barid {
class Observe;
}
namespace barid::broker {
class Control;
}
namespace barid::storage {
class Pool;
}

namespace barid::directory {

struct DirectorySecrets;

class Projector {
 public:
  static constexpr std::chrono::milliseconds kSweepEvery{1'000};
  static constexpr std::chrono::minutes kFullEvery{5};  // every entry compared once more, whatever happened
  static constexpr std::chrono::hours kHousekeepEvery{1};
  static constexpr std::size_t kPage = 500;
  static constexpr int kAttempts = 20;  // of a compare-and-swap that others keep winning

  Projector(broker::Control& control, storage::Pool& pool, const DirectorySecrets& secrets,
            std::chrono::seconds token_ttl, Observe& observe);
  ~Projector();
  Projector(const Projector&) = delete;
  Projector& operator=(const Projector&) = delete;

  void start();  // publishes the public keys (throws when the broker is away), then starts the thread
  void stop();   // joins it
  // Never throws: on failure the change stays in the outbox and the thread tries again.
  void project(storage::Change change);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::directory
