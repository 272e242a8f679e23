// Peers' addresses and listening sockets. Plain values and functions, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/config.h"

namespace barid::edge {

// IPv6, or IPv4 mapped into it (RFC 4291, 2.5.5.2): one kind of key for every limit per address.
struct PeerAddress {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const PeerAddress&) const = default;

  static PeerAddress from_ipv4(const std::uint8_t (&ip)[4]);
  bool is_ipv4() const;
  std::string text() const;
};
struct PeerAddressHash {
  std::size_t operator()(const PeerAddress& address) const noexcept;
};

PeerAddress peer_of(int fd);  // all zero when the kernel does not know

// A listening socket. Shared: with SO_REUSEPORT, so that every reactor has its own; the kernel would share the port
// with a stranger in silence too, so ask free_port_for() first. Throws std::system_error naming the address.
int listen_on(const ListenerConfig& listener, bool shared);
// The listener's port, or a free one in place of 0. Throws when it is taken; shared: one that others share is not.
std::uint16_t free_port_for(const ListenerConfig& listener, bool shared);
int bind_to(const ListenerConfig& listener, bool shared);  // as listen_on, but it does not listen yet
std::uint16_t port_of(int fd);
void set_no_delay(int fd);
void raise_descriptor_limit();  // RLIMIT_NOFILE to its hard limit

}  // namespace barid::edge
