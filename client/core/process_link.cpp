#include "client/core/process_link.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace barid::client {
namespace {
int open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "cannot open " + path);
  return fd;
}
}  // namespace

SessionLock::SessionLock(const std::string& directory) : fd_(open_file(directory + "/session.lock")) {}
SessionLock::~SessionLock() { ::close(fd_); }

bool SessionLock::try_take() {
  held_ = held_ || ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
  return held_;
}

Nudge::Nudge(const std::string& directory)
    : bell_(open_file(directory + "/nudge")), watch_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (watch_ < 0 || ::inotify_add_watch(watch_, (directory + "/nudge").c_str(), IN_MODIFY) >= 0) return;
  ::close(watch_);
  watch_ = -1;
}

Nudge::~Nudge() {
  ::close(bell_);
  if (watch_ >= 0) ::close(watch_);
}

void Nudge::ring() { [[maybe_unused]] const auto put = ::pwrite(bell_, "!", 1, 0); }

void Nudge::drain() {
  std::array<char, 4096> events;
  while (watch_ >= 0 && ::read(watch_, events.data(), events.size()) > 0) {
  }
}

}  // namespace barid::client
