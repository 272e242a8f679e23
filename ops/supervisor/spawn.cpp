#include "ops/supervisor/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>

extern char** environ;

namespace barid::supervisor {
namespace {

struct Identity {
  uid_t uid;
  gid_t gid;
  std::string home;
};

std::optional<Identity> identity_of(const std::string& user) {
  if (user.empty()) return std::nullopt;
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) throw std::runtime_error("there is no user named " + user);
  if (entry->pw_uid == geteuid()) return std::nullopt;  // already that user
  return Identity{entry->pw_uid, entry->pw_gid, entry->pw_dir};
}

bool same_variable(std::string_view a, std::string_view b) {
  return a.substr(0, a.find('=')) == b.substr(0, b.find('='));
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> merged = extra;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool replaced = false;
    for (const std::string& ours : extra) replaced = replaced || same_variable(ours, *entry);
    if (!replaced) merged.emplace_back(*entry);
  }
  return merged;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// From here to exec only async-signal-safe calls. On failure errno goes through `report`, then the child is
// gone.
[[noreturn]] void become(char* const* argv, char* const* env, const Identity* identity, const SpawnRequest& request,
                         pid_t parent, int report) {
  setpgid(0, 0);
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDWR);
  const int out = request.output >= 0 ? request.output : null;
  bool fine = null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0;
  if (fine && identity != nullptr)
    fine = setgroups(0, nullptr) == 0 && setgid(identity->gid) == 0 && setuid(identity->uid) == 0;
  // After setuid: a change of identity clears the death signal. The parent may have died before it was set.
  fine = fine && prctl(PR_SET_PDEATHSIG, request.death_signal) == 0;
  if (getppid() != parent) _exit(127);
  if (fine) {
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    execvpe(argv[0], argv, env);
  }
  const int error = errno;
  [[maybe_unused]] auto wrote = write(report, &error, sizeof error);
  _exit(127);
}

}  // namespace

pid_t spawn(const SpawnRequest& request) {
  const std::optional<Identity> identity = identity_of(request.user);
  std::vector<std::string> environment = merged_environment(request.env);
  if (identity) environment.insert(environment.begin(), "HOME=" + identity->home);
  std::vector<char*> argv = pointers(request.argv), env = pointers(environment);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) throw std::runtime_error("cannot start " + request.argv[0] + ": no pipe left");
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(argv.data(), env.data(), identity ? &*identity : nullptr, request, parent, report[1]);
  ::close(report[1]);
  if (pid < 0) {
    ::close(report[0]);
    throw std::runtime_error("cannot start " + request.argv[0] + ": " + std::strerror(errno));
  }
  int error = 0;
  ssize_t got;
  do got = read(report[0], &error, sizeof error);
  while (got < 0 && errno == EINTR);
  ::close(report[0]);
  if (got == static_cast<ssize_t>(sizeof error)) {
    waitpid(pid, nullptr, 0);
    throw std::runtime_error("cannot start " + request.argv[0] + ": " + std::strerror(error));
  }
  return pid;
}

}  // namespace barid::supervisor
