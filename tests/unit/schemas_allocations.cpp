#include "schemas_allocations.h"

#include <cstdlib>
#include <new>

namespace barid {
std::size_t& allocated_bytes() {
  static thread_local std::size_t bytes = 0;
  return bytes;
}
}  // namespace barid

void* operator new(std::size_t size) {
  barid::allocated_bytes() += size;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
