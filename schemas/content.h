// What people say to each other: the inside of Send.content and Deliver.content. Clients only; servers carry
// it unread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace barid::content {

struct Text {
  std::string text;
};
enum class MediaKind : std::uint8_t { image, audio, video, document };
struct Media {
  MediaKind kind = MediaKind::document;
  std::string url, mime;
  std::uint64_t bytes = 0;
  std::string digest;  // SHA-256, 32 bytes, or empty
  std::string name, caption;
  std::uint32_t width = 0, height = 0, duration_ms = 0;
  std::string thumbnail;
};
struct Location {
  double latitude = 0, longitude = 0;  // degrees, WGS 84
  float accuracy_m = 0;
  std::string name;
};
struct Contact {
  std::string name;
  std::vector<std::string> phones;
};
using Content = std::variant<Text, Media, Location, Contact>;

enum class Errc { malformed, invalid_text, invalid_coordinates, too_large };
Result<std::string, Errc> encode(const Content& content);  // packed; at most limits::kContentBytesMax
Result<Content, Errc> decode(std::string_view bytes);      // unknown types (newer clients) are malformed to this one
std::string_view type_name(const Content& content);        // text, image, audio, video, document, location, contact

}  // namespace barid::content
