// A client's network address as a throttle sees it. Pure.
#pragma once

#include <string>

namespace barid::directory {

// IPv4 as it is (also when mapped into IPv6), IPv6 cut to its /64: a host owns at least that many. Anything
// else becomes "unknown", one throttle for all.
std::string throttle_address(const std::string& address);

}  // namespace barid::directory
