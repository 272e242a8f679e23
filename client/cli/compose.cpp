#include "client/cli/compose.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

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

content::MediaKind kind_of(const std::string& mime) {
  if (mime.starts_with("image/")) return content::MediaKind::image;
  if (mime.starts_with("audio/")) return content::MediaKind::audio;
  return mime.starts_with("video/") ? content::MediaKind::video : content::MediaKind::document;
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

content::Content file_content(const std::string& path, bool as_file) {
  std::ifstream file(path, std::ios::binary);
  if (!file || !std::filesystem::is_regular_file(path)) throw Failure(Exit::error, "cannot read " + path);
  content::Media media;
  media.bytes = std::filesystem::file_size(path);
  if (media.bytes == 0) throw Failure(Exit::usage, path + " is empty");
  if (!as_file && media.bytes <= limits::kContentBytesMax) {
    std::string text(media.bytes, '\0');
    if (!file.read(text.data(), static_cast<std::streamsize>(text.size())))
      throw Failure(Exit::error, "reading " + path + " failed");
    const bool is_text = is_valid_utf8(text) && text.find('\0') == std::string::npos;
    if (is_text && content::encode(content::Text{text})) return content::Text{std::move(text)};
  }
  media.name = std::filesystem::path(path).filename().string();
  if (!is_valid_utf8(media.name)) media.name = "file";
  media.mime = mime_of(path);
  media.kind = kind_of(media.mime);
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
