#include "ops/supervisor/probe.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace barid::supervisor {

namespace {

constexpr std::size_t kAnswerMax = 16UL * 1024 * 1024;

class Socket {
 public:
  // Not connected: fd() is -1.
  explicit Socket(const std::string& target) {
    const auto colon = target.find(':');
    sockaddr_in address{};
    address.sin_family = AF_INET;
    if (colon == std::string::npos || inet_pton(AF_INET, target.substr(0, colon).c_str(), &address.sin_addr) != 1)
      throw std::runtime_error("not an address: " + target + " (127.0.0.1:PORT or 127.0.0.1:PORT/PATH is wanted)");
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(target.c_str() + colon + 1)));
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{2, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
    ::close(fd_);
    fd_ = -1;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace

std::optional<std::string> http_get(const std::string& target) {
  const auto slash = target.find('/');
  const Socket socket(target);
  const std::string request =
      "GET " + target.substr(slash) + " HTTP/1.0\r\nHost: " + target.substr(0, slash) + "\r\n\r\n";
  if (socket.fd() < 0 ||
      ::send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return std::nullopt;
  std::string reply;
  char buffer[16'384];
  for (ssize_t got; reply.size() < kAnswerMax && (got = ::read(socket.fd(), buffer, sizeof buffer)) > 0;)
    reply.append(buffer, static_cast<std::size_t>(got));
  const auto body = reply.find("\r\n\r\n");
  if (body == std::string::npos || !reply.starts_with("HTTP/") || reply.compare(8, 4, " 200") != 0) return std::nullopt;
  return reply.substr(body + 4);
}

bool answers(const std::string& target) {
  if (target.find('/') != std::string::npos) return http_get(target).has_value();
  return Socket(target).fd() >= 0;
}

}  // namespace barid::supervisor
