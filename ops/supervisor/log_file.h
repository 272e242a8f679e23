// The output of one process: appended to <dir>/<name>.log, rotated to .1, .2 … before it grows past its
// limit, so that logs never fill the disk. Owned by the process's entry, on the supervisor's one thread. A
// disk that refuses costs log lines, never the process: what could not be written is counted and reported in
// the next line that can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace barid::supervisor {

class LogFile {
 public:
  LogFile(std::string path, std::size_t bytes_max, unsigned files_max);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void append(std::string_view text);

 private:
  void open();
  void rotate();
  bool write_all(std::string_view text);

  std::string path_;
  std::size_t bytes_max_;
  unsigned files_max_;
  int fd_ = -1;
  std::size_t bytes_ = 0;      // in the current file
  std::uint64_t dropped_ = 0;  // bytes that the disk refused
};

}  // namespace barid::supervisor
