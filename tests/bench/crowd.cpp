#include "tests/bench/crowd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace barid::bench {
namespace {

[[noreturn]] void fail_errno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void set_option(int fd, int level, int option, int value) {
  if (::setsockopt(fd, level, option, &value, sizeof value) != 0) fail_errno("setsockopt");
}

sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
  return address;
}

}  // namespace

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Crowd::Crowd(Server server, Dialect& dialect, Plan& plan)
    : server_(std::move(server)),
      dialect_(dialect),
      plan_(plan),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      buffer_(new char[kReadBytes]),
      events_(new epoll_event[kEventsMax]) {
  if (epoll_ < 0) fail_errno("epoll_create1");
}
Crowd::~Crowd() {
  for (const auto& client : clients_)
    if (client->fd >= 0) ::close(client->fd);
  ::close(epoll_);
}

Client& Crowd::add(std::uint32_t name, const Identity* identity) {
  auto client = std::make_unique<Client>();
  client->index = static_cast<std::uint32_t>(clients_.size());
  client->name = name;
  client->identity = identity;
  clients_.push_back(std::move(client));
  return *clients_.back();
}

void Crowd::connect(Client& client) {
  client.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client.fd < 0) fail_errno("socket (is the limit of open files, ulimit -n, too low?)");
  set_option(client.fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (client.name >= kSourceClients) {
    set_option(client.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const sockaddr_in source = loopback(static_cast<std::uint32_t>(client.name / kSourceClients), 0);
    if (::bind(client.fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) fail_errno("bind");
  }
  const sockaddr_in address = loopback(0, server_.ports[client.name % server_.ports.size()]);
  if (::connect(client.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
    fail_errno("connect to 127.0.0.1");
  client.state = ClientState::connecting;
  client.step = 0;
  client.taken = client.acked = 0;
  client.closes = client.waits_to_write = false;
  client.in.clear();
  client.out.clear();
  client.wire.clear();
  client.layers.reset();
  if (server_.transport != Transport::tcp) client.layers = std::make_unique<Layers>(server_.transport, server_.tls);
  client.since_ns = now_ns();
  epoll_event event{};
  event.events = EPOLLOUT;
  event.data.ptr = &client;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event) != 0) fail_errno("epoll_ctl");
}

void Crowd::touch(Client& client) {
  if (std::exchange(client.dirty, true)) return;
  dirty_.push_back(&client);
}

void Crowd::close_when_written(Client& client) {
  client.closes = true;
  touch(client);
}

void Crowd::close_now(Client& client) {
  if (client.fd < 0) return;
  const linger abort{1, 0};
  ::setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  gone(client);
}

void Crowd::gone(Client& client) {
  ::close(client.fd);
  client.fd = -1;
  client.state = ClientState::offline;
  client.layers.reset();
  client.in = {};
  client.out = {};
  client.wire = {};
  plan_.on_gone(client);
}

void Crowd::turn(std::int64_t now, std::int64_t wait_ns) {
  turn_now_ = now;
  flushing_.swap(dirty_);  // what the plan wrote since the last turn
  for (Client* client : flushing_) {
    client->dirty = false;
    if (client->fd >= 0) flush(*client);
  }
  flushing_.clear();
  wait_ns = std::max<std::int64_t>(wait_ns, 0);
  const timespec timeout{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
  const int count = ::epoll_pwait2(epoll_, events_.get(), kEventsMax, &timeout, nullptr);
  if (count < 0 && errno != EINTR) fail_errno("epoll_pwait2");
  turn_now_ = now_ns();
  for (int i = 0; i < count; ++i) handle(*static_cast<Client*>(events_[i].data.ptr), events_[i].events);
}

void Crowd::handle(Client& client, std::uint32_t events) {
  if (client.fd < 0) return;
  if (client.state == ClientState::connecting) return connected(client);
  if ((events & EPOLLOUT) != 0) touch(client);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(client);
}

void Crowd::connected(Client& client) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    errno = error;
    fail_errno("connect to 127.0.0.1");
  }
  client.state = ClientState::greeting;
  rearm(client, false);
  if (client.layers != nullptr) {
    client.layers->start(client.wire);
  } else {
    dialect_.greet(client);
  }
  touch(client);
}

void Crowd::rearm(Client& client, bool want_write) {
  client.waits_to_write = want_write;
  epoll_event event{};
  event.events = want_write ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = &client;
  if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event) != 0) fail_errno("epoll_ctl");
}

void Crowd::read(Client& client) {
  const ssize_t count = ::recv(client.fd, buffer_.get(), kReadBytes, 0);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    return gone(client);
  }
  if (count == 0) return gone(client);
  const std::string_view bytes(buffer_.get(), static_cast<std::size_t>(count));
  if (client.layers == nullptr) return receive(client, bytes);
  plain_.clear();
  const bool was_ready = client.layers->ready();
  if (!client.layers->receive(bytes, plain_, client.wire)) {
    if (!plain_.empty()) receive(client, plain_);  // an Error frame that says more
    if (client.fd >= 0) plan_.on_trouble(client, client.layers->why());
    return;
  }
  if (!client.wire.empty()) touch(client);
  if (!was_ready && client.layers->ready()) dialect_.greet(client);
  if (!plain_.empty()) receive(client, plain_);
}

void Crowd::receive(Client& client, std::string_view bytes) {
  if (client.in.empty()) {
    const std::size_t used = dialect_.receive(client, bytes, plan_);
    if (client.fd >= 0 && used < bytes.size()) client.in.assign(bytes.substr(used));
  } else {
    client.in.append(bytes);
    const std::size_t used = dialect_.receive(client, client.in, plan_);
    if (client.fd < 0) return;
    client.in.erase(0, used);
    if (client.in.empty()) client.in.shrink_to_fit();
  }
  if (client.fd < 0) return;
  dialect_.end_of_read(client);
  if (!client.out.empty()) touch(client);
}

void Crowd::flush(Client& client) {
  std::string* bytes = &client.out;
  if (client.layers != nullptr) {
    if (client.layers->ready() && !client.out.empty()) {
      client.layers->seal(client.out, client.wire);
      client.out.clear();
    }
    bytes = &client.wire;
  }
  if (!bytes->empty()) {
    const ssize_t count = ::send(client.fd, bytes->data(), bytes->size(), MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return gone(client);
    bytes->erase(0, count < 0 ? 0 : static_cast<std::size_t>(count));
    if (client.waits_to_write != !bytes->empty()) rearm(client, !bytes->empty());
  }
  if (client.closes && bytes->empty()) {
    client.closes = false;
    ::shutdown(client.fd, SHUT_WR);  // the other side closes, which is when it is gone
  }
}

}  // namespace barid::bench
