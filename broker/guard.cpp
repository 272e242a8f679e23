#include "broker/guard.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "broker/topology.h"

namespace barid::broker {
namespace {

// Only meaningful when the broker runs here: then its memory was lost with this machine's.
std::string boot_of_broker(const NatsConfig& nats) {
  const bool here = nats.url.find("127.0.0.1") != std::string::npos || nats.url.find("localhost") != std::string::npos;
  std::string boot;
  if (here && nats.replicas == 1) std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return boot;
}

std::uint64_t incarnation_there(Control& control) {
  const auto entry = control.get(kMetaBucket, kMetaIncarnation);
  std::uint64_t there = 0;
  return entry && parse_hex_id(entry->value, there) ? there : 0;
}

}  // namespace

Guard::Guard(Control& control, const Config& config, HighWater& high_water, Hooks hooks)
    : control_(control),
      config_(config),
      high_water_(high_water),
      hooks_(std::move(hooks)),
      boot_(boot_of_broker(config.nats)) {
  thread_ = std::thread([this] { run(); });
}

Guard::~Guard() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void Guard::run() {
  bool complained = false;
  while (true) {
    milliseconds wait = kEvery;
    try {
      look();
      complained = false;
    } catch (const std::exception& error) {
      settled_ = false;
      wait = kRetry;
      if (!std::exchange(complained, true))
        SPDLOG_WARN("the streams can't be looked at: {}; trying again", error.what());
    }
    const TimePoint next = steady_now() + wait;
    std::unique_lock lock(mutex_);
    // A reconnection may have been to a server that lost something: look at once.
    while (!stop_ && steady_now() < next && control_.reconnects() == reconnects_)
      wake_.wait_for(lock, milliseconds(100));
    if (stop_) break;
  }
  try {
    if (looked_ && control_.connected()) save(true);
  } catch (const std::exception& error) {
    SPDLOG_WARN("how far the streams had come was not saved: {}", error.what());
  }
}

void Guard::look() {
  const std::uint64_t reconnects = control_.reconnects();
  if (!control_.connected()) throw Error("nats-server can't be reached");
  load_saved();
  std::string why;
  if (find_loss(why)) {
    renew(why);
  } else {
    const std::uint64_t there = incarnation_there(control_);
    if (there == 0) throw Error("the topology has no incarnation yet");
    if (incarnation_ != 0 && there != incarnation_) {  // somebody else has noticed
      SPDLOG_WARN("the streams have a new incarnation, {}", hex_id(there));
      high_water_.forget();
      if (find_loss(why)) throw Error(why);
    }
    incarnation_ = there;
  }
  looked_ = true;
  reconnects_ = reconnects;
  settled_ = true;
  if (loaded_) save(false);
}

// Throws when Postgres can't be asked: what it would say must be known before anything is written over it. A broker
// that lost something meanwhile is found by the marks in memory all the same.
void Guard::load_saved() {
  if (loaded_ || !hooks_.load) return;
  std::optional<SavedMarks> saved;
  try {
    saved = hooks_.load();
  } catch (const std::exception& error) {
    SPDLOG_WARN("how far the streams had come before is not known yet: {}", error.what());
    return;
  }
  loaded_ = true;
  if (!saved || saved->incarnation == 0) return;
  const std::uint64_t there = incarnation_there(control_);
  if (there != saved->incarnation) return;  // the devices will notice
  incarnation_ = there;
  for (const StreamMark& mark : saved->marks) high_water_.remember(mark);
  if (!saved->boot.empty() && saved->boot != boot_)
    renew("this machine stopped without a warning: the last messages may not have reached the disk");
}

void Guard::save(bool clean) {
  if (!hooks_.save || !loaded_ || incarnation_ == 0) return;
  hooks_.save({incarnation_, clean ? std::string() : boot_, high_water_.marks()});
}

void Guard::renew(const std::string& why) {
  incarnation_ = renew_incarnation(control_, incarnation_);
  SPDLOG_ERROR(
      "the broker has lost messages that it had acknowledged ({}). New incarnation {}: devices offer again what is not "
      "yet delivered",
      why, hex_id(incarnation_));
  high_water_.forget();
  if (hooks_.renewed) hooks_.renewed();
}

// Also makes what is missing.
bool Guard::find_loss(std::string& why) {
  std::vector<StreamSeq> before;
  for (std::size_t i = 0; i < high_water_.size(); ++i) before.push_back(high_water_.last(i));
  const auto present = streams_there(control_);
  why.clear();
  for (std::size_t i = 0; i < high_water_.size() && why.empty(); ++i) {
    const auto found = present.find(high_water_.stream(i));
    if (found == present.end()) {
      if (high_water_.knows(i)) why = "stream " + high_water_.stream(i) + " is gone";
    } else if (high_water_.judge(i, before[i], found->second.created, found->second.last) !=
               HighWater::Verdict::continues) {
      why = "stream " + high_water_.stream(i) + " ends before what it had acknowledged, or was made anew";
    }
  }
  if (!missing_streams(present, config_.nats, config_.messages).empty())
    for (const std::string& name : apply_topology(control_, config_.nats, config_.messages))
      SPDLOG_WARN("stream {} was not there: made", name);
  return !why.empty();
}

}  // namespace barid::broker
