#include "client/cli/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

namespace barid::cli {
namespace {

// One code point at `at`; what is not UTF-8 reads as -1, one byte long.
struct Point {
  utf8proc_int32_t value = -1;
  std::size_t bytes = 1;
};
Point point_at(std::string_view text, std::size_t at) {
  Point p;
  const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                  static_cast<utf8proc_ssize_t>(text.size() - at), &p.value);
  if (n > 0)
    p.bytes = static_cast<std::size_t>(n);
  else
    p.value = -1;
  return p;
}

bool overrides_direction(utf8proc_int32_t c) { return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069); }
bool is_separator(utf8proc_int32_t c) { return c == '\n' || c == 0x2028 || c == 0x2029; }
bool is_flag_half(utf8proc_int32_t c) { return c >= 0x1F1E6 && c <= 0x1F1FF; }

std::size_t cluster_width(std::string_view cluster) {
  std::size_t widest = 0;
  for (std::size_t at = 0; at < cluster.size();) {
    const Point p = point_at(cluster, at);
    at += p.bytes;
    if (p.value == 0xFE0F)
      widest = 2;  // shown as emoji
    else if (p.value >= 0)
      widest = std::max<std::size_t>(widest, is_flag_half(p.value) && at < cluster.size()
                                                 ? 2
                                                 : static_cast<std::size_t>(std::max(0, utf8proc_charwidth(p.value))));
  }
  return std::min<std::size_t>(widest, 2);
}

}  // namespace

std::string printable(std::string_view text, bool keep_newlines) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Point p = point_at(text, at);
    if (p.value == '\t') {
      out += "    ";
    } else if (is_separator(p.value)) {
      out += keep_newlines ? '\n' : ' ';
    } else if (p.value >= 0x20 && p.value != 0x7F && !(p.value >= 0x80 && p.value < 0xA0) &&
               !overrides_direction(p.value)) {
      out.append(text.substr(at, p.bytes));
    }
    at += p.bytes;
  }
  return out;
}

std::size_t next_cluster(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  utf8proc_int32_t state = 0;
  Point before = point_at(text, at);
  at += before.bytes;
  while (at < text.size()) {
    const Point p = point_at(text, at);
    if (before.value < 0 || p.value < 0 || utf8proc_grapheme_break_stateful(before.value, p.value, &state)) break;
    before = p;
    at += p.bytes;
  }
  return at;
}

std::size_t previous_cluster(std::string_view text, std::size_t at) {
  // Breaks depend on what stands before: walk from the last line break (or the beginning).
  const std::size_t line = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  std::size_t start = line == std::string_view::npos || line + 1 >= at ? 0 : line + 1;
  if (line != std::string_view::npos && line + 1 == at) return line;
  for (std::size_t next = start; next < at; next = next_cluster(text, next)) start = next;
  return start;
}

std::size_t width(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = next_cluster(text, at);
    columns += cluster_width(text.substr(at, end - at));
    at = end;
  }
  return columns;
}

std::string cut(std::string_view text, std::size_t columns) {
  if (width(text) <= columns) return std::string(text);
  if (columns == 0) return {};
  std::size_t used = 0, at = 0;
  while (at < text.size()) {
    const std::size_t end = next_cluster(text, at);
    const std::size_t w = cluster_width(text.substr(at, end - at));
    if (used + w > columns - 1) break;
    used += w;
    at = end;
  }
  return std::string(text.substr(0, at)) + "…";
}

std::vector<std::string> wrap(std::string_view text, std::size_t columns) {
  columns = std::max<std::size_t>(columns, 2);
  std::vector<std::string> lines;
  std::size_t start = 0, used = 0,
              space = std::string_view::npos;  // space: the byte after the last one in this line
  const auto end_line = [&](std::size_t end, std::size_t next) {
    std::size_t trimmed = end;
    while (trimmed > start && text[trimmed - 1] == ' ') --trimmed;
    lines.emplace_back(text.substr(start, trimmed - start));
    start = next;
    space = std::string_view::npos;
    used = 0;
  };
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\n') {
      end_line(at, at + 1);
      ++at;
      continue;
    }
    const std::size_t end = next_cluster(text, at);
    const std::size_t w = cluster_width(text.substr(at, end - at));
    const bool is_space =
        text.substr(at, end - at) == " ";  // alone: with a mark on it, it is a character like any other
    while (used + w > columns && used != 0 && !is_space) {  // again, if what follows the space is too long as well
      const std::size_t at_break = space != std::string_view::npos ? space : at;
      end_line(at_break, at_break);
      used = width(text.substr(start, at - start));
    }
    used += w;
    at = end;
    if (is_space) space = at;
  }
  end_line(text.size(), text.size());
  return lines;
}

bool right_to_left(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Point p = point_at(text, at);
    at += p.bytes;
    if (p.value < 0x590) continue;
    const auto direction = utf8proc_get_property(p.value)->bidi_class;
    if (direction == UTF8PROC_BIDI_CLASS_R || direction == UTF8PROC_BIDI_CLASS_AL) return true;
  }
  return false;
}

}  // namespace barid::cli
