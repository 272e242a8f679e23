#include "ops/supervisor/ctl.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/clock.h"
#include "ops/supervisor/control.h"

namespace barid::supervisor {
namespace {

constexpr milliseconds kPoll{50};
constexpr seconds kAppears{5};  // a supervisor that was just started has its socket by then

std::string socket_of(const std::string& run_dir) { return run_dir + "/supervisor.sock"; }

// The supervisor holds this lock for as long as it lives, whatever becomes of its socket.
bool is_held(const std::string& run_dir) {
  const int fd = open((run_dir + "/supervisor.lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = flock(fd, LOCK_EX | LOCK_NB) != 0;
  ::close(fd);
  return held;
}

// Why the start failed, by the state that the supervisor left behind; it may be gone before anybody asked it.
std::string failure_left_in(const std::string& run_dir) {
  std::ifstream file(run_dir + "/state.json");
  const auto state = nlohmann::json::parse(file, nullptr, false);
  const std::string failure = state.is_object() ? state.value("failure", "") : "";
  return failure.empty() ? "barid-supervisor: the supervisor is gone" : failure;
}

// Prints "  name state" once for every state worth knowing. True when all is up.
bool print_progress(const nlohmann::json& state, std::map<std::string, std::string>& shown) {
  for (const auto& process : state.at("processes")) {
    const std::string name = process.at("name"), now = process.at("state");
    if (now == "idle" || shown[name] == now) continue;
    shown[name] = now;
    std::cout << "  " << name << ": " << (now == "running" ? "ready" : now);
    if (now == "backoff") std::cout << " (" << process.at("last_exit").get<std::string>() << ")";
    std::cout << std::endl;
  }
  return state.at("state") == "running";
}

}  // namespace

int ctl(const std::string& run_dir, const std::string& command) {
  std::string answer;
  if (!ask(socket_of(run_dir), command, answer)) {
    std::cerr << "barid-supervisor: nothing runs in " << run_dir << "\n";
    return 3;
  }
  const bool refused = answer.rfind("error: ", 0) == 0;
  (refused ? std::cerr : std::cout) << (refused ? "barid-supervisor: " + answer.substr(7) : answer);
  return refused ? 1 : 0;
}

int ctl_wait_up(const std::string& run_dir) {
  std::map<std::string, std::string> shown;
  const TimePoint appears_by = steady_now() + kAppears;
  bool appeared = false;
  for (;; std::this_thread::sleep_for(kPoll)) {
    std::string answer;
    if (!ask(socket_of(run_dir), "status", answer)) {
      // A state file without its supervisor is one of this start: ops/up removes the one of the run before.
      const bool left = access((run_dir + "/state.json").c_str(), F_OK) == 0 && !is_held(run_dir);
      if (!appeared && !left && steady_now() < appears_by) continue;
      std::cerr << failure_left_in(run_dir) << "\n";
      return 1;
    }
    appeared = true;
    const auto state = nlohmann::json::parse(answer);
    if (print_progress(state, shown)) return 0;
    if (state.at("state") == "stopping") {
      const std::string failure = state.at("failure");
      std::cerr << (failure.empty() ? "it was asked to stop" : failure) << "\n";
      return 1;
    }
  }
}

int ctl_shutdown(const std::string& run_dir) {
  std::string answer;
  if (!ask(socket_of(run_dir), "shutdown", answer) && !is_held(run_dir)) return 0;
  std::map<std::string, std::string> shown;
  while (is_held(run_dir)) {
    if (ask(socket_of(run_dir), "status", answer)) {
      for (const auto& process : nlohmann::json::parse(answer).at("processes")) {
        const std::string name = process.at("name");
        if (process.at("state") == "stopped" && !process.at("task").get<bool>() &&
            shown.emplace(name, "stopped").second)
          std::cout << "  " << name << ": stopped" << std::endl;
      }
    }
    std::this_thread::sleep_for(kPoll);
  }
  return 0;
}

}  // namespace barid::supervisor
