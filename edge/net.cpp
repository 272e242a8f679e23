#include "edge/net.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace barid::edge {
namespace {
constexpr int kBacklog = 4096;
constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}  // namespace

PeerAddress PeerAddress::from_ipv4(const std::uint8_t (&ip)[4]) {
  PeerAddress address;
  std::memcpy(address.bytes.data(), kMapped, sizeof kMapped);
  std::memcpy(address.bytes.data() + sizeof kMapped, ip, 4);
  return address;
}

bool PeerAddress::is_ipv4() const { return std::memcmp(bytes.data(), kMapped, sizeof kMapped) == 0; }

std::string PeerAddress::text() const {
  char out[INET6_ADDRSTRLEN] = {};
  if (is_ipv4()) {
    inet_ntop(AF_INET, bytes.data() + sizeof kMapped, out, sizeof out);
  } else {
    inet_ntop(AF_INET6, bytes.data(), out, sizeof out);
  }
  return out;
}

std::size_t PeerAddressHash::operator()(const PeerAddress& address) const noexcept {
  return XXH3_64bits(address.bytes.data(), address.bytes.size());
}

PeerAddress peer_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  PeerAddress address;
  if (storage.ss_family == AF_INET) {
    std::uint8_t ip[4];
    std::memcpy(ip, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, sizeof ip);
    return PeerAddress::from_ipv4(ip);
  }
  if (storage.ss_family == AF_INET6)
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, 16);
  return address;
}

int bind_to(const ListenerConfig& listener, bool shared) {
  const std::string where = listener.address + ":" + std::to_string(listener.port);
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;
  if (const int error = getaddrinfo(listener.address.c_str(), std::to_string(listener.port).c_str(), &hints, &found))
    throw std::system_error(EINVAL, std::generic_category(), "cannot listen on " + where + ": " + gai_strerror(error));
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  const bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                     (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
                     ::bind(fd, found->ai_addr, found->ai_addrlen) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (!bound) {
    if (fd >= 0) ::close(fd);
    throw std::system_error(error, std::generic_category(), "cannot listen on " + where);
  }
  return fd;
}

int listen_on(const ListenerConfig& listener, bool shared) {
  const int fd = bind_to(listener, shared);
  if (::listen(fd, kBacklog) == 0) return fd;
  const int error = errno;
  ::close(fd);
  throw std::system_error(error, std::generic_category(),
                          "cannot listen on " + listener.address + ":" + std::to_string(listener.port));
}

std::uint16_t port_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  return ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(storage).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

std::uint16_t free_port_for(const ListenerConfig& listener, bool shared) {
  const int fd = shared && listener.port != 0 ? bind_to(listener, true) : listen_on(listener, false);
  const std::uint16_t port = port_of(fd);
  ::close(fd);
  return port;
}

void set_no_delay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // not TCP: nothing to switch off
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    spdlog::warn("the limit of open files can't be raised: {}", std::strerror(errno));
  spdlog::debug("open files: up to {}", static_cast<unsigned long long>(limit.rlim_cur));
}

}  // namespace barid::edge
