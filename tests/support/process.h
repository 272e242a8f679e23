// What tests need of the machine: temporary folders, free ports, child processes that never outlive the test,
// and waiting for a condition instead of sleeping. Owned by the test; one thread (the one that starts a child
// must outlive it: the kernel kills the child when that thread ends, so that a crashed test leaves nothing
// behind).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace barid::test {

// Polls until `condition` holds. False: it did not within `patience`.
[[nodiscard]] bool wait_until(const std::function<bool()>& condition,
                              std::chrono::milliseconds patience = std::chrono::seconds(20));

// A loopback TCP port that nobody listens on, outside the range that the kernel hands to outgoing connections
// (so that a server can be restarted on it). Another process may still be faster: start again if binding
// fails.
std::uint16_t free_port();

std::string read_file(const std::string& path);  // empty when absent

// Removed with all that is in it. Others may traverse, not list it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Identity {
  uid_t uid;
  gid_t gid;
};

// One child process; standard output and error are appended to a file. The destructor kills it (-9) and reaps
// it.
class ChildProcess {
 public:
  // Throws when the program can't be started. `identity`: run as somebody else (we must be root).
  ChildProcess(std::vector<std::string> argv, const std::string& log_file, std::optional<Identity> identity = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number);
  // The exit status as of waitpid, or nullopt when it still runs after `patience`.
  std::optional<int> wait(std::chrono::milliseconds patience);

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

}  // namespace barid::test
