#include "workers/directory/group_publisher.h"

#include <charconv>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/observe.h"
#include "base/partition.h"
#include "broker/control.h"
#include "broker/topology.h"
#include "schemas/envelope.h"
#include "workers/directory/group_frames.h"

namespace barid::directory {

using storage::Groups;

struct GroupPublisher::Impl {
  Impl(broker::Control& control_in, storage::Pool& pool, const DirectoryConfig& config, Observe& observe)
      : control(control_in),
        groups(make_groups(pool, config)),
        written(observe.counter("barid_group_events_total", "events of groups brought into the stream")),
        failures(observe.counter("barid_group_event_failures_total", "attempts to bring one that failed")) {}

  std::string meta(const char* key) {
    const auto entry = control.get(broker::kMetaBucket, key);
    if (!entry) throw broker::Error(std::string("the broker has no ") + key + ": its topology is not applied");
    return entry->value;
  }

  // Of the cluster, and never changed.
  std::uint16_t partitions() {
    const std::lock_guard lock(mutex);
    if (partitions_ != 0) return partitions_;
    const std::string text = meta(broker::kMetaPartitions);
    std::uint16_t count = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), count).ec != std::errc() || count == 0)
      throw broker::Error("the broker's number of partitions is not a number");
    return partitions_ = count;
  }

  StreamSeq publish(GroupId group, const Groups::Unpublished& event) {
    const UserId to(group.value);
    envelope::Envelope e;
    e.from_user = to;
    e.from_device = DeviceId(group.value);
    e.seq = event.version;
    e.to_user = to;
    e.accepted_at = event.at;
    e.expires_at = WallMs{event.at.value + std::chrono::milliseconds(kEventTtl).count()};
    e.kind = envelope::Kind::event;
    e.frame = event.frame;
    std::string batch;
    envelope::encode_batch(batch, group.value, event.version, {e});
    return control.publish(broker::fanout_subject(partition_of(to, partitions())), batch,
                           "ge-" + hex_id(group.value) + "-" + std::to_string(event.version));
  }

  void publish(GroupId group) {
    for (auto events = groups.unpublished(group, kPage); !events.empty(); events = groups.unpublished(group, kPage)) {
      const std::string incarnation = meta(broker::kMetaIncarnation);
      for (const auto& event : events) {
        const StreamSeq seq = publish(group, event);
        groups.published(group, event.version, seq, incarnation);
        written.Increment();
      }
    }
  }

  void turn() {
    for (auto changes = groups.device_changes(kPage); !changes.empty() && !is_stopping();
         changes = groups.device_changes(kPage))
      for (const auto& change : changes) {
        groups.tell_device_change(change, wall_now());
        publish(change.group);
      }
    for (auto waiting = groups.with_unpublished(kPage); !waiting.empty() && !is_stopping();
         waiting = groups.with_unpublished(kPage))
      for (const GroupId group : waiting) publish(group);
    if (steady_now() - housekept_at < kHousekeepEvery && housekept_at != TimePoint{}) return;
    groups.forget_before(WallMs{wall_now().value - std::chrono::milliseconds(kEventsKept).count()});
    housekept_at = steady_now();
  }

  bool is_stopping() {
    const std::lock_guard lock(mutex);
    return stopping;
  }

  void run() {
    bool complained = false;
    while (!is_stopping()) {
      try {
        turn();
        if (complained) spdlog::info("events of groups are published again");
        complained = false;
      } catch (const std::exception& error) {
        failures.Increment();
        if (!complained) spdlog::warn("events of groups must wait: {}", error.what());
        complained = true;
      }
      std::unique_lock lock(mutex);
      changed.wait_for(lock, kSweepEvery, [&] { return stopping; });
    }
  }

  broker::Control& control;
  Groups groups;
  prometheus::Counter &written, &failures;
  TimePoint housekept_at{};  // the thread's own

  std::mutex mutex;
  std::condition_variable changed;
  std::uint16_t partitions_ = 0;
  bool stopping = false;
  std::thread thread;
};

GroupPublisher::GroupPublisher(broker::Control& control, storage::Pool& pool, const DirectoryConfig& config,
                               Observe& observe)
    : impl_(std::make_unique<Impl>(control, pool, config, observe)) {}
GroupPublisher::~GroupPublisher() { stop(); }

void GroupPublisher::start() {
  impl_->thread = std::thread([this] { impl_->run(); });
}

void GroupPublisher::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void GroupPublisher::publish(GroupId group) {
  try {
    impl_->publish(group);
  } catch (const std::exception&) {
    impl_->failures.Increment();
    throw;
  }
}

control::GroupSnapshot GroupPublisher::snapshot(const control::GroupSnapshotCall& call) {
  publish(call.group);
  control::GroupSnapshot answer;
  const auto found = impl_->groups.as_of(call.group, call.before_seq, impl_->meta(broker::kMetaIncarnation));
  if (!found) return answer;
  answer.found = true;
  answer.version = found->version;
  answer.only_admins_send = found->only_admins_send;
  for (const auto& m : found->members) {
    answer.members.push_back({m.user, static_cast<wire::GroupRole>(m.role), m.devices});
    auto& devices = answer.members.back().devices;
    if (devices.size() > limits::kDevicesMax) devices.resize(limits::kDevicesMax);
  }
  return answer;
}

}  // namespace barid::directory
