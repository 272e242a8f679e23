// Starting a child process: own process group, clean signals, a user of its own, output into a pipe, and a
// signal from the kernel when the supervisor dies, so that a kill -9 of the supervisor leaves nothing
// running. Called from the supervisor's one thread (the kernel ties that signal to the thread that forked).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace barid::supervisor {

struct SpawnRequest {
  const std::vector<std::string>& argv;
  const std::vector<std::string>& env;
  const std::string& user;  // empty: unchanged
  int death_signal;
  int output = -1;  // becomes standard output and error; -1: /dev/null
};

// The child's pid. Throws std::runtime_error, naming the program, when it can't be started (exec included).
pid_t spawn(const SpawnRequest& request);

}  // namespace barid::supervisor
