// PROXY protocol version 2 (haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2.2): the header that a load
// balancer puts before the client's bytes. A pure parser, bounded by kHeaderBytesMax, any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "edge/net.h"

namespace barid::edge {

struct ProxyHeader {
  static constexpr std::size_t kHeaderBytesMax = 536;  // 16 + addresses + TLVs; longer headers are refused

  enum class Status { incomplete, complete, invalid };
  Status status = Status::incomplete;
  std::size_t bytes = 0;              // of the header, when complete
  std::optional<PeerAddress> client;  // none: LOCAL (a health check), or not an internet address
};

// Recognises garbage with the first wrong byte; never reads past `bytes`.
ProxyHeader parse_proxy_header(std::string_view bytes);

}  // namespace barid::edge
