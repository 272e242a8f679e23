// SPDX-License-Identifier: GPL-3.0-or-later
// Padding of plaintexts, so that the length of a ciphertext says little: a byte 0x80, then zeros up to the next step
// (ISO/IEC 7816-4). Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace barid::e2ee {

inline std::size_t padded_size(std::size_t size) {
  const std::size_t with_mark = size + 1;
  const std::size_t step = with_mark <= 1'024 ? 64 : with_mark <= 4'096 ? 256 : 1'024;
  return (with_mark + step - 1) / step * step;
}
inline std::string pad(std::string_view plain) {
  std::string out(padded_size(plain.size()), '\0');
  plain.copy(out.data(), plain.size());
  out[plain.size()] = '\x80';
  return out;
}
// nullopt: there is no mark.
inline std::optional<std::string_view> unpad(std::string_view padded) {
  const std::size_t mark = padded.find_last_not_of('\0');
  if (mark == std::string_view::npos || padded[mark] != '\x80') return std::nullopt;
  return padded.substr(0, mark);
}

}  // namespace barid::e2ee
