#include "ops/supervisor/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace barid::supervisor {

LogFile::LogFile(std::string path, std::size_t bytes_max, unsigned files_max)
    : path_(std::move(path)), bytes_max_(bytes_max), files_max_(files_max) {
  open();
}

LogFile::~LogFile() {
  if (fd_ >= 0) ::close(fd_);
}

void LogFile::open() {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat info {};
  bytes_ = fd_ >= 0 && fstat(fd_, &info) == 0 ? static_cast<std::size_t>(info.st_size) : 0;
}

void LogFile::rotate() {
  if (fd_ >= 0) ::close(fd_);
  // A rename that fails leaves an older file in place; the current one is then cut below, so the bound holds
  // anyway.
  for (unsigned i = files_max_ - 1; i >= 1; --i) {
    const std::string from = i == 1 ? path_ : path_ + "." + std::to_string(i - 1);
    (void)std::rename(from.c_str(), (path_ + "." + std::to_string(i)).c_str());
  }
  open();
  if (bytes_ > 0 && fd_ >= 0 && ftruncate(fd_, 0) == 0) bytes_ = 0;
}

void LogFile::append(std::string_view text) {
  if (text.size() > bytes_max_) {
    dropped_ += text.size() - bytes_max_;
    text.remove_prefix(text.size() - bytes_max_);
  }
  if (bytes_ + text.size() > bytes_max_) rotate();
  if (fd_ < 0) open();
  if (dropped_ > 0) {
    const std::string note = "[" + std::to_string(dropped_) + " bytes of output could not be written]\n";
    if (write_all(note)) dropped_ = 0;
  }
  if (!write_all(text)) dropped_ += text.size();
}

bool LogFile::write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd_, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes_ += static_cast<std::size_t>(wrote);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace barid::supervisor
