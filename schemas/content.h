// What people (and their clients) say to each other: the inside of Send.content and Deliver.content. Clients only;
// servers carry it unread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/id.h"
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
  std::string digest;  // SHA-256 of what is fetched, 32 bytes, or empty
  std::string name, caption;
  std::uint32_t width = 0, height = 0, duration_ms = 0;
  std::string thumbnail;
  std::uint8_t encoding = 0;       // 0: fetched as it is; 1: sealed (docs/protocol.md, section 18)
  std::string key;                 // encoding 1: 32 bytes
  std::uint64_t sealed_bytes = 0;  // encoding 1: size of the ciphertext
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
// What is sent: a ciphertext. Its plaintext is another Content, padded (client/crypto).
enum class SealedType : std::uint8_t { none, prekey_message, message, sender_key_message };
struct Sealed {
  std::uint8_t version = 0;
  SealedType type = SealedType::none;
  std::string body;
};
struct SenderKey {
  GroupId group;
  std::string key;  // a SenderKeyDistributionMessage
};
struct Retry {
  std::uint64_t seq = 0;  // could not be decrypted: send it again
  GroupId group{};        // 0: one to one
};
struct Again {
  std::uint64_t seq = 0;
  std::string content;  // what seq said; empty: nothing that people see
};
using Content = std::variant<Text, Media, Location, Contact, Sealed, SenderKey, Retry, Again>;

enum class Errc { malformed, invalid_text, invalid_coordinates, too_large };
Result<std::string, Errc> encode(const Content& content);  // packed; at most limits::kContentBytesMax
Result<Content, Errc> decode(std::string_view bytes);      // unknown types (newer clients) are malformed to this one
std::string_view type_name(const Content& content);        // as the schema's

}  // namespace barid::content
