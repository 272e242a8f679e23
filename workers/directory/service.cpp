#include "workers/directory/service.h"

#include <array>
#include <condition_variable>
#include <map>
#include <mutex>

#include "base/log.h"
#include "base/observe.h"
#include "broker/control.h"
#include "schemas/control.h"
#include "storage/pool.h"
#include "storage/presence.h"
#include "workers/directory/directory.h"
#include "workers/directory/group_publisher.h"
#include "workers/directory/projector.h"

namespace barid::directory {
namespace {

constexpr unsigned kPresenceThreads = 1;  // what they ask for is asked in batches

// In the order of wire::Request::body.
constexpr std::array<const char*, 32> kKinds = {"request_code",
                                                "verify_code",
                                                "lookup",
                                                "block",
                                                "unblock",
                                                "list_blocked",
                                                "list_devices",
                                                "revoke_device",
                                                "devices_of",
                                                "create_group",
                                                "edit_group",
                                                "add_members",
                                                "remove_members",
                                                "set_role",
                                                "leave_group",
                                                "delete_group",
                                                "group_info",
                                                "list_groups",
                                                "group_invite",
                                                "join_by_invite",
                                                "list_join_requests",
                                                "answer_join_request",
                                                "set_privacy",
                                                "get_privacy",
                                                "edit_contacts",
                                                "upload_keys",
                                                "keys_of",
                                                "key_status",
                                                "upload_media",
                                                "download_media",
                                                "delete_media",
                                                "media_usage"};
static_assert(kKinds.size() == std::variant_size_v<decltype(wire::Request::body)>);

std::string outcome_of(const wire::Response& response) {
  const auto* error = std::get_if<wire::Error>(&response.body);
  return error == nullptr ? "ok" : std::string(wire::name_of(error->code));
}

}  // namespace

struct DirectoryService::Impl {
  Impl(broker::Control& control_in, storage::Pool& pool_in, const DirectoryConfig& config,
       const DirectorySecrets& secrets, CodeSender& sender, Observe& observe_in, MediaConfig media)
      : control(control_in),
        pool(pool_in),
        observe(observe_in),
        projector(control, pool, secrets, config.token_ttl, observe),
        publisher(control, pool, config, observe),
        directory(
            pool, config, secrets, sender, [this](storage::Change change) { project(change); },
            [this](GroupId group) { publisher.publish(group); }, &wall_now, std::move(media)),
        connected(observe.gauge("barid_postgres_connections", "Postgres connections by state", {{"state", "open"}})),
        in_use(observe.gauge("barid_postgres_connections", "Postgres connections by state", {{"state", "in_use"}})),
        connect_failures(observe.gauge("barid_postgres_connect_failures", "failed attempts to connect, since start")),
        cut(observe.gauge("barid_postgres_cut", "connections cut because they took too long, since start")) {}

  // What a change means for others, wherever they look.
  void project(storage::Change change) {
    if (change.kind != storage::ProjectionKind::presence) projector.project(change);
    if (change.kind != storage::ProjectionKind::revoked)
      control.tell(control::kPresenceChangedSubject, hex_id(change.id));
  }

  bool enter() {
    const std::lock_guard lock(mutex);
    if (!open) return false;
    ++under_way;
    return true;
  }
  void leave() {
    const std::lock_guard lock(mutex);
    --under_way;
    left.notify_all();
  }
  void close() {
    std::unique_lock lock(mutex);
    open = false;
    left.wait(lock, [&] { return under_way == 0; });
  }

  std::string handle(std::string_view bytes);
  std::string handle_snapshot(std::string_view bytes);
  std::string handle_presence(std::string_view bytes);
  void measure(const control::DirectoryCall& call, const wire::Response& response, TimePoint since);

  broker::Control& control;
  storage::Pool& pool;
  Observe& observe;
  Projector projector;
  GroupPublisher publisher;
  Directory directory;
  prometheus::Gauge &connected, &in_use, &connect_failures, &cut;

  mutable std::mutex mutex;
  std::condition_variable left;
  bool open = false;
  int under_way = 0;
};

std::string DirectoryService::Impl::handle(std::string_view bytes) {
  const TimePoint since = steady_now();
  const auto call = control::decode_directory_call(bytes);
  if (!call) {
    spdlog::warn("a directory call of {} bytes is malformed", bytes.size());
    return control::encode(wire::Response{0, error(wire::Code::malformed, "malformed directory call")});
  }
  if (!enter())
    return control::encode(wire::Response{call->request.id, error(wire::Code::unavailable, "this worker is stopping",
                                                                  std::chrono::milliseconds(kUnavailableRetryMs))});
  const wire::Response response = directory.answer(*call);
  measure(*call, response, since);
  leave();
  return control::encode(response);
}

std::string DirectoryService::Impl::handle_snapshot(std::string_view bytes) {
  control::GroupSnapshot snapshot;
  const auto call = control::decode_group_snapshot_call(bytes);
  if (!call) {
    spdlog::warn("a snapshot call of {} bytes is malformed", bytes.size());
    return control::encode(snapshot);
  }
  snapshot.unavailable = true;
  if (!enter()) return control::encode(snapshot);
  try {
    snapshot = publisher.snapshot(*call);
  } catch (const std::exception& error) {
    spdlog::debug("a snapshot of group {} must wait: {}", hex_id(call->group.value), error.what());
  }
  leave();
  return control::encode(snapshot);
}

// Only what was done is answered: the owner repeats the rest.
std::string DirectoryService::Impl::handle_presence(std::string_view bytes) {
  control::PresenceAnswer answer;
  const auto call = control::decode_presence_call(bytes);
  if (!call) {
    spdlog::warn("a presence call of {} bytes is malformed", bytes.size());
    return control::encode(answer);
  }
  answer.unavailable = true;
  if (!enter()) return control::encode(answer);
  try {
    storage::Presence presence(pool);
    std::vector<storage::Presence::Seen> seen;
    for (const auto& s : call->seen) seen.push_back({s.user, WallMs{s.at_ms}});
    presence.write_last_seen(seen);
    std::vector<storage::Presence::Pair> pairs;
    for (const auto& p : call->pairs) pairs.push_back({p.watched, p.watcher});
    for (const auto& r : presence.rights(pairs))
      answer.rights.push_back({r.blocked, r.online, r.last_seen, r.last_seen_ms});
    answer.unavailable = false;
  } catch (const std::exception& error) {
    spdlog::debug("a presence call must wait: {}", error.what());
  }
  leave();
  return control::encode(answer);
}

void DirectoryService::Impl::measure(const control::DirectoryCall& call, const wire::Response& response,
                                     TimePoint since) {
  const char* kind = kKinds[call.request.body.index()];
  observe
      .counter("barid_directory_requests_total", "directory requests by kind and outcome",
               {{"kind", kind}, {"outcome", outcome_of(response)}})
      .Increment();
  const std::chrono::duration<double> took = steady_now() - since;
  observe
      .histogram("barid_directory_seconds", "time to answer a directory request",
                 {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}, {{"kind", kind}})
      .Observe(took.count());
  const auto stats = pool.stats();
  connected.Set(static_cast<double>(stats.connected));
  in_use.Set(static_cast<double>(stats.in_use));
  connect_failures.Set(static_cast<double>(stats.failures));
  cut.Set(static_cast<double>(stats.cut));
}

DirectoryService::DirectoryService(broker::Control& control, storage::Pool& pool, const DirectoryConfig& config,
                                   const DirectorySecrets& secrets, CodeSender& sender, Observe& observe,
                                   MediaConfig media)
    : impl_(std::make_shared<Impl>(control, pool, config, secrets, sender, observe, std::move(media))) {}

DirectoryService::~DirectoryService() {
  impl_->close();
  impl_->projector.stop();
  impl_->publisher.stop();
}

void DirectoryService::start(unsigned threads) {
  impl_->projector.start();
  impl_->publisher.start();
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->open = true;
  }
  // The subscription lives as long as the Control, so it shares the state behind the gate rather than own
  // `this`.
  impl_->control.serve(control::kDirectorySubject, control::kDirectoryQueue, threads,
                       [impl = impl_](std::string_view bytes) { return impl->handle(bytes); });
  impl_->control.serve(control::kGroupSubject, control::kDirectoryQueue, GroupPublisher::kSnapshotThreads,
                       [impl = impl_](std::string_view bytes) { return impl->handle_snapshot(bytes); });
  impl_->control.serve(control::kPresenceSubject, control::kDirectoryQueue, kPresenceThreads,
                       [impl = impl_](std::string_view bytes) { return impl->handle_presence(bytes); });
}

std::string DirectoryService::not_ready() const {
  if (!impl_->control.connected()) return "the directory has no connection to nats-server";
  try {
    impl_->pool.transact("see whether Postgres answers", [](pqxx::transaction_base&) {});
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

}  // namespace barid::directory
