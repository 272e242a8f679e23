// Always-on assertion: a bug ends the process (the supervisor restarts it) rather than corrupt an order or a
// count.
#pragma once

namespace barid {
[[noreturn]] void assertion_failed(const char* what, const char* file, int line);
}
#define BARID_ASSERT(cond) ((cond) ? static_cast<void>(0) : ::barid::assertion_failed(#cond, __FILE__, __LINE__))
