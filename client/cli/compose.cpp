#include "client/cli/compose.h"

#include <openssl/evp.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/limits.h"
#include "base/utf8.h"
#include "client/cli/context.h"

namespace barid::cli {
namespace {

std::string mime_of(const std::filesystem::path& path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".txt", "text/plain"},        {".md", "text/markdown"},    {".html", "text/html"},
      {".pdf", "application/pdf"},   {".png", "image/png"},       {".jpg", "image/jpeg"},
      {".jpeg", "image/jpeg"},       {".gif", "image/gif"},       {".webp", "image/webp"},
      {".mp3", "audio/mpeg"},        {".ogg", "audio/ogg"},       {".opus", "audio/ogg"},
      {".m4a", "audio/mp4"},         {".wav", "audio/wav"},       {".mp4", "video/mp4"},
      {".webm", "video/webm"},       {".zip", "application/zip"}, {".gz", "application/gzip"},
      {".json", "application/json"}, {".csv", "text/csv"}};
  std::string extension = path.extension().string();
  if (const std::size_t query = extension.find_first_of("?#"); query != std::string::npos) extension.resize(query);
  for (const auto& [known, type] : kTypes)
    if (extension == known) return std::string(type);
  return "application/octet-stream";
}

// Reads at most what a message can carry into `head`, and hashes everything.
content::Media describe_file(const std::string& path, std::string& head) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) throw Failure(Exit::error, "cannot read " + path);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
  content::Media media;
  std::array<char, 64 * 1024> buffer;
  while (file.read(buffer.data(), buffer.size()), file.gcount() > 0) {
    const auto n = static_cast<std::size_t>(file.gcount());
    EVP_DigestUpdate(hash.get(), buffer.data(), n);
    media.bytes += n;
    if (head.size() <= limits::kContentBytesMax) head.append(buffer.data(), n);
  }
  if (file.bad()) throw Failure(Exit::error, "reading " + path + " failed");
  media.digest.resize(32);
  EVP_DigestFinal_ex(hash.get(), reinterpret_cast<unsigned char*>(media.digest.data()), nullptr);
  media.name = std::filesystem::path(path).filename().string();
  media.mime = mime_of(path);
  return media;
}

}  // namespace

std::string encode_or_fail(const content::Content& content) {
  auto bytes = content::encode(content);
  if (bytes) return std::move(*bytes);
  switch (bytes.error()) {
    case content::Errc::too_large:
      throw Failure(Exit::usage, "the message is too long: one carries up to about 60 KB (--file sends a reference)");
    case content::Errc::invalid_text:
      throw Failure(Exit::usage, "the text is not valid UTF-8");
    case content::Errc::invalid_coordinates:
      throw Failure(Exit::usage, "there is no such place: LAT is -90…90, LON is -180…180");
    case content::Errc::malformed:
      break;
  }
  throw Failure(Exit::error, "the message cannot be encoded");
}

content::Content text_content(std::string text) { return content::Text{std::move(text)}; }

content::Content file_content(const std::string& path) {
  std::string head;
  content::Media media = describe_file(path, head);
  const bool is_text = head.size() == media.bytes && is_valid_utf8(head) && head.find('\0') == std::string::npos;
  if (is_text && !head.empty() && content::encode(content::Text{head})) return content::Text{std::move(head)};
  if (!is_valid_utf8(media.name)) media.name = "file";
  return media;
}

content::Content media_content(content::MediaKind kind, const std::string& url, const std::string& caption) {
  content::Media media;
  media.kind = kind;
  media.url = url;
  media.caption = caption;
  media.mime = mime_of(url);
  media.name = std::filesystem::path(url.substr(0, url.find_first_of("?#"))).filename().string();
  return media;
}

content::Content location_content(const std::string& lat_lon, const std::string& place) {
  content::Location location;
  char* end = nullptr;
  location.latitude = std::strtod(lat_lon.c_str(), &end);
  const bool comma = end != lat_lon.c_str() && *end == ',';
  const char* second = comma ? end + 1 : end;
  location.longitude = std::strtod(second, &end);
  if (!comma || end == second || *end != '\0')
    throw Failure(Exit::usage, "a location is LAT,LON in degrees, for example 52.5163,13.3777");
  location.name = place;
  return location;
}

content::Content card_content(const std::string& name, const std::string& phone) {
  const auto number = normal_phone(phone);
  if (!number) throw Failure(Exit::usage, "a contact's number is international, like +4915112345678");
  return content::Contact{name, {*number}};
}

}  // namespace barid::cli
