#include "workers/fanout/fanout.h"

#include <future>

#include "base/crypto.h"
#include "base/log.h"

namespace barid::fanout {

using delivery::Lease;

namespace {
constexpr milliseconds kTick{250};
constexpr std::uint64_t kTicksPerLag = 8;
}  // namespace

struct Fanout::Metrics {
  explicit Metrics(Observe& o)
      : messages(o.counter("barid_fanout_messages_total", "Group messages expanded")),
        events(o.counter("barid_fanout_events_total", "Changes of groups applied and expanded")),
        read_receipts(o.counter("barid_fanout_read_receipts_total", "Read notices of group members gathered")),
        letters(o.counter("barid_fanout_letters_total", "Recipients of expanded group messages and events")),
        envelopes(o.counter("barid_fanout_envelopes_total", "Envelopes published by the fan-out")),
        duplicates(o.counter("barid_fanout_duplicates_total", "Repeated group messages and events dropped")),
        refused(o.counter("barid_fanout_refused_total", "Group messages of senders who may not send")),
        snapshots(o.counter("barid_fanout_snapshots_total", "Snapshots of groups asked for")),
        snapshots_failed(o.counter("barid_fanout_snapshots_failed_total", "Snapshots that did not come")),
        gaps(o.counter("barid_fanout_version_gaps_total", "Events whose predecessor was not seen")),
        unreadable(o.counter("barid_fanout_unreadable_total", "Batches and envelopes of groups that can't be read")),
        takeovers(
            o.counter("barid_fanout_self_takeovers_total", "Group partitions taken over from oneself after doubt")),
        lag(o.gauge("barid_fanout_lag_batches", "Group batches not yet expanded durably, those in the stream too")),
        hands(o.gauge("barid_fanout_batches_in_hand", "Group batches not yet expanded durably")),
        groups(o.gauge("barid_fanout_groups_known", "Groups whose members are remembered")),
        waiting(o.gauge("barid_fanout_groups_waiting", "Groups whose messages wait for a snapshot")),
        partitions(o.gauge("barid_fanout_partitions_owned", "Group partitions being consumed")) {}
  prometheus::Counter &messages, &events, &read_receipts, &letters, &envelopes, &duplicates, &refused, &snapshots,
      &snapshots_failed, &gaps, &unreadable, &takeovers;
  prometheus::Gauge &lag, &hands, &groups, &waiting, &partitions;
  std::map<Partition, std::pair<Epoch, CoreStats>> seen;

  void add(const Owned& owned, const CoreStats& now) {
    auto& [epoch, before] = seen[owned.partition()];
    if (epoch != owned.epoch()) before = CoreStats{};
    epoch = owned.epoch();
    const auto more = [](prometheus::Counter& counter, std::uint64_t now_, std::uint64_t before_) {
      counter.Increment(static_cast<double>(now_ - before_));
    };
    more(messages, now.messages, before.messages);
    more(events, now.events, before.events);
    more(read_receipts, now.read_receipts, before.read_receipts);
    more(letters, now.letters, before.letters);
    more(envelopes, now.envelopes, before.envelopes);
    more(duplicates, now.duplicates, before.duplicates);
    more(refused, now.refused, before.refused);
    more(snapshots, now.snapshots, before.snapshots);
    more(snapshots_failed, now.snapshots_failed, before.snapshots_failed);
    more(gaps, now.gaps, before.gaps);
    more(unreadable, now.unreadable, before.unreadable);
    before = now;
  }
};

Fanout::Fanout(const Config& config, broker::Control& control, Observe& observe)
    : config_(config), incarnation_(crypto::random_u64()), metrics_(std::make_unique<Metrics>(observe)) {
  link_ = std::make_unique<broker::NatsLink>(loop_, config.nats, config.worker.name + "/fanout",
                                             [this](bool connected) { on_link_state(connected); });
  loop_.every(kTick, [this] { on_tick(); });
  loop_.at_turn_end([this] { end_turn(); });
  thread_ = std::thread([this] { loop_.run(); });
  lease_ = std::make_unique<Lease>(control, config, incarnation_, broker::Stage::fanout,
                                   Lease::Hooks{[this](Partition p, Epoch e) {
                                                  std::promise<std::string> subject;
                                                  loop_.post([&] {
                                                    auto& slot = owned_[p];
                                                    slot = std::make_unique<Owned>(
                                                        p, e, config_, *link_,
                                                        [this, p, e](const std::string& why) { doubt(p, e, why); });
                                                    subject.set_value(slot->deliver_subject());
                                                  });
                                                  return subject.get_future().get();
                                                },
                                                [this](Partition p, Epoch e) {
                                                  loop_.post([this, p, e] {
                                                    if (Owned* owned = find(p, e)) owned->start();
                                                  });
                                                },
                                                [this](Partition p, Epoch e) {
                                                  loop_.post([this, p, e] {
                                                    if (find(p, e) != nullptr) owned_.erase(p);
                                                  });
                                                }});
}

Fanout::~Fanout() {
  lease_.reset();
  loop_.stop();
  thread_.join();
}

std::string Fanout::missing() const {
  if (!connected_) return "nats-server can't be reached";
  if (!lease_->settled()) return "group partitions are being taken over";
  if (consuming_ == 0 && lease_->owned() != 0) return "no group partition is being consumed yet";
  return {};
}

Owned* Fanout::find(Partition partition, Epoch epoch) {
  const auto found = owned_.find(partition);
  return found != owned_.end() && found->second->epoch() == epoch ? found->second.get() : nullptr;
}

void Fanout::doubt(Partition partition, Epoch epoch, const std::string& why) {
  SPDLOG_WARN("group partition {}: {}; taking it over from ourselves", partition.value, why);
  metrics_->takeovers.Increment();
  // Not from inside the Owned's own callback.
  loop_.post([this, partition, epoch] {
    if (find(partition, epoch) != nullptr) owned_.erase(partition);
    lease_->doubt(partition, epoch);
  });
}

void Fanout::on_link_state(bool connected) {
  connected_ = connected;
  SPDLOG_WARN("fan-out: nats-server {}", connected ? "is back" : "is out of reach");
  if (connected) return;
  // Batches and acknowledgements may have been lost on the way: every partition is in doubt.
  for (auto& [partition, owned] : owned_) lease_->doubt(partition, owned->epoch());
  owned_.clear();
}

void Fanout::on_tick() {
  ++ticks_;
  std::size_t hands = 0, groups = 0, waiting = 0, consuming = 0;
  std::uint64_t lag = 0;
  for (auto& [partition, owned] : owned_) {
    owned->on_tick(loop_.now());
    metrics_->add(*owned, owned->core().stats());
    if (ticks_ % kTicksPerLag == 0) owned->look_at_lag();
    lag += owned->lag_batches();
    hands += owned->core().hands();
    groups += owned->core().groups();
    waiting += owned->core().waiting_groups();
    consuming += owned->consuming() ? 1 : 0;
  }
  metrics_->lag.Set(static_cast<double>(lag));
  metrics_->hands.Set(static_cast<double>(hands));
  metrics_->groups.Set(static_cast<double>(groups));
  metrics_->waiting.Set(static_cast<double>(waiting));
  metrics_->partitions.Set(static_cast<double>(consuming));
  consuming_ = consuming;
}

void Fanout::end_turn() {
  const WallMs wall = wall_now();
  std::uint64_t moved = 0;
  for (auto& [partition, owned] : owned_) {
    loop_.turn_by(owned->end_turn(loop_.now(), wall));
    const CoreStats& stats = owned->core().stats();
    moved += stats.messages + stats.read_receipts + stats.envelopes;
  }
  loop_.moved(moved > moved_ ? moved - moved_ : 0);  // less: a partition has left
  moved_ = moved;
  link_->flush();
  link_->expire_requests(loop_.now());
}

}  // namespace barid::fanout
