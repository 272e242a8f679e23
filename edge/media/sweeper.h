// Removes what has ended: media that nobody keeps any more, uploads that were given up, and what a crash left behind.
// Owned by main; a thread of its own. Several processes over the same store may sweep at once.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/config.h"
#include "edge/media/store.h"
#include "storage/media.h"

namespace barid {
class Observe;
}

namespace barid::media {

class Sweeper {
 public:
  // A file that nobody knows may be one that is just being noted: it is left alone for this long.
  static constexpr std::chrono::seconds kOrphanAge{3'600};

  Sweeper(const MediaConfig& config, Store& store, storage::Pool& pool, Observe& observe);
  ~Sweeper();
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

 private:
  void run();
  void sweep();
  void remove_ended(WallMs now);
  void remove_parts(WallMs now);
  void compare_shard();  // one each sweep, in turn
  void note_lost();      // one page each sweep, in turn

  const MediaConfig& config_;
  Store& store_;
  storage::Media media_;
  Observe& observe_;
  unsigned shard_ = 0;
  std::string looked_at_;
  std::mutex mutex_;  // guards stop_
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace barid::media
