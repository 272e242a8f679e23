#include "edge/media/range.h"

#include <algorithm>
#include <charconv>

namespace barid::media {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return UINT64_MAX;
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

Wanted read_range(std::string_view header, std::uint64_t file_bytes) {
  constexpr std::string_view kUnit = "bytes=";
  if (header.substr(0, kUnit.size()) != kUnit) return WholeFile{};
  header.remove_prefix(kUnit.size());
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return WholeFile{};
  const std::string_view from = header.substr(0, dash), to = header.substr(dash + 1);
  if (from.empty()) {  // the last so many
    const auto last = number(to);
    if (!last) return WholeFile{};
    if (*last == 0 || file_bytes == 0) return OutOfRange{};
    const std::uint64_t count = std::min(*last, file_bytes);
    return BytesOf{file_bytes - count, count};
  }
  const auto first = number(from);
  const auto last = to.empty() ? std::optional<std::uint64_t>(UINT64_MAX) : number(to);
  if (!first || !last || *last < *first) return WholeFile{};
  if (*first >= file_bytes) return OutOfRange{};
  return BytesOf{*first, std::min(*last, file_bytes - 1) - *first + 1};
}

}  // namespace barid::media
