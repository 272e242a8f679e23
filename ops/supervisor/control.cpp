#include "ops/supervisor/control.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace barid::supervisor {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw std::runtime_error("the path of the control socket is longer than " +
                             std::to_string(sizeof address.sun_path - 1) + " bytes: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

ControlSocket::ControlSocket(FdWatcher& loop, std::string path, Answer answer)
    : loop_(loop), path_(std::move(path)), answer_(std::move(answer)) {
  const sockaddr_un address = address_of(path_);
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlink(path_.c_str());  // the caller holds the instance's lock, so a socket that is there is a dead one's
  const mode_t mask = umask(0177);
  const bool bound =
      listener_ >= 0 && bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  umask(mask);
  if (!bound || listen(listener_, static_cast<int>(kClientsMax)) != 0) {
    const int error = errno;
    if (listener_ >= 0) ::close(listener_);
    throw std::runtime_error("cannot listen on " + path_ + ": " + std::strerror(error));
  }
  loop_.watch(listener_, EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

ControlSocket::~ControlSocket() {
  while (!clients_.empty()) drop(clients_.begin()->first);
  loop_.unwatch(listener_);
  ::close(listener_);
  unlink(path_.c_str());
}

void ControlSocket::accept_one() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  if (clients_.size() >= kClientsMax) {
    ::close(client);
    return;
  }
  clients_.emplace(client, std::string());
  loop_.watch(client, EPOLLIN, [this, client](std::uint32_t) { read_from(client); });
}

void ControlSocket::read_from(int client) {
  char buffer[kLineBytesMax];
  const ssize_t got = ::read(client, buffer, sizeof buffer);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  std::string& line = clients_[client];
  if (got > 0) line.append(buffer, static_cast<std::size_t>(got));
  const auto end = line.find('\n');
  if (got > 0 && end == std::string::npos && line.size() < kLineBytesMax) return;
  if (end != std::string::npos) {
    // An answer is a few kilobytes, well below a socket's buffer: a short write means a client that is gone.
    const std::string reply = answer_(std::string_view(line).substr(0, end));
    [[maybe_unused]] auto sent = send(client, reply.data(), reply.size(), MSG_NOSIGNAL);
  }
  drop(client);
}

void ControlSocket::drop(int client) {
  loop_.unwatch(client);
  ::close(client);
  clients_.erase(client);
}

bool ask(const std::string& path, std::string_view line, std::string& answer) {
  const sockaddr_un address = address_of(path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw std::runtime_error(std::string("cannot make a socket: ") + std::strerror(errno));
  const timeval patience{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const std::string request = std::string(line) + "\n";
  bool fine = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
              send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
  answer.clear();
  char buffer[4096];
  while (fine) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(fd);
  return fine && !answer.empty();
}

}  // namespace barid::supervisor
