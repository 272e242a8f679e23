#include "tests/bench/procfs.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace barid::bench {
namespace {

namespace fs = std::filesystem;

std::string proc(pid_t pid) { return "/proc/" + std::to_string(pid); }

// 0 when it has ended meanwhile.
std::int64_t cpu_of(pid_t pid) {
  std::int64_t sum = 0;
  std::error_code gone;
  for (const auto& task : fs::directory_iterator(proc(pid) + "/task", gone)) {
    std::ifstream file(task.path() / "schedstat");
    std::int64_t ns = 0;
    if (file >> ns) sum += ns;
  }
  return sum;
}

void add_children_of(pid_t parent, std::vector<pid_t>& all) {
  std::error_code gone;
  for (const auto& task : fs::directory_iterator(proc(parent) + "/task", gone)) {
    std::ifstream file(task.path() / "children");
    for (pid_t child = 0; file >> child;) {
      all.push_back(child);
      add_children_of(child, all);
    }
  }
}

// "Name:  123 kB" lines.
std::int64_t kib_after(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.rfind(key + ":", 0) == 0) return std::atoll(line.c_str() + key.size() + 1);
  throw std::runtime_error(path + " has no " + key);
}

}  // namespace

std::map<std::string, std::int64_t> ServerProcesses::cpu_ns() const {
  std::map<std::string, std::int64_t> by_name;
  for (const auto& [name, pid] : roots_) {
    const std::int64_t own = cpu_of(pid);
    if (own == 0) throw std::runtime_error("the server process " + name + " is gone");
    by_name[name] += own;
    std::vector<pid_t> children;
    add_children_of(pid, children);
    for (const pid_t child : children) by_name[name] += cpu_of(child);
  }
  return by_name;
}

ServerProcesses::Memory ServerProcesses::memory(const std::string& wanted) const {
  Memory memory;
  for (const auto& [name, pid] : roots_) {
    if (name != wanted) continue;
    const std::string path = proc(pid) + "/smaps_rollup";
    memory.pss_bytes += kib_after(path, "Pss") * 1024;
    memory.private_bytes += (kib_after(path, "Private_Clean") + kib_after(path, "Private_Dirty")) * 1024;
  }
  return memory;
}

std::int64_t own_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::int64_t kernel_slab_bytes() { return kib_after("/proc/meminfo", "Slab") * 1024; }

}  // namespace barid::bench
