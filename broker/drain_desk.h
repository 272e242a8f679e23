// Where an operator tells a running process to empty itself, and asks how far it is: requests of JSON on drain.<name>.
// Nothing is stored, so a process that starts anew is not drained. Owned by main or the application, which must outlive
// neither the Control nor what the hooks use; hooks are called on a thread of the Control, one at a time, and never
// after the destructor has begun to return.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/clock.h"

namespace barid::broker {

class Control;

class DrainDesk {
 public:
  static constexpr milliseconds kOverMax{3'600'000};
  struct Hooks {
    std::function<std::string()> objection;        // empty: it may begin; else why not, and what to do
    std::function<void(milliseconds over)> begin;  // spread over that long; again is harmless
    std::function<nlohmann::json()> report;        // at least "left": what is not given up yet
  };
  DrainDesk(Control& control, const std::string& process, const std::string& role, Hooks hooks);
  ~DrainDesk();
  DrainDesk(const DrainDesk&) = delete;
  DrainDesk& operator=(const DrainDesk&) = delete;

 private:
  struct Desk;
  std::shared_ptr<Desk> desk_;
};

// The operator's side. force: whatever the objection. nullopt: no process of that name answers.
struct DrainOrder {
  bool begin = false;  // else: only report
  bool force = false;
  milliseconds over{0};
};
// {"role", "draining", "left", …} or {"error": text}.
std::optional<nlohmann::json> ask_to_drain(Control& control, const std::string& process, const DrainOrder& order);

}  // namespace barid::broker
