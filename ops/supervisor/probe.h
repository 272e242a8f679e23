// Ready checks that need no other program. Used as the `ready` command of a process.
#pragma once

#include <optional>
#include <string>

namespace barid::supervisor {

// HOST:PORT accepts a connection; HOST:PORT/PATH answers GET with 200. Within 2 s. HOST is an IPv4 address.
bool answers(const std::string& target);

// The body of the 200 answer of HOST:PORT/PATH, within 2 s between two pieces, at most 16 MiB; nullopt: there was none.
std::optional<std::string> http_get(const std::string& target);

}  // namespace barid::supervisor
