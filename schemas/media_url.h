// Signed URLs of the media service: whoever holds one may do what it says until it expires, without logging in. The
// directory makes them, barid-media checks them, both with media.key; docs/protocol.md, section 18, has their form.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::media {

inline constexpr std::string_view kUploadsPath = "/v1/uploads";
inline constexpr std::string_view kMediaPath = "/v1/media";

struct UploadTicket {
  UserId user;
  std::string digest;  // SHA-256 of the bytes that are to come, 32 bytes
  std::uint64_t bytes = 0;
  std::int64_t expires_s = 0;  // since 1970
  bool operator==(const UploadTicket&) const = default;
};
struct DownloadTicket {
  std::string digest;
  std::int64_t expires_s = 0;
  bool operator==(const DownloadTicket&) const = default;
};

enum class UrlErrc { malformed, forged, expired };

// The query without its question mark: u, b, e and s. The digest is in the path, but for the one that creates.
std::string upload_query(const UploadTicket& ticket, const crypto::MacKey& key);
std::string creation_url(const std::string& base, const UploadTicket& ticket, const crypto::MacKey& key);
std::string upload_path(const UploadTicket& ticket, const crypto::MacKey& key);  // of the upload itself, with its query
std::string download_url(const std::string& base, const DownloadTicket& ticket, const crypto::MacKey& key);

// What a request brought: hexadecimal and decimal texts, as yet untrusted.
struct Claims {
  std::string_view user, digest, bytes, expires, signature;
};
Result<UploadTicket, UrlErrc> check_upload(const Claims& claims, const crypto::MacKey& key, std::int64_t now_s);
Result<DownloadTicket, UrlErrc> check_download(const Claims& claims, const crypto::MacKey& key, std::int64_t now_s);

}  // namespace barid::media
