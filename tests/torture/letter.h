// What the clients of a run write to each other: who, where, which one, and filling that can be computed again, so that
// every byte is checked. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace barid::torture {

struct Letter {
  std::string author, conversation;
  std::uint64_t number = 0;
  bool intact = true;  // of parsed ones: the filling is right
};

inline constexpr std::size_t kFillingMax = 16 * 1024;  // bytes; most have far less

std::string text_of(const Letter& letter);
std::optional<Letter> letter_of(std::string_view text);  // nothing: not one of ours

}  // namespace barid::torture
