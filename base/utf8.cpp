#include "base/utf8.h"

#include <utf8proc.h>

namespace barid {

bool is_valid_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t codepoint = 0;
    const utf8proc_ssize_t used = utf8proc_iterate(p, left, &codepoint);
    if (used <= 0) return false;
    p += used;
    left -= used;
  }
  return true;
}

}  // namespace barid
