#include "client/core/transport.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/assert.h"

namespace barid::client {

// The answer of the resolver, shared with its thread: getaddrinfo may block for many seconds.
struct Resolution {
  struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
  };
  static constexpr std::size_t kAddressesMax = 8;

  int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<bool> done{false};
  std::vector<Address> addresses;  // written before done, read after
  std::string error;
  ~Resolution() { ::close(wake); }

  void run(const std::string& host, const std::string& port) {
    addrinfo hints{}, *list = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    int result = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    if (result == EAI_ADDRFAMILY || result == EAI_NONAME) {  // loopback addresses on a machine without a network
      hints.ai_flags = AI_NUMERICSERV;
      result = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    }
    if (result != 0) error = "cannot find " + host + ": " + ::gai_strerror(result);
    for (const addrinfo* a = list; result == 0 && a != nullptr && addresses.size() < kAddressesMax; a = a->ai_next) {
      Address address;
      std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
      address.size = a->ai_addrlen;
      addresses.push_back(address);
    }
    if (list != nullptr) ::freeaddrinfo(list);
    done.store(true, std::memory_order_release);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto put = ::write(wake, &one, sizeof one);
  }
};

Transport::Transport(const ServerUrl& url, const std::string& tls_ca, TimePoint now)
    : url_(url), resolution_(std::make_shared<Resolution>()), tried_at_(now) {
  if (url.tls) layers_.push_back(make_tls_layer(url, tls_ca));
  if (url.websocket) layers_.push_back(make_websocket_layer(url));
  std::thread([resolution = resolution_, host = url.host, port = std::to_string(url.port)] {
    resolution->run(host, port);
  }).detach();  // may outlive us: it shares only the Resolution
}

Transport::~Transport() { give_up_socket(); }

void Transport::give_up_socket() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  connected_ = false;
}

int Transport::fd() const {
  if (status_ == Status::closed) return -1;
  return socket_ >= 0 ? socket_ : resolution_->wake;
}

short Transport::events() const {
  if (socket_ < 0) return POLLIN;
  if (!connected_) return POLLOUT;
  return static_cast<short>(POLLIN | (unsent_.empty() ? 0 : POLLOUT));
}

void Transport::fail(std::string why) {
  if (status_ == Status::closed) return;
  status_ = Status::closed;
  error_ = std::move(why);
  give_up_socket();
}

void Transport::tick(TimePoint now) {
  if (status_ == Status::opening && now >= tried_at_ + kConnectDeadline) {
    if (!resolution_->done.load(std::memory_order_acquire)) return fail("cannot find " + url_.host + ": no answer");
    error_ = "no answer";
    if (socket_ >= 0 && !connected_) return try_next(now);
    fail("the server does not answer");
  }
}

void Transport::ready(short revents, TimePoint now) {
  if (status_ == Status::closed || revents == 0) return;
  if (socket_ < 0) {
    if (resolution_->done.load(std::memory_order_acquire)) resolved(now);
    return;
  }
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      error_ = std::strerror(error);
      return try_next(now);
    }
    return opened();
  }
  if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) read();
  if (status_ != Status::closed && (revents & POLLOUT) != 0) write();
}

void Transport::resolved(TimePoint now) {
  if (!resolution_->error.empty()) return fail(resolution_->error);
  try_next(now);
}

void Transport::try_next(TimePoint now) {
  give_up_socket();
  while (next_address_ < resolution_->addresses.size()) {
    const Resolution::Address& address = resolution_->addresses[next_address_++];
    tried_at_ = now;
    socket_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) {
      error_ = std::strerror(errno);
      continue;
    }
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto* where = reinterpret_cast<const sockaddr*>(&address.storage);
    if (::connect(socket_, where, address.size) == 0) return opened();
    if (errno == EINPROGRESS) return;
    error_ = std::strerror(errno);
    give_up_socket();
  }
  fail("cannot reach " + url_.host + ":" + std::to_string(url_.port) + (error_.empty() ? "" : " (" + error_ + ")"));
}

void Transport::opened() {
  connected_ = true;
  error_.clear();
  if (layers_.empty()) {
    status_ = Status::open;
    return;
  }
  layers_.front()->start();
  pump_down();
}

void Transport::read() {
  std::array<char, 64 * 1024> buffer;
  for (std::size_t total = 0; total < kReadBytesMax;) {
    const ssize_t n = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) return fail(std::string("the connection broke: ") + std::strerror(errno));
    if (n == 0) return fail("the server closed the connection");
    total += static_cast<std::size_t>(n);
    if (!pump_up(std::string(buffer.data(), static_cast<std::size_t>(n)))) return;
  }
}

bool Transport::pump_up(std::string bytes) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = *layers_[i];
    const bool was_ready = layer.ready();
    const bool fine = layer.received(bytes);
    if (!was_ready && layer.ready() && i + 1 < layers_.size()) layers_[i + 1]->start();
    bytes = layer.take_up();
    if (!fine) {
      received_ += i + 1 == layers_.size() ? bytes : std::string();
      pump_down();
      fail(layer.error());
      return false;
    }
    if (!layer.ready()) break;
  }
  pump_down();
  const bool all_ready = layers_.empty() || layers_.back()->ready();
  if (status_ == Status::opening && all_ready) status_ = Status::open;
  if (all_ready) received_ += bytes;
  return status_ != Status::closed;
}

void Transport::pump_down() {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    std::string down = layers_[i]->take_down();
    if (down.empty()) continue;
    if (i == 0) {
      unsent_ += down;
    } else {
      layers_[i - 1]->send(down);
    }
  }
  if (!unsent_.empty()) write();
}

void Transport::send(std::string_view bytes) {
  BARID_ASSERT(status_ == Status::open);
  if (layers_.empty()) {
    unsent_.append(bytes);
    write();
  } else {
    layers_.back()->send(bytes);
    pump_down();
  }
}

void Transport::write() {
  while (!unsent_.empty() && socket_ >= 0) {
    const ssize_t n = ::send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) return;  // what was received before the break is still worth reading; read() then finds the break
    unsent_.erase(0, static_cast<std::size_t>(n));
  }
}

void Transport::shut() {
  if (status_ == Status::open)
    for (std::size_t i = layers_.size(); i-- > 0;) layers_[i]->shut(), pump_down();
  fail("closed");
}

}  // namespace barid::client
