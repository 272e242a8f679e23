// Of Directory: who may upload what, and the URLs to do it with. It never sees a byte of media.
#include "base/log.h"
#include "schemas/media_url.h"
#include "workers/directory/directory.h"

namespace barid::directory {
namespace {

using wire::Code;

wire::Error no_media() { return error(Code::not_found, "this server has no media service"); }

// A time that many requests share, so that what is cached under one URL serves many: at least `ttl` from now.
std::int64_t rounded_expiry_s(WallMs now, std::chrono::seconds ttl) {
  const std::int64_t step = ttl.count();
  return (now.value / 1'000 / step + 2) * step;
}

}  // namespace

Directory::Body Directory::upload_media(const control::DirectoryCall& call, const wire::UploadMedia& request) {
  if (media_.public_url.empty()) return no_media();
  if (request.bytes == 0) return error(Code::invalid_argument, "an empty file is not media");
  if (request.bytes > media_.file_bytes_max)
    return error(Code::content_too_large,
                 "a file may have at most " + std::to_string(media_.file_bytes_max) + " bytes here");
  const WallMs now = clock_();
  const std::string key = throttle_key("uploads", hex_id(call.user.value));
  if (const auto taken = throttles_.take(key, media_.uploads_per_user, now); !taken)
    return error(Code::rate_limited, "too many uploads", taken.error().retry_after);
  const auto after = [&](std::chrono::milliseconds time) { return WallMs{now.value + time.count()}; };
  const WallMs kept_until = after(media_.retention);
  const auto offered = media_files_.offer(call.user, request.digest, request.bytes,
                                          {media_.quota_bytes_per_user, after(media_.unfinished), kept_until}, now);
  if (!offered) {
    if (offered.error() == storage::Media::Errc::no_such_user) return error(Code::not_found, "there is no such user");
    if (offered.error() == storage::Media::Errc::wrong_size)
      return error(Code::invalid_argument, "the file of that digest has another size");
    return error(Code::quota_exceeded,
                 "one can keep at most " + std::to_string(media_.quota_bytes_per_user) + " bytes here at a time");
  }
  if (*offered) return wire::MediaUpload{true, {}, 0, kept_until.value};
  const std::int64_t expires_s = after(media_.upload_url_ttl).value / 1'000;
  const media::UploadTicket ticket{call.user, request.digest, request.bytes, expires_s};
  return wire::MediaUpload{false, media::creation_url(media_.public_url, ticket, secrets_.media), expires_s * 1'000,
                           kept_until.value};
}

Directory::Body Directory::download_media(const control::DirectoryCall& call, const wire::DownloadMedia& request) {
  if (media_.public_url.empty()) return no_media();
  const WallMs now = clock_();
  const std::string key = throttle_key("downloads", hex_id(call.user.value));
  if (const auto taken = throttles_.take(key, media_.downloads_per_user, now); !taken)
    return error(Code::rate_limited, "too many downloads", taken.error().retry_after);
  if (!media_files_.knows(request.digest))
    return error(Code::not_found, "the file is not here: it has expired, was removed, or was never uploaded");
  const media::DownloadTicket ticket{request.digest, rounded_expiry_s(now, media_.download_url_ttl)};
  return wire::MediaUrl{media::download_url(media_.public_url, ticket, secrets_.media), ticket.expires_s * 1'000};
}

Directory::Body Directory::delete_media(const control::DirectoryCall& call, const wire::DeleteMedia& request) {
  if (media_.public_url.empty()) return no_media();
  media_files_.drop(call.user, request.digest);
  return wire::Done{};
}

Directory::Body Directory::media_usage(const control::DirectoryCall& call) {
  if (media_.public_url.empty()) return no_media();
  return wire::MediaUsage{media_files_.used_bytes(call.user, clock_()), media_.quota_bytes_per_user,
                          media_.file_bytes_max,
                          static_cast<std::uint32_t>(std::chrono::seconds(media_.retention).count())};
}

}  // namespace barid::directory
