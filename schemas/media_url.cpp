#include "schemas/media_url.h"

#include <charconv>

#include "base/limits.h"
#include "base/log.h"

namespace barid::media {
namespace {

// What is signed says first what it is for, so that a signature for one purpose is none for another.
std::string signature_of(const UploadTicket& t, const crypto::MacKey& key) {
  const std::string text = "barid-upload-v1\n" + hex_id(t.user.value) + "\n" + crypto::to_hex(t.digest) + "\n" +
                           std::to_string(t.bytes) + "\n" + std::to_string(t.expires_s);
  return crypto::to_hex(crypto::view(crypto::hmac_sha256(text, key)));
}
std::string signature_of(const DownloadTicket& t, const crypto::MacKey& key) {
  const std::string text = "barid-download-v1\n" + crypto::to_hex(t.digest) + "\n" + std::to_string(t.expires_s);
  return crypto::to_hex(crypto::view(crypto::hmac_sha256(text, key)));
}

template <class T>
bool parse(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// Lower-case digits only: one name for one thing.
bool parse_digest(std::string_view hex, std::string& digest) {
  return hex.size() == 2 * limits::kMediaDigestBytes && crypto::from_hex(hex, digest) && crypto::to_hex(digest) == hex;
}

template <class Ticket>
Result<Ticket, UrlErrc> judge(Ticket ticket, std::string_view signature, const crypto::MacKey& key,
                              std::int64_t now_s) {
  if (!crypto::equal_constant_time(signature, signature_of(ticket, key))) return fail(UrlErrc::forged);
  if (ticket.expires_s <= now_s) return fail(UrlErrc::expired);
  return ticket;
}

}  // namespace

std::string upload_query(const UploadTicket& ticket, const crypto::MacKey& key) {
  return "u=" + hex_id(ticket.user.value) + "&b=" + std::to_string(ticket.bytes) +
         "&e=" + std::to_string(ticket.expires_s) + "&s=" + signature_of(ticket, key);
}

std::string creation_url(const std::string& base, const UploadTicket& ticket, const crypto::MacKey& key) {
  return base + std::string(kUploadsPath) + "?d=" + crypto::to_hex(ticket.digest) + "&" + upload_query(ticket, key);
}

std::string upload_path(const UploadTicket& ticket, const crypto::MacKey& key) {
  return std::string(kUploadsPath) + "/" + crypto::to_hex(ticket.digest) + "?" + upload_query(ticket, key);
}

std::string download_url(const std::string& base, const DownloadTicket& ticket, const crypto::MacKey& key) {
  return base + std::string(kMediaPath) + "/" + crypto::to_hex(ticket.digest) +
         "?e=" + std::to_string(ticket.expires_s) + "&s=" + signature_of(ticket, key);
}

Result<UploadTicket, UrlErrc> check_upload(const Claims& claims, const crypto::MacKey& key, std::int64_t now_s) {
  UploadTicket ticket;
  std::uint64_t user = 0;
  if (!parse_hex_id(claims.user, user) || !parse_digest(claims.digest, ticket.digest) ||
      !parse(claims.bytes, ticket.bytes) || !parse(claims.expires, ticket.expires_s))
    return fail(UrlErrc::malformed);
  ticket.user = UserId(user);
  return judge(std::move(ticket), claims.signature, key, now_s);
}

Result<DownloadTicket, UrlErrc> check_download(const Claims& claims, const crypto::MacKey& key, std::int64_t now_s) {
  DownloadTicket ticket;
  if (!parse_digest(claims.digest, ticket.digest) || !parse(claims.expires, ticket.expires_s))
    return fail(UrlErrc::malformed);
  return judge(std::move(ticket), claims.signature, key, now_s);
}

}  // namespace barid::media
