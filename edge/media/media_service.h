// What barid-media does with a request: uploads by tus 1.0.0 (creation, expiration, termination), downloads by GET and
// HEAD with ranges. Whoever has a signed URL may do what it says. It sees ciphertext only, and calls it nothing else.
// Owned by main; any number of threads.
#pragma once

#include <functional>

#include "base/clock.h"
#include "base/config.h"
#include "base/crypto.h"
#include "base/observe.h"
#include "edge/media/http.h"
#include "edge/media/store.h"
#include "schemas/media_url.h"
#include "storage/media.h"

namespace barid::media {

class MediaService final : public Service {
 public:
  using WallClock = std::function<WallMs()>;

  // The references must outlive it.
  MediaService(const MediaConfig& config, const crypto::MacKey& key, Store& store, storage::Pool& pool,
               Observe& observe, WallClock clock = &wall_now);

  Begun begin(const Request& request) override;

 private:
  friend class UploadSink;

  Reply with_common(Reply reply, bool upload) const;
  Begun begin_upload(const Request& request, std::string_view method, std::string_view digest);
  Reply options(bool upload) const;
  Reply create(const UploadTicket& ticket, const Request& request);
  Reply offset(const UploadTicket& ticket);
  Begun patch(const UploadTicket& ticket, const Request& request);
  Reply terminate(const UploadTicket& ticket);
  Reply complete(const UploadTicket& ticket);
  Reply download(const Request& request, std::string_view digest, bool head);

  bool note_if_there(const UploadTicket& ticket);  // the object is there: kept for this user from now on
  bool note(const UploadTicket& ticket);
  bool has_room(std::uint64_t bytes);
  Reply progress(const UploadTicket& ticket, int status, std::uint64_t offset) const;
  Reply refuse(int status, const char* why, std::string text) const;
  std::int64_t now_s() const { return clock_().value / 1'000; }

  const MediaConfig& config_;
  const crypto::MacKey& key_;
  Store& store_;
  storage::Media media_;
  Observe& observe_;
  WallClock clock_;
  prometheus::Counter &bytes_in_, &bytes_out_, &stored_;
};

}  // namespace barid::media
