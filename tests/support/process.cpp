#include "tests/support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace barid::test {

using namespace std::chrono_literals;

bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

std::uint16_t free_port() {
  static std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<int> ports(15'000, 31'999);  // below net.ipv4.ip_local_port_range
  for (int attempt = 0; attempt < 200; ++attempt) {
    const auto port = static_cast<std::uint16_t>(ports(random));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    if (free) return port;
  }
  throw std::runtime_error("no free loopback port between 15000 and 31999");
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TempDir::TempDir() {
  char name[] = "/tmp/barid-test-XXXXXX";
  if (::mkdtemp(name) == nullptr) throw std::runtime_error("cannot create a folder under /tmp");
  path_ = name;
  ::chmod(name, 0711);
}
TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

ChildProcess::ChildProcess(std::vector<std::string> argv, const std::string& log_file,
                           std::optional<Identity> identity) {
  std::vector<char*> args;
  for (auto& arg : argv) args.push_back(arg.data());
  args.push_back(nullptr);
  const int log = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  int started[2];
  if (log < 0 || ::pipe2(started, O_CLOEXEC) != 0) throw std::runtime_error("cannot open " + log_file);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {  // only async-signal-safe calls from here on
    ::dup2(log, 1);
    ::dup2(log, 2);
    ::setpgid(0, 0);  // a Ctrl-C at the terminal is the test's business
    const bool changed = !identity || (::setgid(identity->gid) == 0 && ::setuid(identity->uid) == 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // after setuid, which clears it
    if (changed && ::getppid() == parent) ::execvp(args[0], args.data());
    const int error = errno;
    (void)!::write(started[1], &error, sizeof error);
    ::_exit(127);
  }
  ::close(log);
  ::close(started[1]);
  int error = 0;
  const bool failed = pid_ < 0 || ::read(started[0], &error, sizeof error) > 0;
  ::close(started[0]);
  if (!failed) return;
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  throw std::runtime_error("cannot start " + argv[0] + ": " + std::strerror(error));
}

ChildProcess::~ChildProcess() {
  if (!running()) return;
  ::kill(pid_, SIGCONT);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool ChildProcess::running() { return !wait(0ms).has_value(); }

void ChildProcess::signal(int number) {
  if (running()) ::kill(pid_, number);
}

std::optional<int> ChildProcess::wait(std::chrono::milliseconds patience) {
  (void)wait_until(
      [&] {
        int status = 0;
        if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
        return status_.has_value();
      },
      patience);
  return status_;
}

}  // namespace barid::test
