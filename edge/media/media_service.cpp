#include "edge/media/media_service.h"

#include <ctime>

#include "base/limits.h"
#include "base/log.h"
#include "base/observe.h"
#include "edge/media/range.h"

namespace barid::media {
namespace {

constexpr std::string_view kUploadMethods = "OPTIONS, HEAD, POST, PATCH, DELETE";
constexpr std::string_view kDownloadMethods = "OPTIONS, HEAD, GET";

std::string http_date(std::int64_t at_s) {  // RFC 9110, section 5.6.7
  const std::time_t seconds = at_s;
  std::tm parts{};
  char text[64] = {};
  ::gmtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text;
}

// The digest in "/v1/media/<digest>"; nothing when the path is another.
std::optional<std::string_view> behind(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix) || path.size() <= prefix.size() || path[prefix.size()] != '/') return std::nullopt;
  return path.substr(prefix.size() + 1);
}

}  // namespace

MediaService::MediaService(const MediaConfig& config, const crypto::MacKey& key, Store& store, storage::Pool& pool,
                           Observe& observe, WallClock clock)
    : config_(config),
      key_(key),
      store_(store),
      media_(pool),
      observe_(observe),
      clock_(std::move(clock)),
      bytes_in_(observe.counter("barid_media_bytes_total", "bytes of media moved", {{"direction", "in"}})),
      bytes_out_(observe.counter("barid_media_bytes_total", "bytes of media moved", {{"direction", "out"}})),
      stored_(observe.counter("barid_media_stored_total", "uploads that were completed")) {}

Service::Begun MediaService::begin(const Request& request) {
  std::string_view method = request.method();
  const std::string_view path = request.path();
  if (path == kUploadsPath) return begin_upload(request, method, {});
  if (const auto digest = behind(path, kUploadsPath)) return begin_upload(request, method, *digest);
  const auto digest = behind(path, kMediaPath);
  if (!digest) return with_common(refuse(404, "path", "there is nothing here"), false);
  if (method == "OPTIONS") return with_common(options(false), false);
  if (method != "GET" && method != "HEAD") {
    Reply reply = refuse(405, "method", "only GET and HEAD");
    reply.headers.emplace_back("Allow", kDownloadMethods);
    return with_common(std::move(reply), false);
  }
  return with_common(download(request, *digest, method == "HEAD"), false);
}

// What a browser needs to know of every reply, and what keeps it from ever running one.
Reply MediaService::with_common(Reply reply, bool upload) const {
  auto& h = reply.headers;
  h.emplace_back("Access-Control-Allow-Origin", config_.cors_origin);
  h.emplace_back("Access-Control-Expose-Headers",
                 upload ? "Location, Upload-Offset, Upload-Length, Upload-Expires, Tus-Resumable, Tus-Version, "
                          "Tus-Extension, Tus-Max-Size, Retry-After"
                        : "Accept-Ranges, Content-Length, Content-Range, ETag");
  h.emplace_back("X-Content-Type-Options", "nosniff");
  h.emplace_back("Content-Security-Policy", "sandbox; default-src 'none'");
  h.emplace_back("Cross-Origin-Resource-Policy", "cross-origin");
  h.emplace_back("Referrer-Policy", "no-referrer");
  if (!reply.file.open() && !reply.body.empty()) h.emplace_back("Content-Type", "text/plain; charset=utf-8");
  if (upload) {
    h.emplace_back("Tus-Resumable", "1.0.0");
    h.emplace_back("Cache-Control", "no-store");
  }
  return reply;
}

Reply MediaService::options(bool upload) const {
  Reply reply{204, {}, {}, {}, 0, 0};
  auto& h = reply.headers;
  h.emplace_back("Access-Control-Allow-Methods", upload ? kUploadMethods : kDownloadMethods);
  h.emplace_back("Access-Control-Allow-Headers",
                 upload ? "Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Content-Type, "
                          "X-HTTP-Method-Override, X-Requested-With"
                        : "Range, If-Range, If-None-Match");
  h.emplace_back("Access-Control-Max-Age", "86400");
  if (!upload) return reply;
  h.emplace_back("Tus-Version", "1.0.0");
  h.emplace_back("Tus-Extension", "creation,expiration,termination");
  h.emplace_back("Tus-Max-Size", std::to_string(config_.file_bytes_max));
  return reply;
}

Reply MediaService::refuse(int status, const char* why, std::string text) const {
  observe_.counter("barid_media_refused_total", "requests that were refused, by reason", {{"reason", why}}).Increment();
  return {status, {}, std::move(text) + "\n", {}, 0, 0};
}

bool MediaService::note(const UploadTicket& ticket) {
  const WallMs now = clock_();
  const std::chrono::milliseconds retention = config_.retention;
  return media_.stored(ticket.user, ticket.digest, ticket.bytes, WallMs{now.value + retention.count()}, now);
}

bool MediaService::note_if_there(const UploadTicket& ticket) {
  if (!store_.open(ticket.digest)) return false;
  bool there = false;
  store_.locked(ticket.digest, [&] { there = store_.open(ticket.digest).has_value() && note(ticket); });
  if (there) store_.remove_part({ticket.user, ticket.digest});
  return there;
}

bool MediaService::has_room(std::uint64_t bytes) {
  const std::uint64_t free = store_.bytes_free();
  return free > config_.disk_bytes_min && free - config_.disk_bytes_min >= bytes;
}

Reply MediaService::download(const Request& request, std::string_view hex, bool head) {
  const auto ticket = check_download({{}, hex, {}, request.query("e"), request.query("s")}, key_, now_s());
  if (!ticket) {
    if (ticket.error() == UrlErrc::expired) return refuse(403, "expired", "this URL has expired: ask for another one");
    return refuse(403, "forged", "this URL is not signed by this server");
  }
  auto object = store_.open(ticket->digest);
  if (!object) return refuse(404, "gone", "the file is not here any more");
  const std::string etag = "\"" + std::string(hex) + "\"";
  Reply reply;
  auto& h = reply.headers;
  // The bytes of a URL never change; a cache may keep them for as long as the URL is good.
  h.emplace_back("Cache-Control",
                 "public, max-age=" + std::to_string(ticket->expires_s - now_s()) + ", immutable, no-transform");
  h.emplace_back("ETag", etag);
  h.emplace_back("Accept-Ranges", "bytes");
  if (const auto none = request.header("If-None-Match");
      none && (*none == "*" || none->find(etag) != std::string_view::npos)) {
    reply.status = 304;
    return reply;
  }
  h.emplace_back("Content-Type", "application/octet-stream");
  h.emplace_back("Content-Disposition", "attachment");
  const auto range = request.header("Range");
  const auto only_if = request.header("If-Range");
  const Wanted wanted =
      range && !head && (!only_if || *only_if == etag) ? read_range(*range, object->bytes) : Wanted(WholeFile{});
  if (std::holds_alternative<OutOfRange>(wanted)) {
    Reply out = refuse(416, "range", "the file is shorter than that");
    out.headers.emplace_back("Content-Range", "bytes */" + std::to_string(object->bytes));
    return out;
  }
  reply.file_count = object->bytes;
  if (const auto* part = std::get_if<BytesOf>(&wanted)) {
    reply.status = 206;
    reply.file_first = part->first, reply.file_count = part->count;
    h.emplace_back("Content-Range", "bytes " + std::to_string(part->first) + "-" +
                                        std::to_string(part->first + part->count - 1) + "/" +
                                        std::to_string(object->bytes));
  }
  if (!head) bytes_out_.Increment(static_cast<double>(reply.file_count));
  reply.file = std::move(object->file);
  return reply;
}

Reply MediaService::progress(const UploadTicket& ticket, int status, std::uint64_t offset) const {
  return {status, {{"Upload-Offset", std::to_string(offset)}, {"Upload-Expires", http_date(ticket.expires_s)}},
          {},     {},
          0,      0};
}

}  // namespace barid::media
