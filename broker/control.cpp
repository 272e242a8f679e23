#include "broker/control.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "broker/nats_handles.h"

namespace barid::broker {
namespace {
constexpr int kCallMs = static_cast<int>(Control::kCallTimeout.count());
constexpr int kWatchWaitMs = 250;

KvEntry entry_of(const char* bucket, kvEntry* e) {
  KvEntry entry;
  entry.bucket = bucket;
  entry.key = kvEntry_Key(e);
  entry.value = {static_cast<const char*>(kvEntry_Value(e)), static_cast<std::size_t>(kvEntry_ValueLen(e))};
  entry.revision = kvEntry_Revision(e);
  entry.deleted = kvEntry_Operation(e) != kvOp_Put;
  return entry;
}

std::string in(const char* bucket, std::string_view key) { return std::string(bucket) + "/" + std::string(key); }
}  // namespace

struct Control::Impl {
  NatsConnection connection;
  NatsJs js;
  std::mutex mutex;  // guards buckets
  std::map<std::string, NatsKv> buckets;
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> reconnects{0};
  std::vector<std::thread> watchers;
  struct Served {
    NatsSubscription subscription;
    std::function<std::string(std::string_view)> handle;
    std::mutex mutex;
    std::condition_variable complete;
    bool done = false;
  };
  std::vector<std::unique_ptr<Served>> served;

  kvStore* bucket(const char* name) {
    std::lock_guard lock(mutex);
    auto& slot = buckets[name];
    if (!slot) {
      kvStore* raw = nullptr;
      check(js_KeyValue(&raw, js.get(), name), std::string("bucket ") + name);
      slot.reset(raw);
    }
    return slot.get();
  }

  void watch_once(const char* name, const std::function<void(const KvEntry&)>& on_entry) {
    const std::uint64_t generation = reconnects;
    kvWatcher* raw = nullptr;
    check(kvStore_WatchAll(&raw, bucket(name), nullptr), std::string("watch ") + name);
    const NatsKvWatcher watcher(raw);
    while (!stopping && reconnects == generation) {
      kvEntry* entry = nullptr;
      const natsStatus status = kvWatcher_Next(&entry, raw, kWatchWaitMs);
      if (status == NATS_TIMEOUT) continue;
      check(status, std::string("watch ") + name);
      const NatsKvEntry owned(entry);
      if (entry == nullptr) {
        KvEntry all_seen;
        all_seen.bucket = name;
        all_seen.deleted = true;
        on_entry(all_seen);
      } else {
        on_entry(entry_of(name, entry));
      }
    }
    kvWatcher_Stop(raw);
  }

  static void on_reconnected(natsConnection*, void* self) { ++static_cast<Impl*>(self)->reconnects; }
  static void on_request(natsConnection* connection, natsSubscription*, natsMsg* raw, void* closure) {
    const NatsMsg msg(raw);
    auto* served = static_cast<Served*>(closure);
    const char* reply = natsMsg_GetReply(raw);
    if (reply == nullptr) return;
    std::string answer;
    try {
      answer = served->handle({natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw))});
    } catch (const std::exception& error) {
      SPDLOG_ERROR("serving a request failed: {}", error.what());
      return;  // the caller times out and asks again
    }
    natsConnection_Publish(connection, reply, answer.data(), static_cast<int>(answer.size()));
  }
  static void on_complete(void* closure) {
    auto* served = static_cast<Served*>(closure);
    std::lock_guard lock(served->mutex);
    served->done = true;
    served->complete.notify_all();
  }
};

Control::Control(const NatsConfig& config, const std::string& name, std::chrono::seconds patience)
    : impl_(std::make_unique<Impl>()) {
  NatsOptions options = make_options(config, name + " control");
  check(natsOptions_SetReconnectedCB(options.get(), &Impl::on_reconnected, impl_.get()), "NATS callback");
  const TimePoint until = steady_now() + patience;
  natsConnection* raw = nullptr;
  natsStatus status = natsConnection_Connect(&raw, options.get());
  while (status != NATS_OK && steady_now() < until) {
    std::this_thread::sleep_for(milliseconds(100));
    status = natsConnection_Connect(&raw, options.get());
  }
  check(status, "cannot reach nats-server at " + masked_url(config.url));
  impl_->connection.reset(raw);
  jsOptions js_options;
  jsOptions_Init(&js_options);
  js_options.Wait = kCallMs;
  jsCtx* js = nullptr;
  check(natsConnection_JetStream(&js, raw, &js_options), "JetStream");
  impl_->js.reset(js);
}

Control::~Control() {
  impl_->stopping = true;
  for (auto& served : impl_->served) {
    natsSubscription_Unsubscribe(served->subscription.get());
    std::unique_lock lock(served->mutex);
    served->complete.wait_for(lock, std::chrono::seconds(10), [&] { return served->done; });
  }
  for (auto& watcher : impl_->watchers) watcher.join();
  impl_->buckets.clear();
  impl_->js.reset();
  natsConnection_Close(impl_->connection.get());
}

bool Control::connected() const { return natsConnection_Status(impl_->connection.get()) == NATS_CONN_STATUS_CONNECTED; }

std::uint64_t Control::reconnects() const { return impl_->reconnects; }

std::optional<KvEntry> Control::get(const char* bucket, std::string_view key) {
  kvEntry* raw = nullptr;
  const natsStatus status = kvStore_Get(&raw, impl_->bucket(bucket), std::string(key).c_str());
  if (status == NATS_NOT_FOUND) return std::nullopt;
  check(status, "read " + in(bucket, key));
  const NatsKvEntry entry(raw);
  return entry_of(bucket, raw);
}

std::uint64_t Control::put(const char* bucket, std::string_view key, std::string_view value) {
  std::uint64_t revision = 0;
  check(kvStore_Put(&revision, impl_->bucket(bucket), std::string(key).c_str(), value.data(),
                    static_cast<int>(value.size())),
        "write " + in(bucket, key));
  return revision;
}

std::optional<std::uint64_t> Control::put_if(const char* bucket, std::string_view key, std::string_view value,
                                             std::uint64_t revision) {
  std::uint64_t next = 0;
  const std::string name(key);
  const auto size = static_cast<int>(value.size());
  const natsStatus status =
      revision == 0 ? kvStore_Create(&next, impl_->bucket(bucket), name.c_str(), value.data(), size)
                    : kvStore_Update(&next, impl_->bucket(bucket), name.c_str(), value.data(), size, revision);
  if (status == NATS_OK) return next;
  // 10071: wrong last sequence. The library reports it as a plain error with that text.
  const char* last = nats_GetLastError(nullptr);
  if (status == NATS_ERR && last != nullptr &&
      std::string_view(last).find("wrong last sequence") != std::string_view::npos)
    return std::nullopt;
  throw Error("compare-and-swap " + in(bucket, key) + ": " + natsStatus_GetText(status));
}

void Control::remove(const char* bucket, std::string_view key) {
  check(kvStore_Delete(impl_->bucket(bucket), std::string(key).c_str()), "delete " + in(bucket, key));
}

std::vector<std::string> Control::keys(const char* bucket) {
  kvKeysList list{};
  const natsStatus status = kvStore_Keys(&list, impl_->bucket(bucket), nullptr);
  if (status == NATS_NOT_FOUND) return {};
  check(status, std::string("list ") + bucket);
  std::vector<std::string> keys(list.Keys, list.Keys + list.Count);
  kvKeysList_Destroy(&list);
  return keys;
}

void Control::watch(const char* bucket, std::function<void(const KvEntry&)> on_entry) {
  impl_->watchers.emplace_back([impl = impl_.get(), bucket, on_entry = std::move(on_entry)] {
    while (!impl->stopping) {
      try {
        impl->watch_once(bucket, on_entry);
      } catch (const Error& error) {
        SPDLOG_WARN("{}; watching again", error.what());
        for (int i = 0; i < 5 && !impl->stopping; ++i) std::this_thread::sleep_for(milliseconds(100));
      }
    }
  });
}

std::optional<std::string> Control::request(const std::string& subject, std::string_view body,
                                            std::chrono::milliseconds timeout) {
  natsMsg* raw = nullptr;
  const natsStatus status = natsConnection_Request(&raw, impl_->connection.get(), subject.c_str(), body.data(),
                                                   static_cast<int>(body.size()), timeout.count());
  if (status == NATS_TIMEOUT || status == NATS_NO_RESPONDERS) return std::nullopt;
  check(status, "request " + subject);
  const NatsMsg msg(raw);
  return std::string(natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw)));
}

StreamSeq Control::publish(const std::string& subject, std::string_view payload, const std::string& message_id) {
  if (!connected()) throw Error("publish to " + subject + ": nats-server can't be reached");
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = kCallTimeout.count();
  options.MsgId = message_id.c_str();
  jsPubAck* raw = nullptr;
  check(js_Publish(&raw, impl_->js.get(), subject.c_str(), payload.data(), static_cast<int>(payload.size()), &options,
                   nullptr),
        "publish to " + subject);
  const NatsPubAck ack(raw);
  return StreamSeq(ack->Sequence);
}

void Control::tell(const std::string& subject, std::string_view payload) {
  const natsStatus status = natsConnection_Publish(impl_->connection.get(), subject.c_str(), payload.data(),
                                                   static_cast<int>(payload.size()));
  if (status != NATS_OK) SPDLOG_DEBUG("{} was not told: {}", subject, natsStatus_GetText(status));
}

std::string Control::js_api(const std::string& subject, const std::string& body) {
  auto reply = request("$JS.API." + subject, body, kCallTimeout);
  if (!reply) throw Error("JetStream does not answer " + subject);
  return std::move(*reply);
}

void Control::serve(const std::string& subject, const std::string& queue, unsigned threads,
                    std::function<std::string(std::string_view)> handle) {
  for (unsigned i = 0; i < threads; ++i) {
    auto served = std::make_unique<Impl::Served>();
    served->handle = handle;
    natsSubscription* raw = nullptr;
    check(natsConnection_QueueSubscribe(&raw, impl_->connection.get(), subject.c_str(), queue.c_str(),
                                        &Impl::on_request, served.get()),
          "serve " + subject);
    served->subscription.reset(raw);
    check(natsSubscription_SetOnCompleteCB(raw, &Impl::on_complete, served.get()), "serve " + subject);
    impl_->served.push_back(std::move(served));
  }
}

}  // namespace barid::broker
