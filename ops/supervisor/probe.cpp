#include "ops/supervisor/probe.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace barid::supervisor {

bool answers(const std::string& target) {
  const auto colon = target.find(':');
  const auto slash = target.find('/');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon == std::string::npos || inet_pton(AF_INET, target.substr(0, colon).c_str(), &address.sin_addr) != 1)
    throw std::runtime_error("not an address: " + target + " (127.0.0.1:PORT or 127.0.0.1:PORT/PATH is wanted)");
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(target.c_str() + colon + 1)));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  bool fine = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (fine && slash != std::string::npos) {
    const std::string request =
        "GET " + target.substr(slash) + " HTTP/1.0\r\nHost: " + target.substr(0, slash) + "\r\n\r\n";
    std::string head;
    char buffer[512];
    fine = send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
    while (fine && head.size() < 12) {  // "HTTP/1.1 200"
      const ssize_t got = ::read(fd, buffer, sizeof buffer);
      if (got <= 0) break;
      head.append(buffer, static_cast<std::size_t>(got));
    }
    fine = fine && head.size() >= 12 && head.compare(0, 5, "HTTP/") == 0 && head.compare(8, 4, " 200") == 0;
  }
  ::close(fd);
  return fine;
}

}  // namespace barid::supervisor
