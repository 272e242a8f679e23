#include "workers/directory/projector.h"

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.h"
#include "base/observe.h"
#include "broker/control.h"
#include "broker/topology.h"
#include "storage/accounts.h"
#include "storage/blocks.h"
#include "storage/codes.h"
#include "storage/keys.h"
#include "storage/lookups.h"
#include "storage/pool.h"
#include "storage/throttles.h"
#include "workers/directory/secrets.h"

namespace barid::directory {

using storage::Accounts;
using storage::Change;
using storage::ProjectionKind;

namespace {
constexpr std::int64_t kThrottleMemoryMs = 7 * storage::kDayMs;  // every throttle is full again by then
}

struct Projector::Impl {
  Impl(broker::Control& control_in, storage::Pool& pool, const DirectorySecrets& secrets_in,
       std::chrono::seconds token_ttl_in, Observe& observe)
      : control(control_in),
        secrets(secrets_in),
        token_ttl(token_ttl_in),
        accounts(pool),
        blocks(pool),
        codes(pool),
        keys(pool),
        lookups(pool),
        throttles(pool),
        projections(pool),
        written(observe.counter("barid_projections_total", "entries written to key-value buckets")),
        failures(observe.counter("barid_projection_failures_total", "attempts to write one that failed")) {}

  // Writes one entry unless it is there already. The entry's revision is read before `state` reads Postgres,
  // so a concurrent writer with older state makes us, or is made by us, to start over: the last write is
  // never stale.
  void bring(const char* bucket, const std::string& key, const std::function<std::string()>& state) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const auto present = control.get(bucket, key);
      const std::string wanted = state();
      if (wanted.empty() || (present && present->value == wanted)) return;
      if (!control.put_if(bucket, key, wanted, present ? present->revision : 0)) continue;
      written.Increment();
      return;
    }
    throw broker::Error(std::string("entry ") + key + " of " + bucket + " keeps changing");
  }

  void bring(Change change) {
    if (change.kind == ProjectionKind::blocks) {
      bring(broker::kBlocksBucket, hex_id(change.id), [&] {
        nlohmann::json users = nlohmann::json::array();
        for (const UserId user : blocks.blocked_by(UserId(change.id))) users.push_back(hex_id(user.value));
        return users.dump();
      });
    } else {
      bring(broker::kRevokedBucket, hex_id(change.id), [&] {
        const auto at = accounts.revoked_at(DeviceId(change.id));
        return at ? nlohmann::json{{"at_ms", at->value}}.dump() : std::string();
      });
    }
  }

  void settle(Change change) {
    const auto version = projections.version(change);
    bring(change);
    if (version) projections.settle(change, *version);
  }

  void publish_keys() {
    bring(broker::kMetaBucket, broker::kMetaDirectoryKey,
          [&] { return crypto::to_hex(crypto::view(secrets.signing.public_key)); });
    bring(broker::kMetaBucket, broker::kMetaAddressKey, [&] { return crypto::to_hex(crypto::view(secrets.address)); });
  }

  std::string incarnation() {
    const auto entry = control.get(broker::kMetaBucket, broker::kMetaIncarnation);
    return entry ? entry->value : std::string();
  }

  void bring_everything() {
    publish_keys();
    // A token that has expired needs no revocation any more.
    const std::int64_t token_ms = std::chrono::milliseconds(token_ttl).count();
    Accounts::Revoked after{WallMs{wall_now().value - token_ms}, DeviceId{}};
    for (auto page = accounts.revoked_since(after, kPage); !page.empty() && !is_stopping();
         page = accounts.revoked_since(after, kPage)) {
      for (const auto& revoked : page) bring({ProjectionKind::revoked, revoked.device.value});
      after = page.back();
    }
    UserId last{};
    for (auto page = blocks.blockers(last, kPage); !page.empty() && !is_stopping();
         page = blocks.blockers(last, kPage)) {
      for (const UserId user : page) bring({ProjectionKind::blocks, user.value});
      last = page.back();
    }
  }

  void sweep() {
    for (auto changes = projections.pending(kPage); !changes.empty() && !is_stopping();
         changes = projections.pending(kPage))
      for (const Change change : changes) settle(change);
  }

  void housekeep() {
    const WallMs now = wall_now();
    codes.forget_before(WallMs{now.value - storage::CodePolicy{}.quiet.count()});
    throttles.forget_before(WallMs{now.value - kThrottleMemoryMs});
    lookups.forget_before(now);
    keys.forget_revoked();
  }

  bool is_stopping() {
    const std::lock_guard lock(mutex);
    return stopping;
  }

  void turn() {
    sweep();
    const std::string now_incarnation = incarnation();
    if (now_incarnation != seen_incarnation || steady_now() - full_at >= kFullEvery || full_at == TimePoint{}) {
      bring_everything();
      seen_incarnation = now_incarnation;
      full_at = steady_now();
    }
    if (steady_now() - housekept_at >= kHousekeepEvery || housekept_at == TimePoint{}) {
      housekeep();
      housekept_at = steady_now();
    }
  }

  void run() {
    bool complained = false;
    while (!is_stopping()) {
      try {
        turn();
        if (complained) spdlog::info("projecting works again");
        complained = false;
      } catch (const std::exception& error) {
        failures.Increment();
        if (!complained) spdlog::warn("projecting to the key-value buckets must wait: {}", error.what());
        complained = true;
      }
      std::unique_lock lock(mutex);
      changed.wait_for(lock, kSweepEvery, [&] { return stopping; });
    }
  }

  broker::Control& control;
  const DirectorySecrets& secrets;
  const std::chrono::seconds token_ttl;
  Accounts accounts;
  storage::Blocks blocks;
  storage::Codes codes;
  storage::Keys keys;
  storage::Lookups lookups;
  storage::Throttles throttles;
  storage::Projections projections;
  prometheus::Counter &written, &failures;

  std::string seen_incarnation;  // the thread's own
  TimePoint full_at{}, housekept_at{};

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  std::thread thread;
};

Projector::Projector(broker::Control& control, storage::Pool& pool, const DirectorySecrets& secrets,
                     std::chrono::seconds token_ttl, Observe& observe)
    : impl_(std::make_unique<Impl>(control, pool, secrets, token_ttl, observe)) {}
Projector::~Projector() { stop(); }

void Projector::start() {
  impl_->publish_keys();
  impl_->thread = std::thread([this] { impl_->run(); });
}

void Projector::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void Projector::project(Change change) {
  try {
    impl_->settle(change);
  } catch (const std::exception& error) {
    impl_->failures.Increment();
    spdlog::warn("a change of {} will be projected later: {}", hex_id(change.id), error.what());
  }
}

}  // namespace barid::directory
