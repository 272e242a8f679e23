// The Range header of RFC 9110, section 14, for one range of bytes. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace barid::media {

struct WholeFile {};
struct BytesOf {
  std::uint64_t first = 0, count = 0;  // within the file
};
struct OutOfRange {};
using Wanted = std::variant<WholeFile, BytesOf, OutOfRange>;

// A header that is malformed, of another unit or of several ranges is ignored, as the RFC allows: the whole file.
Wanted read_range(std::string_view header, std::uint64_t file_bytes);

}  // namespace barid::media
