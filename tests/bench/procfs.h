// What the server's processes cost, from /proc: CPU in nanoseconds (schedstat of every thread), memory (smaps_rollup).
// Constructed and used by the runner's main thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace barid::bench {

// One name may stand for several processes; the descendants of each count with it (Postgres).
class ServerProcesses {
 public:
  void add(const std::string& name, pid_t pid) { roots_.emplace_back(name, pid); }
  bool empty() const { return roots_.empty(); }

  // CPU used so far, by name. Threads that have ended no longer count, so compare while none ends. Throws when a
  // process is gone: a measurement with a restart in it is none.
  std::map<std::string, std::int64_t> cpu_ns() const;
  // Memory that is this process's alone (Private_Clean + Private_Dirty), and its share of all (Pss).
  struct Memory {
    std::int64_t private_bytes = 0, pss_bytes = 0;
  };
  Memory memory(const std::string& name) const;

 private:
  std::vector<std::pair<std::string, pid_t>> roots_;
};

std::int64_t own_cpu_ns();
std::int64_t kernel_slab_bytes();

}  // namespace barid::bench
