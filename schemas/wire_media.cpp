#include "schemas/wire_media.h"

#include "schemas/codec.h"
#include "schemas/wire_request.h"

namespace barid::wire {
namespace {

std::string read_digest(capnp::Data::Reader r) {
  if (r.size() != limits::kMediaDigestBytes) refuse(Code::malformed);
  return std::string(codec::view(r));
}

std::string read_url(capnp::Text::Reader r) {
  if (r.size() > limits::kMediaUrlBytesMax) refuse(Code::malformed);
  return std::string(codec::view(r));
}

}  // namespace

RequestBody read_media_request(schema::Request::Reader r) {
  switch (r.which()) {
    case schema::Request::UPLOAD_MEDIA:
      return UploadMedia{read_digest(r.getUploadMedia().getDigest()), r.getUploadMedia().getBytes()};
    case schema::Request::DOWNLOAD_MEDIA:
      return DownloadMedia{read_digest(r.getDownloadMedia().getDigest())};
    case schema::Request::DELETE_MEDIA:
      return DeleteMedia{read_digest(r.getDeleteMedia().getDigest())};
    case schema::Request::MEDIA_USAGE:
      return GetMediaUsage{};
    default:
      refuse(Code::unknown_frame);
  }
}

ResponseBody read_media_response(schema::Response::Reader r) {
  switch (r.which()) {
    case schema::Response::MEDIA_UPLOAD: {
      auto u = r.getMediaUpload();
      return MediaUpload{u.getStored(), read_url(u.getUrl()), u.getExpiresAtMs(), u.getKeptUntilMs()};
    }
    case schema::Response::MEDIA_URL:
      return MediaUrl{read_url(r.getMediaUrl().getUrl()), r.getMediaUrl().getExpiresAtMs()};
    case schema::Response::MEDIA_USAGE: {
      auto u = r.getMediaUsage();
      return MediaUsage{u.getUsedBytes(), u.getQuotaBytes(), u.getFileBytesMax(), u.getRetentionS()};
    }
    default:
      refuse(Code::unknown_frame);
  }
}

void fill(schema::Request::Builder builder, const UploadMedia& r) {
  BARID_ASSERT(r.digest.size() == limits::kMediaDigestBytes);
  auto b = builder.initUploadMedia();
  b.setDigest(codec::as_data(r.digest));
  b.setBytes(r.bytes);
}

void fill(schema::Request::Builder builder, const DownloadMedia& r) {
  BARID_ASSERT(r.digest.size() == limits::kMediaDigestBytes);
  builder.initDownloadMedia().setDigest(codec::as_data(r.digest));
}

void fill(schema::Request::Builder builder, const DeleteMedia& r) {
  BARID_ASSERT(r.digest.size() == limits::kMediaDigestBytes);
  builder.initDeleteMedia().setDigest(codec::as_data(r.digest));
}

void fill(schema::Request::Builder builder, const GetMediaUsage&) { builder.setMediaUsage(); }

void fill(schema::Response::Builder builder, const MediaUpload& r) {
  BARID_ASSERT(r.url.size() <= limits::kMediaUrlBytesMax);
  auto b = builder.initMediaUpload();
  b.setStored(r.stored);
  b.setUrl(codec::text(r.url));
  b.setExpiresAtMs(r.expires_at_ms);
  b.setKeptUntilMs(r.kept_until_ms);
}

void fill(schema::Response::Builder builder, const MediaUrl& r) {
  BARID_ASSERT(r.url.size() <= limits::kMediaUrlBytesMax);
  auto b = builder.initMediaUrl();
  b.setUrl(codec::text(r.url));
  b.setExpiresAtMs(r.expires_at_ms);
}

void fill(schema::Response::Builder builder, const MediaUsage& r) {
  auto b = builder.initMediaUsage();
  b.setUsedBytes(r.used_bytes);
  b.setQuotaBytes(r.quota_bytes);
  b.setFileBytesMax(r.file_bytes_max);
  b.setRetentionS(r.retention_s);
}

}  // namespace barid::wire
