// Counts what this thread has asked operator new for, so that a test can hold a decoder to its memory limit.
#pragma once

#include <cstddef>

namespace barid {
std::size_t& allocated_bytes();  // set it to zero first
}
