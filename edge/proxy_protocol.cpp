#include "edge/proxy_protocol.h"

#include <algorithm>
#include <cstring>

namespace barid::edge {
namespace {
constexpr std::string_view kMagic("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kFixedBytes = 16;
constexpr std::size_t kIpv4Bytes = 12, kIpv6Bytes = 36;  // two addresses, two ports

std::uint8_t at(std::string_view bytes, std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); }
constexpr ProxyHeader kInvalid{ProxyHeader::Status::invalid, 0, {}};
}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  const std::size_t known = std::min(bytes.size(), kMagic.size());
  if (bytes.substr(0, known) != kMagic.substr(0, known)) return kInvalid;
  if (bytes.size() > 12 && (at(bytes, 12) >> 4) != 2) return kInvalid;
  if (bytes.size() < kFixedBytes) return {};

  const int command = at(bytes, 12) & 15;
  const int family = at(bytes, 13) >> 4, transport = at(bytes, 13) & 15;
  const std::size_t length = (static_cast<std::size_t>(at(bytes, 14)) << 8) | at(bytes, 15);
  if (command > 1 || family > 3 || transport > 2) return kInvalid;
  if (kFixedBytes + length > ProxyHeader::kHeaderBytesMax) return kInvalid;
  const bool internet = command == 1 && (family == 1 || family == 2);
  if (internet && length < (family == 1 ? kIpv4Bytes : kIpv6Bytes)) return kInvalid;
  if (bytes.size() < kFixedBytes + length) return {};

  ProxyHeader header{ProxyHeader::Status::complete, kFixedBytes + length, {}};
  if (internet && family == 1) {
    std::uint8_t ip[4];
    std::memcpy(ip, bytes.data() + kFixedBytes, sizeof ip);
    header.client = PeerAddress::from_ipv4(ip);
  } else if (internet) {
    PeerAddress address;
    std::memcpy(address.bytes.data(), bytes.data() + kFixedBytes, address.bytes.size());
    header.client = address;
  }
  return header;
}

}  // namespace barid::edge
