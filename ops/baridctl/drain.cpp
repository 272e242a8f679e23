#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "base/clock.h"
#include "broker/control.h"
#include "broker/drain_desk.h"
#include "broker/roles.h"
#include "broker/topology.h"
#include "ops/baridctl/commands.h"

namespace barid::ctl {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPatience{2};
constexpr milliseconds kPoll{100};
constexpr std::chrono::seconds kBeyond{30};  // the time that was asked for: then it is said to be stuck

// Partitions, of both stages, that nobody owns, or somebody who does not beat.
std::size_t unowned(broker::Control& control, const Config& config) {
  std::size_t count = 0;
  for (const broker::Stage stage : {broker::Stage::delivery, broker::Stage::fanout})
    for (std::uint16_t p = 0; p < config.nats.partitions; ++p) {
      const auto entry = control.get(broker::kOwnersBucket, broker::owner_key(Partition(p), stage));
      const json owner = json::parse(entry ? entry->value : "{}", nullptr, false);
      const bool owned = owner.is_object() && !owner.value("released", false) && !owner.value("worker", "").empty() &&
                         control.get(broker::kWorkersBucket, broker::worker_key(owner.value("worker", ""), stage));
      count += owned ? 0U : 1U;
    }
  return count;
}

}  // namespace

int drain(const Config& config, const DrainOptions& options) {
  broker::Control control(broker::as_role(config.nats, broker::kOperatorRole), "baridctl", kPatience);
  broker::DrainOrder order;
  order.begin = true;
  order.force = options.force;
  order.over = std::chrono::seconds(options.over_s);
  const TimePoint latest = steady_now() + order.over + kBeyond;
  std::uint64_t told = UINT64_MAX;
  for (;; std::this_thread::sleep_for(kPoll)) {
    const auto answer = broker::ask_to_drain(control, options.name, order);
    if (!answer) throw std::runtime_error("no process named " + options.name + " answers: ops/status lists what runs");
    if (answer->contains("error"))
      throw std::runtime_error(options.name + ": " + answer->at("error").get<std::string>());
    order.begin = false;
    const auto left = answer->value("left", std::uint64_t{0});
    if (left == 0) break;
    if (left != told)
      std::cout << fmt::format("  {}: {} {} left", options.name, left, answer->value("of", "")) << std::endl;
    told = left;
    if (steady_now() >= latest)
      throw std::runtime_error(
          fmt::format("{} still has {} {}: its log says why", options.name, left, answer->value("of", "")));
  }
  std::cout << "  " << options.name << ": drained" << std::endl;
  return 0;
}

int settled(const Config& config, int seconds) {
  broker::Control control(broker::as_role(config.nats, broker::kOperatorRole), "baridctl", kPatience);
  const TimePoint latest = steady_now() + std::chrono::seconds(seconds);
  for (;; std::this_thread::sleep_for(kPoll)) {
    const std::size_t without = unowned(control, config);
    if (without == 0) return 0;
    if (steady_now() < latest) continue;
    std::cout << without << " partitions have no living owner\n";
    return 1;
  }
}

}  // namespace barid::ctl
