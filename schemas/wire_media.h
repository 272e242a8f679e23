// Requests and responses about media: ciphertexts that the media service keeps by their digest. Part of wire.h; plain
// data. A digest is the SHA-256 of the bytes as they are stored, 32 bytes.
#pragma once

#include <cstdint>
#include <string>

namespace barid::wire {

struct UploadMedia {
  std::string digest;
  std::uint64_t bytes = 0;
};
struct DownloadMedia {
  std::string digest;
};
struct DeleteMedia {
  std::string digest;
};
struct GetMediaUsage {};

struct MediaUpload {
  bool stored = false;  // the bytes are there already, and now kept for this user too: nothing is to be uploaded
  std::string url;      // signed; a tus endpoint. Empty when stored
  std::int64_t expires_at_ms = 0, kept_until_ms = 0;
};
struct MediaUrl {
  std::string url;  // signed
  std::int64_t expires_at_ms = 0;
};
struct MediaUsage {
  std::uint64_t used_bytes = 0, quota_bytes = 0, file_bytes_max = 0;
  std::uint32_t retention_s = 0;
};

}  // namespace barid::wire
