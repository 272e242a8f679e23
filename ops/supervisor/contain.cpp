#include "ops/supervisor/contain.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <stdexcept>

namespace barid::supervisor {
namespace {

struct ProcEntry {
  pid_t pid = 0, parent = 0;
  char state = '?';
  std::string name;
};

// /proc/PID/stat is "pid (name) state ppid …"; the name may hold spaces and parentheses (proc(5)).
bool read_entry(const std::filesystem::path& directory, ProcEntry& entry) {
  const std::string digits = directory.filename().string();
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), entry.pid);
  if (error != std::errc{} || end != digits.data() + digits.size()) return false;
  std::ifstream file(directory / "stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const auto open = line.find('('), close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 4 > line.size()) return false;
  entry.name = line.substr(open + 1, close - open - 1);
  entry.state = line[close + 2];
  entry.parent = static_cast<pid_t>(std::strtol(line.c_str() + close + 3, nullptr, 10));
  return true;
}

std::vector<ProcEntry> descendants() {
  std::vector<ProcEntry> all;
  std::error_code ignored;
  for (const auto& item : std::filesystem::directory_iterator("/proc", ignored)) {
    ProcEntry entry;
    if (read_entry(item.path(), entry)) all.push_back(std::move(entry));
  }
  std::set<pid_t> family{getpid()};
  std::vector<ProcEntry> ours;
  for (bool grew = true; grew;) {
    grew = false;
    for (const ProcEntry& entry : all) {
      if (!family.contains(entry.parent) || family.contains(entry.pid)) continue;
      family.insert(entry.pid);
      ours.push_back(entry);
      grew = true;
    }
  }
  return ours;
}

volatile sig_atomic_t contained_pid = 0;  // for the handler alone: a handler can reach nothing else
void pass_on(int number) {
  if (contained_pid > 0) kill(contained_pid, number);
}

}  // namespace

void adopt_orphans() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw std::runtime_error("the kernel refuses PR_SET_CHILD_SUBREAPER");
}

std::vector<std::string> end_descendants() {
  std::vector<std::string> ended;
  std::set<pid_t> seen;
  for (;;) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const std::vector<ProcEntry> left = descendants();
    if (left.empty()) return ended;
    for (const ProcEntry& entry : left) {
      if (entry.state == 'Z') continue;
      if (seen.insert(entry.pid).second) ended.push_back(std::to_string(entry.pid) + " " + entry.name);
      kill(entry.pid, SIGKILL);
    }
    // Each round's victims that are children of ours are reaped here; grandchildren become ours meanwhile.
    if (waitpid(-1, nullptr, 0) < 0 && errno == ECHILD) return ended;
  }
}

int contain(const std::vector<std::string>& argv) {
  adopt_orphans();
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  struct sigaction action {};
  action.sa_handler = pass_on;
  action.sa_flags = SA_RESTART;
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("cannot start " + argv[0] + ": " + std::strerror(errno));
  if (pid == 0) {
    setpgid(0, 0);  // the terminal's Ctrl-C comes through us, once
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    execvp(arguments[0], arguments.data());
    std::cerr << "cannot start " << argv[0] << ": " << std::strerror(errno) << "\n";
    _exit(127);
  }
  contained_pid = pid;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  contained_pid = 0;
  const std::vector<std::string> left = end_descendants();
  for (const std::string& process : left)
    std::cerr << "was still running after " << argv[0] << " ended: " << process << "\n";
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code == 0 && !left.empty() ? 1 : code;
}

}  // namespace barid::supervisor
