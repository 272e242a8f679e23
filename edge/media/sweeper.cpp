#include "edge/media/sweeper.h"

#include "base/log.h"
#include "base/observe.h"
#include "storage/pool.h"

namespace barid::media {

Sweeper::Sweeper(const MediaConfig& config, Store& store, storage::Pool& pool, Observe& observe)
    : config_(config), store_(store), media_(pool), observe_(observe), thread_([this] { run(); }) {}

Sweeper::~Sweeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void Sweeper::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, config_.sweep_every, [&] { return stop_; })) {
    lock.unlock();
    try {
      sweep();
    } catch (const storage::Unavailable& away) {
      SPDLOG_DEBUG("the sweep must wait: {}", away.what());
    } catch (const std::exception& error) {
      SPDLOG_ERROR("the sweep of media failed: {}", error.what());
    }
    lock.lock();
  }
}

void Sweeper::sweep() {
  const WallMs now = wall_now();
  remove_ended(now);
  remove_parts(now);
  compare_shard();
  note_lost();
  const auto totals = media_.totals();
  observe_.gauge("barid_media_objects", "files that are kept").Set(static_cast<double>(totals.objects));
  observe_.gauge("barid_media_object_bytes", "their bytes").Set(static_cast<double>(totals.bytes));
  observe_.gauge("barid_media_free_bytes", "left on the disk of the store")
      .Set(static_cast<double>(store_.bytes_free()));
}

void Sweeper::remove_ended(WallMs now) {
  auto& removed = observe_.counter("barid_media_removed_total", "files removed, by reason", {{"reason", "ended"}});
  media_.end_keeps(now);
  for (const std::string& digest : media_.kept_by_nobody(now))
    store_.locked(digest, [&] {
      if (!media_.forget(digest, now)) return;
      store_.remove(digest);
      removed.Increment();
    });
}

void Sweeper::remove_parts(WallMs now) {
  auto& removed = observe_.counter("barid_media_removed_total", "files removed, by reason", {{"reason", "unfinished"}});
  for (const PartId& id : store_.parts()) {
    if (media_.offered(id.user, id.digest, now)) continue;
    store_.remove_part(id);
    removed.Increment();
  }
}

void Sweeper::compare_shard() {
  auto& removed = observe_.counter("barid_media_removed_total", "files removed, by reason", {{"reason", "orphan"}});
  const std::int64_t old_s = wall_now().value / 1'000 - kOrphanAge.count();
  for (const std::string& digest : store_.objects(shard_)) {
    if (store_.changed_s(digest) > old_s || media_.knows(digest)) continue;
    store_.locked(digest, [&] {
      if (media_.knows(digest)) return;
      store_.remove(digest);
      removed.Increment();
    });
  }
  shard_ = (shard_ + 1) % Store::kShards;
}

void Sweeper::note_lost() {
  const auto page = media_.objects_after(looked_at_);
  for (const std::string& digest : page)
    store_.locked(digest, [&] {
      if (store_.open(digest) || !media_.knows(digest)) return;
      SPDLOG_ERROR("the media store has lost a file that it should have");
      observe_.counter("barid_media_lost_total", "files that were known and not there").Increment();
      media_.lost(digest);
    });
  looked_at_ = page.empty() ? std::string() : page.back();
}

}  // namespace barid::media
