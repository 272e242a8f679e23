// Moves a sealed file between this device and the media service by signed URLs: tus 1.0.0 up, ranged GET down, both
// resumed where they stopped. Blocks: run() has a thread of its own; progress() and cancel() may be called from others.
// Owned by a command.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace barid::client {

class MediaTransfer {
 public:
  static constexpr std::uint64_t kPatchBytesMax = 32ULL << 20;  // acknowledged at the latest after so many
  static constexpr long kConnectS = 10, kStalledS = 60;         // then the attempt has failed

  enum class Outcome {
    done,
    url_needed,  // expired, or the upload has ended: ask for another URL
    later,       // the network, or a server that says so: try again
    refused,     // no further try will help; text() says why
    cancelled
  };

  explicit MediaTransfer(std::string tls_ca) : tls_ca_(std::move(tls_ca)) {}  // empty: the system's

  Outcome upload(const std::string& url, const std::string& path, std::uint64_t bytes);
  // Appends to `path` what is still missing.
  Outcome download(const std::string& url, const std::string& path, std::uint64_t bytes);

  void cancel() { cancelled_ = true; }
  std::uint64_t progress() const { return moved_; }  // bytes that are where they belong
  const std::string& text() const { return text_; }  // why not; after upload() or download()

 private:
  friend struct Exchange;
  std::string tls_ca_, text_;
  std::atomic<bool> cancelled_{false};
  std::atomic<std::uint64_t> moved_{0};
};

}  // namespace barid::client
