#include "client/cli/media.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <iostream>
#include <system_error>
#include <thread>

#include "base/crypto.h"
#include "client/cli/call.h"
#include "client/cli/compose.h"
#include "client/cli/text.h"
#include "client/core/backoff.h"
#include "client/core/media_cipher.h"
#include "client/core/media_transfer.h"

namespace barid::cli {
namespace {

namespace fs = std::filesystem;
using Outcome = client::MediaTransfer::Outcome;

constexpr milliseconds kTurn{100};
constexpr milliseconds kRetryMin{200}, kRetryMax{5'000};
constexpr seconds kPatience{120};  // without a byte of progress
constexpr std::uint64_t kCacheBytesMax = 1ULL << 30;

fs::path folder(const Context& context, const char* name) {
  const fs::path path = fs::path(context.directory()) / "media" / name;
  fs::create_directories(path);
  fs::permissions(path.parent_path(), fs::perms::owner_all);
  return path;
}

// One line that is drawn over, on a terminal only.
class Progress {
 public:
  Progress(const Context& context, std::string what)
      : shown_(!context.json && !context.quiet && ::isatty(STDERR_FILENO) == 1), what_(std::move(what)) {}
  ~Progress() {
    if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
  }
  void draw(std::uint64_t moved, std::uint64_t all) {
    if (!shown_) return;
    drawn_ = true;
    const auto seconds_gone = std::chrono::duration<double>(steady_now() - begun_).count();
    if (!first_) first_ = moved;
    const double rate = seconds_gone > 0 ? static_cast<double>(moved - std::min(moved, *first_)) / seconds_gone : 0;
    std::cerr << "\r\x1b[K" << what_ << "  " << (all == 0 ? 100 : moved * 100 / all) << " %  "
              << static_cast<std::uint64_t>(rate / 1e5) / 10.0 << " MB/s" << std::flush;
  }

 private:
  bool shown_, drawn_ = false;
  std::string what_;
  TimePoint begun_ = steady_now();
  std::optional<std::uint64_t> first_;
};

// Runs one attempt beside the session, which must go on meanwhile.
Outcome attempt(client::Client& client, client::MediaTransfer& transfer, Progress& progress, std::uint64_t all,
                const std::function<Outcome()>& run) {
  std::atomic<bool> ended{false};
  std::optional<Outcome> outcome;
  std::exception_ptr error;
  std::thread thread([&] {
    try {
      outcome = run();
    } catch (...) {
      error = std::current_exception();
    }
    ended = true;
  });
  try {
    while (!ended) {
      client.turn(kTurn);
      progress.draw(transfer.progress(), all);
      if (stop_requested()) transfer.cancel();
    }
  } catch (...) {
    transfer.cancel();
    thread.join();
    throw;
  }
  thread.join();
  if (error) std::rethrow_exception(error);
  return *outcome;
}

// Attempts until it is done, with fresh URLs; `url` gives none when there is nothing left to do.
void transfer_all(client::Client& client, const std::string& tls_ca, const std::string& what, const Context& context,
                  std::uint64_t all, const std::function<std::optional<std::string>()>& url,
                  const std::function<Outcome(client::MediaTransfer&, const std::string&)>& run) {
  Progress progress(context, what);
  std::uint64_t best = 0;
  TimePoint moved_at = steady_now();
  milliseconds wait = kRetryMin;
  while (const auto where = url()) {
    client::MediaTransfer transfer(tls_ca);
    const Outcome outcome = attempt(client, transfer, progress, all, [&] { return run(transfer, *where); });
    if (outcome == Outcome::done) return;
    if (outcome == Outcome::cancelled)
      throw Failure(Exit::error, "interrupted: the same command goes on where this one stopped");
    if (outcome == Outcome::refused) throw Failure(Exit::refused, what + ": " + printable(transfer.text()));
    if (transfer.progress() > best) best = transfer.progress(), moved_at = steady_now(), wait = kRetryMin;
    if (steady_now() - moved_at > kPatience)
      throw Failure(Exit::offline, what + ": " + printable(transfer.text()) + "; the same command goes on later");
    const TimePoint until = steady_now() + wait;
    while (steady_now() < until && !stop_requested()) client.turn(std::min(kTurn, wait));
    wait = std::min(kRetryMax, wait * 2);
  }
}

// What a file is called while it is being sent: changes with the file, so that no key serves two contents.
std::string source_of(const std::string& path, const client::Peer& to) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) throw std::system_error(errno, std::generic_category(), path);
  return fs::absolute(path).lexically_normal().string() + "|" + std::to_string(info.st_size) + "|" +
         std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec) + "|" +
         std::to_string(to.id.value);
}

void keep_cache_small(const fs::path& cache) {
  std::vector<fs::directory_entry> files;
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(cache))
    if (entry.is_regular_file()) files.push_back(entry), bytes += entry.file_size();
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.last_write_time() < b.last_write_time(); });
  for (const auto& file : files) {
    if (bytes <= kCacheBytesMax) return;
    bytes -= file.file_size();
    fs::remove(file.path());
  }
}

}  // namespace

client::MessageRow send_media(const Context& context, client::Client& client, client::SqliteStore& store,
                              const client::Peer& to, const std::string& path, content::Media described) {
  const std::string source = source_of(path, to);
  const std::string name = crypto::to_hex(crypto::view(crypto::mac(source, crypto::MacKey{}))).substr(0, 32);
  const fs::path sealed = folder(context, "outgoing") / name;
  auto outgoing = store.outgoing_media(source);
  if (!outgoing || !fs::exists(sealed) || fs::file_size(sealed) != outgoing->sealed.sealed_bytes) {
    context.say("encrypting " + printable(described.name) + " …");
    const std::string key = client::make_media_key();
    outgoing = client::OutgoingMedia{key, client::seal_media(path, sealed, key)};
    if (source_of(path, to) != source) throw Failure(Exit::error, path + " has changed while it was read: try again");
    store.save_outgoing_media(source, *outgoing);
  }
  const auto url = [&]() -> std::optional<std::string> {
    const auto response = ask(client, wire::UploadMedia{outgoing->sealed.digest, outgoing->sealed.sealed_bytes});
    const auto* upload = std::get_if<wire::MediaUpload>(&response.body);
    if (upload == nullptr) throw Failure(Exit::error, "the server's answer is none");
    return upload->stored ? std::nullopt : std::optional(upload->url);
  };
  transfer_all(client, store.account().tls_ca, "uploading " + printable(described.name), context,
               outgoing->sealed.sealed_bytes, url, [&](client::MediaTransfer& transfer, const std::string& where) {
                 return transfer.upload(where, sealed, outgoing->sealed.sealed_bytes);
               });
  described.url.clear();
  described.bytes = outgoing->sealed.bytes, described.digest = outgoing->sealed.digest;
  described.encoding = client::kMediaEncoding, described.key = outgoing->key;
  described.sealed_bytes = outgoing->sealed.sealed_bytes;
  const auto row = store.enqueue_media(to.id, encode_or_fail(described), source, wall_now());
  fs::remove(sealed);
  return row;
}

void fetch_media(const Context& context, client::Client& client, client::SqliteStore& store,
                 const content::Media& media, const std::string& to) {
  if (media.encoding != client::kMediaEncoding || media.sealed_bytes != client::sealed_media_bytes(media.bytes) ||
      media.digest.size() != limits::kMediaDigestBytes)
    throw Failure(Exit::refused, "this file is described in a way that this barid does not know");
  const fs::path cache = folder(context, "cache");
  const fs::path whole = cache / crypto::to_hex(media.digest), part = whole.string() + ".part";
  const std::string damaged = "the file is damaged: it is not what was sent";
  if (!fs::exists(whole) || !client::has_digest(whole, media.digest)) {
    const auto url = [&]() -> std::optional<std::string> {
      const auto response = ask(client, wire::DownloadMedia{media.digest});
      const auto* found = std::get_if<wire::MediaUrl>(&response.body);
      if (found == nullptr) throw Failure(Exit::error, "the server's answer is none");
      return found->url;
    };
    transfer_all(client, store.account().tls_ca, "downloading " + printable(media.name), context, media.sealed_bytes,
                 url, [&](client::MediaTransfer& transfer, const std::string& where) {
                   return transfer.download(where, part, media.sealed_bytes);
                 });
    if (!client::has_digest(part, media.digest)) {
      fs::remove(part);
      throw Failure(Exit::refused, damaged);
    }
    fs::rename(part, whole);
  }
  const std::string draft = to + ".barid-part";
  if (!client::open_media(whole, draft, media.key, media.bytes)) throw Failure(Exit::refused, damaged);
  // Never over a file that is there.
  if (::link(draft.c_str(), to.c_str()) != 0) {
    const int error = errno;
    ::unlink(draft.c_str());
    throw std::system_error(error, std::generic_category(), to);
  }
  ::unlink(draft.c_str());
  keep_cache_small(cache);
}

}  // namespace barid::cli
