#include "workers/delivery/lease.h"

#include <xxhash.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "broker/topology.h"

namespace barid::delivery {

using broker::Error;
using nlohmann::json;

namespace {
constexpr milliseconds kReviewEvery{250};
constexpr int kConsumerTries = 20;
constexpr int kFilterTaken = 10100;               // another consumer with this filter lives on the work queue
constexpr auto kAckWait = std::chrono::hours(1);  // never relied on: doubt means takeover, not redelivery

std::string heartbeat_json(Incarnation incarnation, const std::string& endpoint, std::uint64_t beat) {
  return json{{"incarnation", hex_id(incarnation.value)}, {"endpoint", endpoint}, {"beat", beat}}.dump();
}
}  // namespace

Lease::Lease(broker::Control& control, const Config& config, Incarnation incarnation, broker::Stage stage, Hooks hooks)
    : control_(control),
      config_(config),
      incarnation_(incarnation),
      stage_(stage),
      hooks_(std::move(hooks)),
      watching_(std::make_shared<Watching>()) {
  watching_->lease = this;
  control_.watch(broker::kWorkersBucket, [watching = watching_](const broker::KvEntry& entry) {
    const std::lock_guard lock(watching->mutex);
    if (watching->lease != nullptr) watching->lease->heard(entry);
  });
  thread_ = std::thread([this] { run(); });
}

void Lease::heard(const broker::KvEntry& entry) {
  const auto worker = broker::worker_of_key(entry.key, stage_);
  if (!worker || worker->empty()) return;
  std::lock_guard lock(mutex_);
  if (entry.deleted)
    last_beat_.erase(*worker);
  else
    last_beat_[*worker] = steady_now();
  wake_.notify_all();
}

Lease::~Lease() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_all();
  }
  thread_.join();
  const std::lock_guard lock(watching_->mutex);
  watching_->lease = nullptr;
}

void Lease::doubt(Partition partition, Epoch epoch) {
  std::lock_guard lock(mutex_);
  doubted_.emplace(partition, epoch);
  settled_ = false;
  wake_.notify_all();
}

void Lease::run() {
  TimePoint next_beat{};
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kReviewEvery, [this] { return stop_ || !doubted_.empty(); });
      if (stop_) break;
    }
    try {
      if (steady_now() >= next_beat) {
        beat();
        check_owned();
        next_beat = steady_now() + config_.worker.lease / 3;
      }
      review();
    } catch (const std::exception& error) {
      settled_ = false;
      SPDLOG_WARN("partitions: {}; trying again", error.what());
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kReviewEvery, [this] { return stop_; });
    }
  }
  try {
    for (const auto& [partition, epoch] : std::map(owned_)) release(partition);
    control_.remove(broker::kWorkersBucket, broker::worker_key(config_.worker.name, stage_));
  } catch (const std::exception& error) {
    SPDLOG_WARN("partitions not released: {}; they will be taken over when the lease is over", error.what());
  }
}

void Lease::beat() {
  control_.put(broker::kWorkersBucket, broker::worker_key(config_.worker.name, stage_),
               heartbeat_json(incarnation_, config_.worker.bus_endpoint, ++beats_));
}

// Whoever was silent for too long (frozen, cut off) comes back believing in partitions that another worker took over
// meanwhile, and has perhaps given back since.
void Lease::check_owned() {
  for (const auto& [partition, epoch] : std::map(owned_)) {
    const auto entry = read_entry(partition);
    if (entry && entry->worker == config_.worker.name && entry->epoch == epoch && !entry->released) continue;
    SPDLOG_WARN("partition {}: lost, epoch {}", broker::owner_key(partition, stage_), epoch.value);
    owned_.erase(partition);
    hooks_.drop(partition, epoch);
  }
}

std::vector<std::string> Lease::live_workers() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> live{config_.worker.name};
  for (const auto& [name, at] : last_beat_)
    if (name != config_.worker.name && steady_now() - at < config_.worker.lease) live.push_back(name);
  return live;
}

// Rendezvous hashing (Thaler, Ravishankar 1998): the live worker with the highest score for this partition.
bool Lease::should_own(Partition partition, const std::vector<std::string>& live) const {
  const auto score = [&](const std::string& worker) {
    return XXH3_64bits_withSeed(worker.data(), worker.size(), partition.value);
  };
  return std::all_of(live.begin(), live.end(), [&](const std::string& other) {
    return other == config_.worker.name || score(config_.worker.name) > score(other);
  });
}

void Lease::review() {
  {
    std::lock_guard lock(mutex_);
    for (const auto& [partition, epoch] : doubted_) {
      const auto found = owned_.find(partition);
      if (found != owned_.end() && found->second == epoch) owned_.erase(found);
    }
    doubted_.clear();
  }
  const auto live = live_workers();
  bool all = true;
  for (std::uint16_t p = 0; p < config_.nats.partitions; ++p) {
    const Partition partition(p);
    const bool ours = owned_.contains(partition);
    const bool wanted = should_own(partition, live);
    if (ours && !wanted) release(partition);
    if (!ours && wanted) {
      take_over(partition, live);
      all = all && owned_.contains(partition);
    }
  }
  std::lock_guard lock(mutex_);
  settled_ = all && doubted_.empty();
}

std::optional<Lease::Entry> Lease::read_entry(Partition partition) {
  const auto entry = control_.get(broker::kOwnersBucket, broker::owner_key(partition, stage_));
  if (!entry) return std::nullopt;
  const json j = json::parse(entry->value, nullptr, false);
  if (!j.is_object()) throw Error("unreadable owner of partition " + broker::owner_key(partition, stage_));
  return Entry{j.value("worker", ""), Epoch(j.value("epoch", std::uint64_t{0})), j.value("released", false),
               entry->revision};
}

std::string Lease::entry_json(Epoch epoch, bool released) const {
  json j{{"worker", config_.worker.name},
         {"incarnation", hex_id(incarnation_.value)},
         {"epoch", epoch.value},
         {"endpoint", config_.worker.bus_endpoint}};
  if (released) j["released"] = true;
  return j.dump();
}

void Lease::take_over(Partition partition, const std::vector<std::string>& live) {
  const auto entry = read_entry(partition);
  if (entry && !entry->released && entry->worker != config_.worker.name &&
      std::find(live.begin(), live.end(), entry->worker) != live.end())
    return;  // its owner lives and will release it
  const Epoch epoch((entry ? entry->epoch.value : 0) + 1);
  const std::string deliver_subject = hooks_.prepare(partition, epoch);
  if (!control_.put_if(broker::kOwnersBucket, broker::owner_key(partition, stage_), entry_json(epoch, false),
                       entry ? entry->revision : 0)) {
    hooks_.drop(partition, epoch);
    return;
  }
  try {
    make_consumer(partition, epoch, deliver_subject);
  } catch (...) {
    hooks_.drop(partition, epoch);
    throw;
  }
  owned_[partition] = epoch;
  hooks_.start(partition, epoch);
  SPDLOG_INFO("partition {}: taken over, epoch {}", broker::owner_key(partition, stage_), epoch.value);
}

void Lease::make_consumer(Partition partition, Epoch epoch, const std::string& deliver_subject) {
  const std::string stream = broker::source_stream(partition, stage_);
  const std::string name = broker::consumer_name(partition, epoch, stage_);
  const json request{{"stream_name", stream},
                     {"config",
                      {{"durable_name", name},
                       {"deliver_subject", deliver_subject},
                       {"deliver_policy", "all"},
                       {"ack_policy", "explicit"},
                       {"ack_wait", std::chrono::nanoseconds(kAckWait).count()},
                       {"max_ack_pending", stage_ == broker::Stage::fanout ? kFanoutHandsMax : kHandsMax},
                       {"max_deliver", -1},
                       {"filter_subject", broker::source_subject(partition, stage_)},
                       {"replay_policy", "instant"}}}};
  const std::string prefix = broker::consumer_prefix(partition, stage_);
  for (int i = 0; i < kConsumerTries; ++i) {
    const json names = json::parse(control_.js_api("CONSUMER.NAMES." + stream, ""));
    for (const auto& other : names.value("consumers", json::array()))
      if (other.get<std::string>().starts_with(prefix) && other != name)
        control_.js_api("CONSUMER.DELETE." + stream + "." + other.get<std::string>(), "");
    const json reply = json::parse(control_.js_api("CONSUMER.DURABLE.CREATE." + stream + "." + name, request.dump()));
    if (!reply.contains("error")) return;
    if (reply["error"].value("err_code", 0) != kFilterTaken)
      throw Error("consumer " + name + ": " + reply["error"].value("description", "unknown error"));
  }
  throw Error("consumer " + name + ": another consumer holds the partition");
}

void Lease::release(Partition partition) {
  const Epoch epoch = owned_.at(partition);
  owned_.erase(partition);
  hooks_.drop(partition, epoch);
  const auto entry = read_entry(partition);
  if (entry && entry->worker == config_.worker.name && entry->epoch == epoch)
    control_.put_if(broker::kOwnersBucket, broker::owner_key(partition, stage_), entry_json(epoch, true),
                    entry->revision);
  SPDLOG_INFO("partition {}: released, epoch {}", broker::owner_key(partition, stage_), epoch.value);
}

}  // namespace barid::delivery
