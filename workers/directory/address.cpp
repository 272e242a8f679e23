#include "workers/directory/address.h"

#include <arpa/inet.h>

#include <cstring>

namespace barid::directory {

std::string throttle_address(const std::string& address) {
  in_addr v4{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return address;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, address.c_str(), &v6) != 1) return "unknown";
  char text[INET6_ADDRSTRLEN];
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return ::inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
  std::memset(v6.s6_addr + 8, 0, 8);
  return std::string(::inet_ntop(AF_INET6, &v6, text, sizeof text)) + "/64";
}

}  // namespace barid::directory
