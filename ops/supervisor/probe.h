// Ready checks that need no other program. Used as the `ready` command of a process.
#pragma once

#include <string>

namespace barid::supervisor {

// HOST:PORT accepts a connection; HOST:PORT/PATH answers GET with 200. Within 2 s. HOST is an IPv4 address.
bool answers(const std::string& target);

}  // namespace barid::supervisor
