// What the supervisor is told to run: the list of processes, read once from a TOML file that ops/up writes.
// Plain data, owned by main, read-only afterwards.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"

namespace barid::supervisor {

inline constexpr std::size_t kProcessesMax = 64;

enum class Restart { always, on_failure, never };

struct ProcessSpec {
  std::string name;               // letters, digits, - and _; also the name of its log file
  std::vector<std::string> argv;  // argv[0] is looked up in PATH
  std::vector<std::string> env;   // NAME=value, added to the supervisor's own
  std::string user;               // run as this user; empty: as the supervisor does
  unsigned stage = 0;             // stages start one after the other, and stop in the opposite order
  bool task = false;              // runs to its end (exit 0) before the next stage; never restarted
  Restart restart = Restart::always;
  std::vector<std::string> ready;  // a command that exits 0 once it can do its work; empty: once it lived for 0.5 s
  std::vector<std::string>
      alive;             // a command that exits 0 while it does; fails it too often, the process is killed (-9)
  int stop_signal = 0;   // asks it to stop; SIGKILL after stop_timeout
  int death_signal = 0;  // the kernel sends it when the supervisor itself is killed
  milliseconds stop_timeout{10'000};
};

struct Spec {
  std::string log_dir;
  std::size_t log_bytes_max = 8u << 20;  // of one file, then it is rotated
  unsigned log_files_max = 4;            // of one process, the current one included
  milliseconds start_timeout{60'000};    // of one stage at the first start: then everything stops, exit 1
  std::vector<ProcessSpec> processes;    // sorted by stage
};

// Throws std::runtime_error whose text names the file, the process and what is wrong.
Spec load_spec(const std::string& path);

}  // namespace barid::supervisor
