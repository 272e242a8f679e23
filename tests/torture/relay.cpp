#include "tests/torture/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "base/assert.h"
#include "tests/support/process.h"

namespace barid::torture {
namespace {

constexpr std::size_t kFirstBytes = 512;  // of what a client says first

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void close_hard(int fd) {  // with a reset
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd);
}

}  // namespace

Relay::Relay() = default;

Relay::~Relay() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  for (Link& link : links_) end(link, true);
  for (const auto& line : lines_) ::close(line->listener);
}

std::uint16_t Relay::add_line(std::uint16_t to_port) {
  BARID_ASSERT(!thread_.joinable());
  constexpr int kTries = 20;
  for (int i = 0; i < kTries; ++i) {
    const std::uint16_t port = test::free_port();
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 64) != 0) {
      ::close(fd);
      continue;
    }
    lines_.push_back(std::make_unique<Line>());
    lines_.back()->listener = fd;
    lines_.back()->to_port = to_port;
    return port;
  }
  throw std::runtime_error("no free port for the relay");
}

void Relay::start() {
  thread_ = std::thread([this] { run(); });
}

void Relay::aim(std::size_t line, std::uint16_t to_port) { lines_[line]->to_port = to_port; }

void Relay::set(std::size_t line, Mode mode, const char* only) {
  lines_[line]->only = only;
  lines_[line]->mode = mode;
}

void Relay::run() {
  while (!stop_) {
    std::vector<pollfd> fds;
    for (const auto& line : lines_) fds.push_back({line->listener, POLLIN, 0});
    for (const Link& link : links_) {
      const Mode mode = mode_of(link);
      if (mode == Mode::stalled || mode == Mode::drip) continue;  // looked at every turn
      for (const Flow* flow : {&link.up, &link.down}) {
        if (flow == &link.down && mode == Mode::mute) continue;
        if (!flow->ended && flow->buffer.size() < kBufferBytes) fds.push_back({flow->from, POLLIN, 0});
        if (!flow->buffer.empty()) fds.push_back({flow->to, POLLOUT, 0});
      }
    }
    ::poll(fds.data(), fds.size(), static_cast<int>(kTurn.count()));
    for (const auto& line : lines_) accept_from(*line);
    std::erase_if(links_, [this](Link& link) { return !move(link); });
  }
}

void Relay::accept_from(Line& line) {
  for (int fd; (fd = ::accept4(line.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    ++line.connections;
    const std::uint16_t port = line.to_port;
    const bool cut = line.mode == Mode::cut && *line.only.load() == '\0';
    if (cut || port == 0 || links_.size() >= kConnectionsMax) {
      close_hard(fd);
      continue;
    }
    const int to = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    if (::connect(to, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
      ::close(to);
      close_hard(fd);
      continue;
    }
    no_delay(fd), no_delay(to);
    Link link;
    link.line = &line;
    link.up.from = link.down.to = fd;
    link.up.to = link.down.from = to;
    links_.push_back(std::move(link));
  }
}

Relay::Mode Relay::mode_of(const Link& link) {
  const std::string only = link.line->only.load();
  if (!only.empty() && link.first.find(only) == std::string::npos) return Mode::pass;
  return link.line->mode;
}

bool Relay::move(Link& link) {
  const Mode mode = mode_of(link);
  if (mode == Mode::cut || (link.lossy && mode != Mode::deaf)) {
    end(link, true);
    return false;
  }
  if (mode == Mode::stalled) return true;
  const std::size_t most = mode == Mode::drip ? kDripBytes : kBufferBytes;
  link.lossy = link.lossy || mode == Mode::deaf;
  const bool alive =
      pump(link, link.up, most, mode == Mode::deaf) && (mode == Mode::mute || pump(link, link.down, most, false));
  if (!alive) end(link, false);
  return alive;
}

// Reads what there is room for, and writes what is taken. False: one end is gone.
bool Relay::pump(Link& link, Flow& flow, std::size_t bytes_max, bool discard) {
  char bytes[16 * 1024];
  std::size_t taken = 0;
  while (!flow.ended && flow.buffer.size() < kBufferBytes && taken < bytes_max) {
    const ssize_t n =
        ::recv(flow.from, bytes, std::min({sizeof bytes, kBufferBytes - flow.buffer.size(), bytes_max - taken}), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) break;
    if (n < 0) return false;
    if (n == 0) flow.ended = true;
    taken += static_cast<std::size_t>(n);
    if (&flow == &link.up && link.first.size() < kFirstBytes)
      link.first.append(bytes, std::min(static_cast<std::size_t>(n), kFirstBytes - link.first.size()));
    if (!discard) flow.buffer.append(bytes, static_cast<std::size_t>(n));
  }
  std::size_t sent = 0;
  while (!flow.buffer.empty() && sent < bytes_max) {
    const ssize_t n = ::send(flow.to, flow.buffer.data(), std::min(flow.buffer.size(), bytes_max - sent), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) break;
    if (n < 0) return false;
    flow.buffer.erase(0, static_cast<std::size_t>(n));
    sent += static_cast<std::size_t>(n);
  }
  return !(flow.ended && flow.buffer.empty());
}

void Relay::end(Link& link, bool reset) {
  for (const int fd : {link.up.from, link.up.to}) reset ? close_hard(fd) : static_cast<void>(::close(fd));
}

}  // namespace barid::torture
