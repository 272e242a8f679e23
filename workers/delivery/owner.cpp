#include "workers/delivery/owner.h"

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/log.h"
#include "base/partition.h"
#include "broker/topology.h"

namespace barid::delivery {

using namespace std::chrono_literals;

namespace {
constexpr milliseconds kTick{500};
constexpr std::uint64_t kTicksPerSweep = 4;  // seldom: the broker keeps in memory what was read lately
constexpr milliseconds kAnnouncementPatience{500};
constexpr std::size_t kSlowShown = 10;
}  // namespace

struct Owner::Metrics {
  explicit Metrics(Observe& o)
      : letters(o.counter("barid_letters_total", "Envelopes taken from the ingress stream")),
        delivered(o.counter("barid_delivered_total", "Frames handed to edges")),
        acknowledged(o.counter("barid_acknowledged_total", "Letters acknowledged by devices")),
        parked(o.counter("barid_parked_total", "Letters parked in inboxes")),
        drained(o.counter("barid_drained_total", "Letters delivered out of inboxes")),
        duplicates(o.counter("barid_duplicates_total", "Repeated messages dropped by owners")),
        expired(o.counter("barid_expired_total", "Letters that expired before delivery")),
        blocked(o.counter("barid_blocked_total", "Letters dropped because the recipient blocks the sender")),
        gone(o.counter("barid_recipient_gone_total", "Letters to revoked devices")),
        buried(o.counter("barid_dead_letters_total", "Letters and batches sent to the dead-letter stream")),
        receipts(o.counter("barid_receipts_total", "Receipt envelopes published")),
        kicked(o.counter("barid_sessions_kicked_total", "Sessions closed by owners")),
        takeovers(o.counter("barid_self_takeovers_total", "Partitions taken over from oneself after doubt")),
        told(o.counter("barid_presence_told_total", "Presence entries sent to edges")),
        typings(o.counter("barid_presence_typing_total", "Typing notes of clients")),
        typings_shed(o.counter("barid_presence_shed_total", "Presence left out", {{"what", "typing"}})),
        watches_refused(o.counter("barid_presence_shed_total", "Presence left out", {{"what", "watch"}})),
        questions(o.counter("barid_presence_questions_total", "Questions to the directory about who sees whom")),
        seen_written(o.counter("barid_last_seen_written_total", "Last-seen times written")),
        sessions(o.gauge("barid_sessions", "Open sessions of owned partitions")),
        hands(o.gauge("barid_batches_in_hand", "Batches not yet settled")),
        watches(o.gauge("barid_presence_watches", "Pairs of watched and watching")),
        partitions(o.gauge("barid_partitions_owned", "Partitions being consumed")),
        handed(o.histogram("barid_stage_seconds", kStageHelp, bounds(), {{"stage", "durable_to_handed"}})),
        acknowledged_after(
            o.histogram("barid_stage_seconds", kStageHelp, bounds(), {{"stage", "handed_to_acknowledged"}})),
        active_users(o.gauge("barid_active_today", kActiveHelp, {{"of", "users"}})),
        active_devices(o.gauge("barid_active_today", kActiveHelp, {{"of", "devices"}})),
        observe(o) {}
  static constexpr const char* kStageHelp = "Time of a stage of a message's way, sampled";
  static constexpr const char* kActiveHelp = "Different ones with a session since midnight UTC, estimated";
  static prometheus::Histogram::BucketBoundaries bounds() {
    return {StageTimes::kBounds.begin(), StageTimes::kBounds.end()};
  }
  prometheus::Counter &letters, &delivered, &acknowledged, &parked, &drained, &duplicates, &expired, &blocked, &gone,
      &buried, &receipts, &kicked, &takeovers, &told, &typings, &typings_shed, &watches_refused, &questions,
      &seen_written;
  prometheus::Gauge &sessions, &hands, &watches, &partitions;
  prometheus::Histogram &handed, &acknowledged_after;
  prometheus::Gauge &active_users, &active_devices;
  Observe& observe;
  struct Lag {
    prometheus::Gauge &batches, &letters;
    bool owned = true;
  };
  std::map<Partition, Lag> lags;

  Lag& lag_of(Partition partition) {
    const auto found = lags.find(partition);
    if (found != lags.end()) return found->second;
    const prometheus::Labels label{{"partition", std::to_string(partition.value)}};
    return lags
        .emplace(partition, Lag{observe.gauge("barid_lag_batches", "Batches of a partition not yet settled", label),
                                observe.gauge("barid_lag_letters", "Letters in hand and not yet settled", label)})
        .first->second;
  }
  // What is not ours any more shows nothing: its new owner counts it.
  void forget_lags_not_owned() {
    for (auto& [partition, lag] : lags)
      if (!std::exchange(lag.owned, false)) lag.batches.Set(0), lag.letters.Set(0);
  }
  std::map<std::pair<Partition, Epoch>, CoreStats> seen;
  std::map<std::pair<Partition, Epoch>, PresenceStats> seen_presence;

  void add(const Owned& owned, const CoreStats& now) {
    CoreStats& before = seen[{owned.partition(), owned.epoch()}];
    letters.Increment(static_cast<double>(now.letters - before.letters));
    delivered.Increment(static_cast<double>(now.delivered - before.delivered));
    acknowledged.Increment(static_cast<double>(now.acknowledged - before.acknowledged));
    parked.Increment(static_cast<double>(now.parked - before.parked));
    drained.Increment(static_cast<double>(now.drained - before.drained));
    duplicates.Increment(static_cast<double>(now.duplicates - before.duplicates));
    expired.Increment(static_cast<double>(now.expired - before.expired));
    blocked.Increment(static_cast<double>(now.blocked - before.blocked));
    gone.Increment(static_cast<double>(now.gone - before.gone));
    buried.Increment(static_cast<double>(now.buried - before.buried));
    receipts.Increment(static_cast<double>(now.receipts - before.receipts));
    kicked.Increment(static_cast<double>(now.kicked - before.kicked));
    before = now;
  }
  void add(const Owned& owned, const PresenceStats& now) {
    PresenceStats& before = seen_presence[{owned.partition(), owned.epoch()}];
    told.Increment(static_cast<double>(now.told - before.told));
    typings.Increment(static_cast<double>(now.typings - before.typings));
    typings_shed.Increment(static_cast<double>(now.typings_shed - before.typings_shed));
    watches_refused.Increment(static_cast<double>(now.watches_refused - before.watches_refused));
    questions.Increment(static_cast<double>(now.questions - before.questions));
    seen_written.Increment(static_cast<double>(now.seen_written - before.seen_written));
    before = now;
  }
};

Owner::Owner(const Config& config, broker::Control& control, broker::HighWater& high_water, Observe& observe)
    : config_(config),
      control_(control),
      high_water_(high_water),
      incarnation_(crypto::random_u64()),
      metrics_(std::make_unique<Metrics>(observe)) {
  link_ = std::make_unique<broker::NatsLink>(loop_, config.nats, config.worker.name,
                                             [this](bool connected) { on_link_state(connected); });
  receipts_ = std::make_unique<ReceiptLanes>(*link_, config.nats.partitions);
  bus_ = std::make_unique<broker::OwnerBus>(
      loop_, config.worker.bus_endpoint,
      [this](std::string_view edge, std::string_view bytes) { on_bus(edge, bytes); });
  link_->subscribe(control::kPresenceChangedSubject, [this](const broker::Message& message) {
    if (std::uint64_t user = 0; parse_hex_id(message.payload, user)) rights_changed(UserId(user));
  });
  observe.page("/slowest", [page = slow_page_] {
    std::lock_guard lock(page->mutex);
    return page->json;
  });
  watch_directory();
  loop_.every(kTick, [this] { on_tick(); });
  loop_.at_turn_end([this] { end_turn(); });
  thread_ = std::thread([this] { loop_.run(); });
  lease_ = std::make_unique<Lease>(
      control, config, incarnation_, broker::Stage::delivery,
      Lease::Hooks{[this](Partition p, Epoch e) {
                     std::promise<std::string> subject;
                     loop_.post([&] {
                       auto& slot = owned_[p];
                       slot =
                           std::make_unique<Owned>(p, e, config_, directory_, *link_, edges_, *receipts_, high_water_,
                                                   [this, p, e](const std::string& why) { doubt(p, e, why); });
                       subject.set_value(slot->deliver_subject());
                     });
                     return subject.get_future().get();
                   },
                   [this](Partition p, Epoch e) {
                     loop_.post([this, p, e] {
                       const auto found = owned_.find(p);
                       if (found != owned_.end() && found->second->epoch() == e)
                         found->second->start_when_announced(loop_.now() + kAnnouncementPatience);
                     });
                   },
                   [this](Partition p, Epoch e) {
                     loop_.post([this, p, e] {
                       const auto found = owned_.find(p);
                       if (found != owned_.end() && found->second->epoch() == e) owned_.erase(found);
                     });
                   }});
}

Owner::~Owner() {
  lease_.reset();
  loop_.stop();
  thread_.join();
}

std::string Owner::missing() const {
  if (!connected_) return "nats-server can't be reached";
  if (!lease_->settled()) return "partitions are being taken over";
  if (consuming_ == 0 && lease_->owned() != 0) return "no partition is being consumed yet";
  return {};
}

// What users blocked and which devices were revoked: watched, never asked for on the message path.
void Owner::watch_directory() {
  control_.watch(broker::kBlocksBucket, [this](const broker::KvEntry& entry) {
    std::uint64_t user = 0;
    if (!parse_hex_id(entry.key, user)) return;
    std::unordered_set<UserId> blocked;
    const auto list = nlohmann::json::parse(entry.deleted ? "[]" : entry.value, nullptr, false);
    if (list.is_array())
      for (const auto& item : list)
        if (std::uint64_t id = 0; item.is_string() && parse_hex_id(item.get<std::string>(), id)) blocked.emplace(id);
    loop_.post([this, user, blocked = std::move(blocked)]() mutable {
      if (blocked.empty())
        directory_.blocked_by.erase(UserId(user));
      else
        directory_.blocked_by[UserId(user)] = std::move(blocked);
      rights_changed(UserId(user));
    });
  });
  control_.watch(broker::kRevokedBucket, [this](const broker::KvEntry& entry) {
    std::uint64_t device = 0;
    if (entry.deleted || !parse_hex_id(entry.key, device)) return;
    loop_.post([this, device] {
      directory_.revoked.emplace(device);
      for (auto& [partition, owned] : owned_) owned->core().on_revoked(DeviceId(device));
    });
  });
}

void Owner::rights_changed(UserId user) {
  for (auto& [partition, owned] : owned_) owned->presence().on_rights_changed(user);
}

Owned* Owner::owned_for(UserId user) {
  const auto found = owned_.find(partition_of(user, config_.nats.partitions));
  return found == owned_.end() ? nullptr : found->second.get();
}

void Owner::on_bus(std::string_view routing_id, std::string_view bytes) {
  const auto message = control::decode_to_owner(bytes);
  if (!message) {
    SPDLOG_ERROR("unreadable message of edge {}", routing_id);
    return;
  }
  const EdgeRef ref = edges_.ref_of(routing_id);
  Edges::Edge& edge = edges_.at(ref);
  if (message->worker != incarnation_) return;  // meant for our predecessor at this endpoint
  edge.heard = loop_.now();
  if (message->number != edge.expected) edge_gone(ref, "messages of it were lost");
  edge.expected = message->number + 1;
  if (edge.gone) {
    SPDLOG_INFO("asking edge {} for its sessions", routing_id);
    edge.gone = false;
    edge.announced.clear();
    edges_.ask_to_announce(ref);  // what it says of sessions that were closed here changes nothing
  }
  for (const auto& open : message->opens)
    if (Owned* owned = owned_for(open.user)) {
      owned->core().on_open(ref, open);
      active_.users.add(open.user.value);
      active_.devices.add(open.device.value);
    }
  for (const auto& ack : message->acks)
    if (Owned* owned = owned_for(ack.user)) owned->core().on_ack(ref, ack, loop_.now());
  for (const auto& close : message->closes)
    if (Owned* owned = owned_for(close.user)) owned->core().on_close(ref, close);
  for (const auto& announced : message->announced) {
    std::erase_if(edge.announced, [&](const auto& old) { return old.partition == announced.partition; });
    edge.announced.push_back(announced);
  }
  for (const auto& watch : message->watches)
    if (const auto owned = owned_.find(watch.partition); owned != owned_.end())
      owned->second->presence().on_watch(ref, watch, loop_.now());
  for (const auto& typing : message->typings) {
    const UserId place = typing.to_group == GroupId() ? typing.user : UserId(typing.to_group.value);
    if (Owned* owned = owned_for(place)) owned->presence().on_typing(typing, loop_.now());
  }
}

void Owner::edge_gone(EdgeRef ref, const char* why) {
  Edges::Edge& edge = edges_.at(ref);
  if (edge.gone) return;
  edge.gone = true;
  SPDLOG_INFO("edge {}: {}; its sessions are closed", edge.routing_id, why);
  for (auto& [partition, owned] : owned_) {
    owned->core().on_edge_gone(ref);
    owned->presence().on_edge_gone(ref);
  }
}

void Owner::doubt(Partition partition, Epoch epoch, const std::string& why) {
  SPDLOG_WARN("partition {}: {}; taking it over from ourselves", partition.value, why);
  metrics_->takeovers.Increment();
  // Not from inside the Owned's own callback.
  loop_.post([this, partition, epoch] {
    const auto found = owned_.find(partition);
    if (found != owned_.end() && found->second->epoch() == epoch) owned_.erase(found);
    lease_->doubt(partition, epoch);
  });
}

void Owner::on_link_state(bool connected) {
  connected_ = connected;
  SPDLOG_WARN("nats-server {}", connected ? "is back" : "is out of reach");
  if (connected) return;
  // Batches and acknowledgements may have been lost on the way: every partition is in doubt.
  for (auto& [partition, owned] : owned_) lease_->doubt(partition, owned->epoch());
  owned_.clear();
}

void Owner::on_tick() {
  ++ticks_;
  for (EdgeRef ref = 0; ref < edges_.size(); ++ref)
    if (!edges_.at(ref).gone && loop_.now() - edges_.at(ref).heard > Edges::kSilenceMax) edge_gone(ref, "silent");
  edges_.heartbeat();
  receipts_->on_tick(loop_.now());
  std::size_t sessions = 0, hands = 0, watches = 0, consuming = 0;
  for (auto& [partition, owned] : owned_) {
    owned->on_tick(loop_.now());
    if (owned->consuming() && ticks_ % kTicksPerSweep == 0) {
      owned->sweep(wall_now());
      owned->look_at_lag();
    }
    Metrics::Lag& lag = metrics_->lag_of(partition);
    lag.owned = true;
    lag.batches.Set(static_cast<double>(owned->lag_batches()));
    lag.letters.Set(static_cast<double>(owned->core().unsettled()));
    owned->core().stages().handed.carry_over(metrics_->handed);
    owned->core().stages().acknowledged.carry_over(metrics_->acknowledged_after);
    metrics_->add(*owned, owned->core().stats());
    metrics_->add(*owned, owned->presence().stats());
    watches += owned->presence().watches();
    sessions += owned->core().sessions();
    hands += owned->core().hands();
    consuming += owned->consuming() ? 1 : 0;
  }
  metrics_->sessions.Set(static_cast<double>(sessions));
  metrics_->hands.Set(static_cast<double>(hands));
  metrics_->watches.Set(static_cast<double>(watches));
  metrics_->partitions.Set(static_cast<double>(consuming));
  metrics_->forget_lags_not_owned();
  if (ticks_ % kTicksPerSweep == 0) {
    look_at_activity();
    look_at_slow_devices();
  }
  consuming_ = consuming;
}

// The devices that let their letters wait for longest, for baridctl top.
void Owner::look_at_slow_devices() {
  std::vector<std::pair<Partition, Core::Slow>> all;
  std::vector<Core::Slow> some;
  for (const auto& [partition, owned] : owned_) {
    some.clear();
    owned->core().slow_devices(loop_.now(), some);
    for (const Core::Slow& slow : some) all.emplace_back(partition, slow);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.second.waited > b.second.waited; });
  auto page = nlohmann::json::array();
  for (std::size_t i = 0; i < std::min(all.size(), kSlowShown); ++i)
    page.push_back({{"device", hex_id(all[i].second.device.value)},
                    {"partition", all[i].first.value},
                    {"in_flight", all[i].second.in_flight},
                    {"waited_ms", all[i].second.waited.count()}});
  std::lock_guard lock(slow_page_->mutex);
  slow_page_->json = page.dump();
}

void Owner::look_at_activity() {
  constexpr std::int64_t kDayMs = 24LL * 3600 * 1000;
  if (const std::int64_t day = wall_now().value / kDayMs; day != active_.day) {
    active_ = {day, Distinct(crypto::random_u64()), Distinct(crypto::random_u64())};
    for (const auto& [partition, owned] : owned_)
      owned->core().each_session([this](UserId user, DeviceId device) {
        active_.users.add(user.value);
        active_.devices.add(device.value);
      });
  }
  metrics_->active_users.Set(active_.users.count());
  metrics_->active_devices.Set(active_.devices.count());
}

void Owner::end_turn() {
  const WallMs wall = wall_now();
  bus_->poll();
  const auto send = [this](EdgeRef ref, const std::string& routing_id, const std::string& bytes) {
    if (bus_->send(routing_id, bytes) != broker::Sent::sent) edge_gone(ref, "unreachable");
  };
  edges_.flush(incarnation_, send);
  std::uint64_t moved = 0;
  for (auto& [partition, owned] : owned_) {
    owned->end_turn(loop_.now(), wall, loop_.under_load());
    loop_.turn_by(owned->core().receipts_due());
    loop_.turn_by(owned->presence().due());
    moved += owned->core().stats().letters + owned->core().stats().acknowledged;
  }
  loop_.moved(moved > moved_ ? moved - moved_ : 0);  // less: a partition has left
  moved_ = moved;
  loop_.turn_by(receipts_->flush(loop_.now()));
  edges_.flush(incarnation_, send);  // what closing an edge's sessions may have caused
  link_->flush();
  link_->expire_requests(loop_.now());
}

}  // namespace barid::delivery
