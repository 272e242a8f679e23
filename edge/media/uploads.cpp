// Of MediaService: tus 1.0.0, https://tus.io/protocols/resumable-upload. An upload is named by its digest and its user,
// so creating it again finds it as it is. What is acknowledged is on the disk.
#include <charconv>

#include "base/log.h"
#include "base/observe.h"
#include "edge/media/media_service.h"

namespace barid::media {
namespace {

std::optional<std::uint64_t> number(std::optional<std::string_view> text) {
  std::uint64_t value = 0;
  if (!text || text->empty()) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() && end == text->data() + text->size() ? std::optional(value) : std::nullopt;
}

}  // namespace

// Appends the body of one PATCH.
class UploadSink final : public Sink {
 public:
  UploadSink(MediaService& service, UploadTicket ticket, std::unique_ptr<PartWriter> part)
      : service_(service), ticket_(std::move(ticket)), part_(std::move(part)) {}

  std::optional<Reply> take(std::string_view bytes) override {
    if (bytes.size() > ticket_.bytes - part_->bytes())
      return refuse(413, "too_long", "these are more bytes than were announced");
    const auto appended = part_->append(bytes);
    if (appended) {
      service_.bytes_in_.Increment(static_cast<double>(bytes.size()));
      return std::nullopt;
    }
    switch (appended.error()) {
      case StoreErrc::full:
        part_->sync();
        SPDLOG_ERROR("the disk of the media store is full");
        return refuse(507, "disk_full", "there is no room for more; what came so far is kept");
      case StoreErrc::moved:
        return refuse(409, "moved", "somebody else goes on with this upload: ask for the offset");
      default:
        return refuse(410, "gone", "this upload was removed, or is complete");
    }
  }

  Reply done() override {
    part_->sync();
    if (part_->bytes() == ticket_.bytes) return service_.with_common(service_.complete(ticket_), true);
    return service_.with_common(service_.progress(ticket_, 204, part_->bytes()), true);
  }

  void broken() override {}  // what was written stays; HEAD says how much that is

 private:
  Reply refuse(int status, const char* why, const char* text) const {
    return service_.with_common(service_.refuse(status, why, text), true);
  }
  MediaService& service_;
  UploadTicket ticket_;
  std::unique_ptr<PartWriter> part_;
};

Service::Begun MediaService::begin_upload(const Request& request, std::string_view method, std::string_view hex) {
  if (const auto other = request.header("X-HTTP-Method-Override"); other && method == "POST") method = *other;
  if (method == "OPTIONS") return with_common(options(true), true);
  const bool creates = hex.empty();
  const bool known = creates ? method == "POST" : method == "HEAD" || method == "PATCH" || method == "DELETE";
  if (!known) {
    Reply reply = refuse(405, "method", "not here");
    reply.headers.emplace_back("Allow", creates ? "OPTIONS, POST" : "OPTIONS, HEAD, PATCH, DELETE");
    return with_common(std::move(reply), true);
  }
  if (request.header("Tus-Resumable") != "1.0.0") {
    Reply reply = refuse(412, "version", "this server speaks tus 1.0.0");
    reply.headers.emplace_back("Tus-Version", "1.0.0");
    return with_common(std::move(reply), true);
  }
  const auto ticket = check_upload({request.query("u"), creates ? request.query("d") : hex, request.query("b"),
                                    request.query("e"), request.query("s")},
                                   key_, now_s());
  if (!ticket) {
    if (ticket.error() == UrlErrc::expired)
      return with_common(refuse(403, "expired", "this URL has expired: ask for another one, and go on"), true);
    return with_common(refuse(403, "forged", "this URL is not signed by this server"), true);
  }
  if (creates) return with_common(create(*ticket, request), true);
  if (method == "HEAD") return with_common(offset(*ticket), true);
  if (method == "DELETE") return with_common(terminate(*ticket), true);
  auto begun = patch(*ticket, request);
  if (auto* reply = std::get_if<Reply>(&begun)) return with_common(std::move(*reply), true);
  return begun;
}

Reply MediaService::create(const UploadTicket& ticket, const Request& request) {
  if (request.header("Upload-Defer-Length")) return refuse(400, "length", "the length must be known");
  const auto length = number(request.header("Upload-Length"));
  if (!length) return refuse(400, "length", "Upload-Length is missing or no number");
  if (*length > config_.file_bytes_max) return refuse(413, "too_large", "a file that large is not kept here");
  if (*length != ticket.bytes) return refuse(400, "length", "this URL is for a file of another length");
  if (number(request.header("Content-Length")).value_or(0) != 0)
    return refuse(400, "body", "bytes come with PATCH, not here");
  std::uint64_t have = 0;
  if (note_if_there(ticket)) {
    have = ticket.bytes;
  } else {
    if (!media_.offered(ticket.user, ticket.digest, clock_()))
      return refuse(410, "not_offered", "this upload has ended: ask for another URL");
    if (!has_room(ticket.bytes)) return refuse(507, "disk_full", "there is no room for this file now");
    store_.create_part({ticket.user, ticket.digest});
    if (const auto part = store_.open_part({ticket.user, ticket.digest})) have = (*part)->bytes();
  }
  Reply reply = progress(ticket, 201, have);
  reply.headers.emplace_back("Location", upload_path(ticket, key_));
  return reply;
}

Reply MediaService::offset(const UploadTicket& ticket) {
  std::uint64_t have = ticket.bytes;
  if (!note_if_there(ticket)) {
    const auto part = store_.open_part({ticket.user, ticket.digest});
    if (!part) return refuse(404, "gone", "there is no such upload");
    have = (*part)->bytes();
  }
  Reply reply = progress(ticket, 200, have);
  reply.headers.emplace_back("Upload-Length", std::to_string(ticket.bytes));
  return reply;
}

Service::Begun MediaService::patch(const UploadTicket& ticket, const Request& request) {
  if (request.header("Content-Type") != "application/offset+octet-stream")
    return refuse(415, "type", "the body must be application/offset+octet-stream");
  const auto from = number(request.header("Upload-Offset"));
  if (!from) return refuse(400, "offset", "Upload-Offset is missing or no number");
  auto part = store_.open_part({ticket.user, ticket.digest});
  if (!part) {
    if (!note_if_there(ticket)) return refuse(404, "gone", "there is no such upload");
    if (*from != ticket.bytes) return refuse(409, "moved", "the upload is complete: ask for the offset");
    return progress(ticket, 204, ticket.bytes);
  }
  const std::uint64_t have = (*part)->bytes();
  if (*from != have) return refuse(409, "moved", "the upload is at another offset: ask for it");
  const auto coming = number(request.header("Content-Length")).value_or(0);
  if (have > ticket.bytes || coming > ticket.bytes - have)
    return refuse(413, "too_long", "these are more bytes than were announced");
  if (!has_room(coming)) return refuse(507, "disk_full", "there is no room for more; what came so far is kept");
  return std::make_unique<UploadSink>(*this, ticket, std::move(*part));
}

Reply MediaService::terminate(const UploadTicket& ticket) {
  store_.remove_part({ticket.user, ticket.digest});
  media_.abandon(ticket.user, ticket.digest);
  return {204, {}, {}, {}, 0, 0};
}

// All bytes are there. Killed at any point here, whoever asks for the offset next brings it to its end.
Reply MediaService::complete(const UploadTicket& ticket) {
  const PartId id{ticket.user, ticket.digest};
  const auto verified = store_.verify_part(id);
  if (!verified && verified.error() == StoreErrc::not_that) {
    store_.remove_part(id);
    return refuse(422, "digest", "the bytes are not those of the digest: the upload was removed");
  }
  bool noted = false;
  if (!verified) {
    noted = note_if_there(ticket);
  } else {
    store_.locked(ticket.digest, [&] {
      if (store_.open(ticket.digest) || store_.place_part(id, ticket.bytes)) noted = note(ticket);
    });
    store_.remove_part(id);
  }
  if (!noted) return refuse(410, "not_offered", "this upload has ended: ask for another URL");
  stored_.Increment();
  return progress(ticket, 204, ticket.bytes);
}

}  // namespace barid::media
