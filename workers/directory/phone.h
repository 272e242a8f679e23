// Phone numbers as people type them, to E.164. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace barid::directory {

inline constexpr std::size_t kPhoneTextBytesMax = 64;  // as typed; E.164 itself has at most 16 characters

// The number must start with '+' and its country code; spaces, brackets, dashes and the digits of any script
// are fine. The error is a sentence for the person who typed it.
Result<std::string, std::string> normalise_phone(std::string_view text);

}  // namespace barid::directory
