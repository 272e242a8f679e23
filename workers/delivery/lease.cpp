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

std::string heartbeat_json(Incarnation incarnation, const std::string& endpoint, std::uint64_t beat, bool leaving) {
  json j{{"incarnation", hex_id(incarnation.value)}, {"endpoint", endpoint}, {"beat", beat}};
  if (leaving) j["leaving"] = true;
  return j.dump();
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
  watch(broker::kWorkersBucket, &Lease::hear_of_peer);
  watch(broker::kOwnersBucket, &Lease::hear_of_seat);
  watch(broker::kMetaBucket, &Lease::hear_of_incarnation);
  thread_ = std::thread([this] { run(); });
}

void Lease::watch(const char* bucket, void (Lease::*hear)(const broker::KvEntry&)) {
  control_.watch(bucket, [watching = watching_, hear](const broker::KvEntry& entry) {
    const std::lock_guard lock(watching->mutex);
    if (watching->lease != nullptr) (watching->lease->*hear)(entry);
  });
}

void Lease::hear_of_peer(const broker::KvEntry& entry) {
  std::lock_guard lock(mutex_);
  if (entry.key.empty()) {
    peers_known_ = changed_ = true;
    wake_.notify_all();
    return;
  }
  const auto worker = broker::worker_of_key(entry.key, stage_);
  if (!worker || worker->empty()) return;
  if (entry.deleted) {
    changed_ = peers_.erase(*worker) != 0 || changed_;
  } else {
    const json j = json::parse(entry.value, nullptr, false);
    const Peer peer{steady_now(), j.is_object() && j.value("leaving", false)};
    const auto [at, is_new] = peers_.try_emplace(*worker, peer);
    changed_ = changed_ || is_new || at->second.leaving != peer.leaving;
    at->second = peer;
  }
  if (changed_) wake_.notify_all();
}

// Other streams, or some that lost messages: nothing that an owner remembers of them is true any more.
void Lease::hear_of_incarnation(const broker::KvEntry& entry) {
  if (entry.key != broker::kMetaIncarnation || entry.deleted) return;
  std::lock_guard lock(mutex_);
  if (!incarnation_seen_.empty() && incarnation_seen_ != entry.value) {
    all_doubted_ = changed_ = true;
    settled_ = false;
    wake_.notify_all();
  }
  incarnation_seen_ = entry.value;
}

void Lease::hear_of_seat(const broker::KvEntry& entry) {
  std::lock_guard lock(mutex_);
  if (entry.key.empty()) {
    seats_known_ = changed_ = true;
  } else {
    if (!broker::is_owner_key(entry.key, stage_)) return;
    Partition partition;
    try {
      partition = broker::partition_of_owner_key(entry.key);
    } catch (const Error& error) {
      SPDLOG_WARN("{}: {}", broker::kOwnersBucket, error.what());
      return;
    }
    const json j = json::parse(entry.deleted ? "{}" : entry.value, nullptr, false);
    if (!j.is_object()) return;
    seats_[partition] = {j.value("worker", ""), Epoch(j.value("epoch", std::uint64_t{0})), j.value("released", false),
                         entry.revision};
    changed_ = true;
  }
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

void Lease::drain(milliseconds over) {
  std::lock_guard lock(mutex_);
  leaving_ = true;
  hand_every_ = over / std::max<std::size_t>(1, owned_count_);
  changed_ = true;
  wake_.notify_all();
}

bool Lease::has_successor() {
  const Live live = live_workers();
  return std::any_of(live.candidates.begin(), live.candidates.end(),
                     [&](const std::string& worker) { return worker != config_.worker.name; });
}

void Lease::run() {
  TimePoint next_beat{};
  bool told_leaving = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kReviewEvery, [this] { return stop_ || changed_ || !doubted_.empty(); });
      if (stop_) break;
      changed_ = false;
      if (!peers_known_ || !seats_known_) continue;  // or we would take what others own
    }
    try {
      if (steady_now() >= next_beat || told_leaving != leaving_) {
        told_leaving = leaving_;
        beat();
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
    leaving_ = true;
    beat();  // first: others take each as soon as it is released
    for (const auto& [partition, epoch] : std::map(owned_)) release(partition);
    control_.remove(broker::kWorkersBucket, broker::worker_key(config_.worker.name, stage_));
  } catch (const std::exception& error) {
    SPDLOG_WARN("partitions not released: {}; they will be taken over when the lease is over", error.what());
  }
}

void Lease::beat() {
  control_.put(broker::kWorkersBucket, broker::worker_key(config_.worker.name, stage_),
               heartbeat_json(incarnation_, config_.worker.bus_endpoint, ++beats_, leaving_));
}

Lease::Live Lease::live_workers() {
  Live live{{config_.worker.name}, {}};
  if (!leaving_) live.candidates.push_back(config_.worker.name);
  std::lock_guard lock(mutex_);
  for (const auto& [name, peer] : peers_) {
    if (name == config_.worker.name || steady_now() - peer.heard >= config_.worker.lease) continue;
    live.all.push_back(name);
    if (!peer.leaving) live.candidates.push_back(name);
  }
  if (live.candidates.empty()) live.candidates = live.all;
  return live;
}

// Rendezvous hashing (Thaler, Ravishankar 1998): the live worker with the highest score for this partition.
bool Lease::should_own(Partition partition, const Live& live) const {
  const auto score = [&](const std::string& worker) {
    return XXH3_64bits_withSeed(worker.data(), worker.size(), partition.value);
  };
  const auto best = std::max_element(live.candidates.begin(), live.candidates.end(),
                                     [&](const auto& a, const auto& b) { return score(a) < score(b); });
  return *best == config_.worker.name;
}

// As the bucket was last heard: spares asking it again and again for what another will release.
bool Lease::lives_elsewhere(Partition partition, const Live& live) {
  std::lock_guard lock(mutex_);
  const auto seat = seats_.find(partition);
  return seat != seats_.end() && !seat->second.released && seat->second.worker != config_.worker.name &&
         std::find(live.all.begin(), live.all.end(), seat->second.worker) != live.all.end();
}

void Lease::review() {
  std::map<Partition, Epoch> given_up;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [partition, epoch] : doubted_) {
      const auto found = owned_.find(partition);
      if (found != owned_.end() && found->second == epoch) owned_.erase(found);
    }
    doubted_.clear();
    if (std::exchange(all_doubted_, false)) given_up = std::exchange(owned_, {});
    std::erase_if(handing_, [&](const auto& handed) {
      const auto seat = seats_.find(handed.first);
      return (seat != seats_.end() && seat->second.worker != config_.worker.name) ||
             steady_now() >= handed.second + kHandOverPatience;
    });
  }
  for (const auto& [partition, epoch] : given_up) hooks_.drop(partition, epoch);
  forget_what_was_taken();
  const Live live = live_workers();
  bool all = true;
  for (std::uint16_t p = 0; p < config_.nats.partitions; ++p) {
    const Partition partition(p);
    const bool ours = owned_.contains(partition);
    const bool wanted = should_own(partition, live);
    if (ours && !wanted) hand_over(partition);
    if (!ours && wanted && !lives_elsewhere(partition, live)) take_over(partition, live);
    all = all && (!wanted || owned_.contains(partition));
  }
  owned_count_ = owned_.size();
  std::lock_guard lock(mutex_);
  settled_ = all && !all_doubted_ && doubted_.empty();
}

// We were silent for so long that another took over: what we hold of that partition is void.
void Lease::forget_what_was_taken() {
  std::vector<std::pair<Partition, Epoch>> taken;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [partition, epoch] : owned_)
      if (const auto seat = seats_.find(partition); seat != seats_.end() && seat->second.epoch > epoch)
        taken.emplace_back(partition, epoch);
  }
  for (const auto& [partition, epoch] : taken) {
    SPDLOG_WARN("partition {}: another has taken it from us", broker::owner_key(partition, stage_));
    owned_.erase(partition);
    hooks_.drop(partition, epoch);
  }
}

void Lease::hand_over(Partition partition) {
  const TimePoint now = steady_now();
  if (handing_.size() >= kHandedTogether || now < next_hand_) return;  // seen again at the next review
  release(partition);
  handing_[partition] = now;
  const std::lock_guard lock(mutex_);
  next_hand_ = now + hand_every_;
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

void Lease::take_over(Partition partition, const Live& live) {
  const auto entry = read_entry(partition);
  if (entry && !entry->released && entry->worker != config_.worker.name &&
      std::find(live.all.begin(), live.all.end(), entry->worker) != live.all.end())
    return;  // its owner lives and will release it
  // At least the clock's seconds: above what edges have seen even when the broker has forgotten its epochs.
  const auto clock = static_cast<std::uint64_t>(std::max<std::int64_t>(0, wall_now().value / 1000));
  const Epoch epoch(std::max({entry ? entry->epoch.value + 1 : 1, highest_[partition].value + 1, clock}));
  highest_[partition] = epoch;
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
