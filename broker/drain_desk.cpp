#include "broker/drain_desk.h"

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "broker/control.h"
#include "broker/topology.h"

namespace barid::broker {

using nlohmann::json;

namespace {
constexpr milliseconds kAnswerPatience{3'000};
}

struct DrainDesk::Desk {
  std::mutex mutex;  // one request at a time, and none once `open` is false
  bool open = true, draining = false;
  std::string role;
  Hooks hooks;

  json answer(const json& order) {
    const std::lock_guard lock(mutex);
    if (!open) return {{"error", "it is stopping already"}};
    if (!order.is_object()) return {{"error", "unreadable order"}};
    if (order.value("do", "") == "drain") {
      const std::string objection = order.value("force", false) ? "" : hooks.objection();
      if (!objection.empty()) return {{"error", objection}};
      const auto over = std::clamp<std::int64_t>(order.value("over_ms", std::int64_t{0}), 0, kOverMax.count());
      SPDLOG_INFO("draining, over {} ms", over);
      draining = true;
      hooks.begin(milliseconds(over));
    }
    json now = hooks.report();
    now["role"] = role;
    now["draining"] = draining;
    return now;
  }
};

DrainDesk::DrainDesk(Control& control, const std::string& process, const std::string& role, Hooks hooks)
    : desk_(std::make_shared<Desk>()) {
  desk_->role = role;
  desk_->hooks = std::move(hooks);
  control.serve(drain_subject(process), "drain", 1, [desk = desk_](std::string_view request) {
    return desk->answer(json::parse(request, nullptr, false)).dump();
  });
}

DrainDesk::~DrainDesk() {
  const std::lock_guard lock(desk_->mutex);
  desk_->open = false;
}

std::optional<json> ask_to_drain(Control& control, const std::string& process, const DrainOrder& order) {
  const json request{{"do", order.begin ? "drain" : "report"}, {"force", order.force}, {"over_ms", order.over.count()}};
  const auto reply = control.request(drain_subject(process), request.dump(), kAnswerPatience);
  if (!reply) return std::nullopt;
  json answer = json::parse(*reply, nullptr, false);
  if (!answer.is_object()) throw Error(process + " gave an answer that can't be read: is its version another?");
  return answer;
}

}  // namespace barid::broker
