// Brings the events of groups from Postgres into the stream FANOUT, each group's in order of version, and answers what
// the fan-out asks about a place of that stream. An event is published only when all before it are known to be there,
// under a message id of its own: so any number of workers may publish the same group at once, and a kill loses nothing.
// What a crash or an outage left behind follows within kSweepEvery. Owned by DirectoryService. publish() and snapshot()
// are thread-safe; one thread of its own does the rest.
#pragma once

#include <chrono>
#include <memory>

#include "base/config.h"
#include "base/id.h"
#include "schemas/control.h"

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

class GroupPublisher {
 public:
  static constexpr std::chrono::milliseconds kSweepEvery{500};
  static constexpr std::chrono::hours kHousekeepEvery{1};
  static constexpr std::chrono::hours kEventsKept{24 * 45};  // longer than anything waits in the stream
  static constexpr std::chrono::hours kEventTtl{24 * 30};    // for a member who is away
  static constexpr std::size_t kPage = 64;
  static constexpr unsigned kSnapshotThreads = 2;

  GroupPublisher(broker::Control& control, storage::Pool& pool, const DirectoryConfig& config, Observe& observe);
  ~GroupPublisher();
  GroupPublisher(const GroupPublisher&) = delete;
  GroupPublisher& operator=(const GroupPublisher&) = delete;

  void start();
  void stop();  // joins the thread
  // Returns when every event of the group that was there is in the stream. Throws when the broker or Postgres is away.
  void publish(GroupId group);
  // As of that place; throws like publish().
  control::GroupSnapshot snapshot(const control::GroupSnapshotCall& call);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::directory
