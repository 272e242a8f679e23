// The supervisor's control socket: one line in, one answer out, then the connection closes. A unix socket in
// a folder that only its owner may enter. Lives on the supervisor's loop; kClientsMax connections, the next
// are refused.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/loop.h"

namespace barid::supervisor {

class ControlSocket {
 public:
  using Answer = std::function<std::string(std::string_view line)>;
  static constexpr std::size_t kClientsMax = 16;
  static constexpr std::size_t kLineBytesMax = 256;

  // Replaces a socket file that nobody listens on. Throws when the path is too long or can't be bound.
  ControlSocket(FdWatcher& loop, std::string path, Answer answer);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  void accept_one();
  void read_from(int client);
  void drop(int client);

  FdWatcher& loop_;
  std::string path_;
  Answer answer_;
  int listener_ = -1;
  std::unordered_map<int, std::string> clients_;  // what each has sent so far
};

// The client's side. False: no supervisor listens there. Waits for at most 10 s for the answer.
bool ask(const std::string& path, std::string_view line, std::string& answer);

}  // namespace barid::supervisor
