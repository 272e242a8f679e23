#include "edge/edge_app.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <future>

#include "base/log.h"
#include "broker/topology.h"

namespace barid::edge {
namespace {

constexpr milliseconds kRetry{1'000}, kTurn{250};
constexpr seconds kLookAtStreamsEvery{1};
constexpr seconds kConnectPatience{2};

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);  // does not stop: asks to read the certificate again
  return signals;
}

template <std::size_t N>
bool read_key(const std::optional<broker::KvEntry>& entry, std::array<std::uint8_t, N>& out) {
  std::string bytes;
  if (!entry || !crypto::from_hex(entry->value, bytes) || bytes.size() != N) return false;
  std::memcpy(out.data(), bytes.data(), N);
  return true;
}

}  // namespace

EdgeApp::EdgeApp(Config config, bool share_ports)
    : config_(std::move(config)), share_ports_(share_ports), gate_(config_.edge) {}
EdgeApp::~EdgeApp() = default;

int EdgeApp::run() {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  raise_descriptor_limit();
  auto& listeners = config_.edge.listeners;
  if (listeners.empty()) throw std::runtime_error("the configuration has no [[edge.listeners]]: nothing to listen on");
  for (ListenerConfig& listener : listeners) listener.port = free_port_for(listener, share_ports_);
  if (std::any_of(listeners.begin(), listeners.end(), [](const auto& l) { return l.tls; }))
    tls_ = std::make_unique<TlsContext>(config_.edge.tls_certificate_file, config_.edge.tls_key_file,
                                        config_.edge.tls_min_version == "1.2" ? TlsMinimum::tls12 : TlsMinimum::tls13);
  observe_ = std::make_unique<Observe>("barid-edge", config_.edge.observe_port, [this] { return missing(); });
  metrics_ = std::make_unique<EdgeMetrics>(*observe_);
  if (tls_) metrics_->certificate_expires->Set(static_cast<double>(tls_->expires_at()));

  if (connect_control() && read_meta()) {
    start_reactors();
    if (!failed_) watch();
    if (!failed_) serve_drain();
    while (!failed_ && !stop_wanted(kTurn)) look_at_streams();
  }
  spdlog::info("stopping");
  desk_.reset();
  stop_reactors();
  observe_.reset();  // its thread asks control_
  control_.reset();
  return failed_ ? 1 : 0;
}

bool EdgeApp::stop_wanted(milliseconds wait) {
  const sigset_t signals = stop_signals();
  timespec patience{};
  patience.tv_sec = wait.count() / 1000;
  patience.tv_nsec = (wait.count() % 1000) * 1'000'000;
  const int signal = sigtimedwait(&signals, nullptr, &patience);
  if (signal == SIGHUP)
    reload_certificate("SIGHUP");
  else if (tls_ && tls_->files_changed())
    reload_certificate("its files have changed");
  return signal == SIGTERM || signal == SIGINT;
}

// Whoever renews certificates replaces two files, one after the other: between them they don't fit, and the old ones
// stay.
void EdgeApp::reload_certificate(const char* why) {
  if (!tls_) return;
  try {
    tls_->reload();
    metrics_->certificate_expires->Set(static_cast<double>(tls_->expires_at()));
    metrics_->certificate_reloads->Increment();
    spdlog::info("the certificate was read again ({}): new connections get it", why);
  } catch (const std::exception& error) {
    metrics_->certificate_failures->Increment();
    spdlog::error("the certificate stays the old one ({}): {}", why, error.what());
  }
}

bool EdgeApp::connect_control() {
  while (true) {
    try {
      control_ = std::make_unique<broker::Control>(config_.nats, config_.edge.name, kConnectPatience);
      control_ready_ = true;
      return true;
    } catch (const std::exception& error) {
      spdlog::warn("waiting for the broker at {}: {}", masked_url(config_.nats.url), error.what());
    }
    if (stop_wanted(kRetry)) return false;
  }
}

bool EdgeApp::read_meta() {
  while (true) {
    try {
      const auto partitions = control_->get(broker::kMetaBucket, broker::kMetaPartitions);
      const auto incarnation = control_->get(broker::kMetaBucket, broker::kMetaIncarnation);
      const int count = partitions ? std::atoi(partitions->value.c_str()) : 0;
      if (count < 1 || count > 65'535 || (count & (count - 1)) != 0) {
        spdlog::warn("waiting for the topology: {}/{} is not there yet", broker::kMetaBucket, broker::kMetaPartitions);
      } else if (!incarnation || !parse_hex_id(incarnation->value, meta_.incarnation)) {
        spdlog::warn("waiting for the topology: {}/{} is not there yet", broker::kMetaBucket, broker::kMetaIncarnation);
      } else if (!read_key(control_->get(broker::kMetaBucket, broker::kMetaDirectoryKey), meta_.directory_key) ||
                 !read_key(control_->get(broker::kMetaBucket, broker::kMetaAddressKey), meta_.address_key)) {
        spdlog::warn("waiting for the keys in {}: has a directory worker started?", broker::kMetaBucket);
      } else {
        meta_.partitions = static_cast<std::uint16_t>(count);
        if (count != config_.nats.partitions)
          spdlog::warn("the topology has {} partitions, the configuration says {}: the topology counts", count,
                       config_.nats.partitions);
        {
          const std::lock_guard lock(mutex_);
          owned_.assign(meta_.partitions, false);
        }
        incarnation_ = meta_.incarnation;
        meta_ready_ = true;
        return true;
      }
    } catch (const std::exception& error) {
      spdlog::warn("waiting for the topology: {}", error.what());
    }
    if (stop_wanted(kRetry)) return false;
  }
}

void EdgeApp::start_reactors() {
  const auto& listeners = config_.edge.listeners;
  std::vector<std::vector<int>> sockets(config_.edge.threads);
  for (auto& mine : sockets)
    for (const ListenerConfig& listener : listeners)
      mine.push_back(listen_on(listener, share_ports_ || sockets.size() > 1));
  reactors_.resize(config_.edge.threads, nullptr);
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    std::promise<void> started;
    auto ready = started.get_future();
    threads_.emplace_back([this, i, mine = std::move(sockets[i]), started = std::move(started)]() mutable {
      try {
        Reactor reactor({config_, meta_, gate_, *metrics_, tls_.get(), high_water_, broker_lost_}, static_cast<int>(i),
                        std::move(mine));
        {
          const std::lock_guard lock(mutex_);
          reactors_[i] = &reactor;
        }
        spdlog::info("reactor {} runs on {}", i, reactor.engine_name());
        started.set_value();
        reactor.run();
        const std::lock_guard lock(mutex_);
        reactors_[i] = nullptr;
      } catch (const std::exception& error) {
        spdlog::critical("reactor {} failed: {}", i, error.what());
        const std::lock_guard lock(mutex_);
        const bool starting = reactors_[i] == nullptr;
        reactors_[i] = nullptr;
        failed_ = true;
        if (starting) started.set_value();
      }
    });
    ready.wait();
  }
  for (const ListenerConfig& listener : listeners)
    spdlog::info("listening on {}:{} ({}{}{})", listener.address, listener.port, listener.kind,
                 listener.tls ? ", TLS" : "", listener.proxy_protocol ? ", PROXY protocol" : "");
}

// The marks follow what others publish, and a loss that somebody noticed becomes everybody's. An edge that finds one
// renews the incarnation itself, unless that was done.
void EdgeApp::look_at_streams() {
  using broker::HighWater;
  if (!control_->connected() || (!broker_lost_ && steady_now() < look_at_)) return;
  look_at_ = steady_now() + kLookAtStreamsEvery;
  try {
    for (std::size_t i = 0; i < high_water_.size(); ++i) {
      const StreamSeq before = high_water_.last(i);
      const std::string info = control_->js_api("STREAM.INFO." + high_water_.stream(i), "");
      const HighWater::Verdict verdict = high_water_.judge(i, before, info);
      if (verdict == HighWater::Verdict::gone) return;  // a worker makes it anew
      if (verdict == HighWater::Verdict::behind) broker_lost_ = true;
    }
    const auto entry = control_->get(broker::kMetaBucket, broker::kMetaIncarnation);
    std::uint64_t there = 0;
    if (!entry || !parse_hex_id(entry->value, there)) return;
    if (broker_lost_) there = broker::renew_incarnation(*control_, incarnation_);
    if (there != incarnation_) set_incarnation(there);
  } catch (const std::exception& error) {
    spdlog::warn("the streams can't be looked at: {}", error.what());
  }
}

void EdgeApp::set_incarnation(std::uint64_t incarnation) {
  spdlog::warn("the streams have a new incarnation, {}: all devices log in anew and offer what is not yet delivered",
               hex_id(incarnation));
  incarnation_ = incarnation;
  high_water_.forget();
  broker_lost_ = false;
  post_to_all([incarnation](Reactor& reactor) { reactor.set_incarnation(incarnation); });
}

void EdgeApp::watch() {
  control_->watch(broker::kOwnersBucket, [this](const broker::KvEntry& entry) { on_owner(entry); });
  control_->watch(broker::kRevokedBucket, [this](const broker::KvEntry& entry) { on_revoked(entry); });
}

void EdgeApp::on_owner(const broker::KvEntry& entry) {
  if (entry.key.empty() || broker::is_owner_key(entry.key, broker::Stage::fanout)) return;
  Partition partition;
  try {
    partition = broker::partition_of_owner_key(entry.key);
  } catch (const broker::Error& error) {
    spdlog::warn("{}: {}", broker::kOwnersBucket, error.what());
    return;
  }
  Owner owner;
  const bool gone = entry.deleted || !parse_owner(entry.value, owner) || owner.endpoint.empty();
  {
    const std::lock_guard lock(mutex_);
    if (partition.value < owned_.size()) owned_[partition.value] = !gone;
  }
  if (gone) {
    spdlog::warn("partition {} has no owner", partition.value);
    post_to_all([partition](Reactor& reactor) { reactor.lose_owner(partition); });
  } else {
    spdlog::info("partition {}: owner at {}, epoch {}", partition.value, owner.endpoint, owner.epoch.value);
    post_to_all([partition, owner](Reactor& reactor) { reactor.set_owner(partition, owner); });
  }
}

void EdgeApp::on_revoked(const broker::KvEntry& entry) {
  if (entry.key.empty()) {  // every revocation is known now: logins can be judged
    post_to_all([](Reactor& reactor) { reactor.start_listening(); });
    const std::lock_guard lock(mutex_);
    listening_ = true;
    return;
  }
  DeviceId device;
  if (!parse_hex_id(entry.key, device.value)) return;
  post_to_all([device, revoked = !entry.deleted](Reactor& reactor) { reactor.set_revoked(device, revoked); });
}

// The queues are bounded: a full one makes the watch wait, not forget.
void EdgeApp::post_to_all(const std::function<void(Reactor&)>& work) {
  for (std::size_t i = 0;; ++i) {
    std::unique_lock lock(mutex_);
    if (i >= reactors_.size()) return;
    while (!stopping_ && reactors_[i] != nullptr && !reactors_[i]->post(work)) {
      lock.unlock();
      std::this_thread::sleep_for(milliseconds(1));
      lock.lock();
    }
  }
}

void EdgeApp::serve_drain() {
  broker::DrainDesk::Hooks hooks;
  hooks.objection = [] { return std::string(); };  // other edges are not known here
  hooks.begin = [this](milliseconds over) {
    draining_ = true;
    post_to_all([over](Reactor& reactor) { reactor.drain(over); });
  };
  hooks.report = [this] {
    return nlohmann::json{{"left", static_cast<std::uint64_t>(metrics_->connections->Value())}, {"of", "connections"}};
  };
  desk_ = std::make_unique<broker::DrainDesk>(*control_, config_.edge.name, "edge", std::move(hooks));
}

void EdgeApp::stop_reactors() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Reactor* reactor : reactors_)
      if (reactor != nullptr) reactor->stop();
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string EdgeApp::missing() {
  if (!control_ready_ || !control_->connected()) return "the broker is not connected";
  if (!meta_ready_) return "the topology is not there yet";
  const std::lock_guard lock(mutex_);
  if (stopping_) return "stopping";
  if (draining_) return "draining";
  if (!listening_) return "revocations are being read";
  for (std::size_t p = 0; p < owned_.size(); ++p)
    if (!owned_[p]) return "partition " + std::to_string(p) + " has no owner";
  return {};
}

}  // namespace barid::edge
