// UTF-8 validation (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
#pragma once

#include <string_view>

namespace barid {
bool is_valid_utf8(std::string_view text);
}
