#include "client/core/media_transfer.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "base/fd.h"

namespace barid::client {
namespace {

constexpr std::size_t kAnswerBytesMax = 1'024;  // of a text that says what is wrong

using Curl = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// "/v1/uploads/…" or a whole URL, as the server likes, seen from `base`.
std::string absolute(const std::string& base, const std::string& location) {
  if (location.find("://") != std::string::npos) return location;
  const std::size_t host = base.find("://") + 3;
  return base.substr(0, base.find('/', host)) + location;
}

}  // namespace

// One HTTP request.
struct Exchange {
  Exchange(MediaTransfer& transfer_in, const std::string& url)
      : transfer(transfer_in), curl(curl_easy_init(), &curl_easy_cleanup) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    CURL* c = curl.get();
    curl_easy_setopt(c, CURLOPT_URL, url.c_str());
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, MediaTransfer::kConnectS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, MediaTransfer::kStalledS);
    if (!transfer.tls_ca_.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, transfer.tls_ca_.c_str());
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, &Exchange::on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, &Exchange::on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, &Exchange::on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, this);
  }

  void header(const std::string& line) { headers.reset(curl_slist_append(headers.release(), line.c_str())); }

  // The HTTP status; 0: no answer, and `error` says why.
  long run(const char* method) {
    header("Expect:");
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method);
    const CURLcode code = curl_easy_perform(curl.get());
    long status = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    // A refusal may come, and the connection be closed, before all of a body is sent.
    if (code != CURLE_OK && !(status >= 400)) {
      error = curl_easy_strerror(code);
      return 0;
    }
    return status;
  }

  std::uint64_t number(const char* name) const {
    std::uint64_t value = 0;
    const auto found = got.find(name);
    if (found == got.end()) return UINT64_MAX;
    const auto& text = found->second;
    return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc() ? value : UINT64_MAX;
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t count, void* self) {
    std::string_view line(data, count);
    if (line.starts_with("HTTP/")) static_cast<Exchange*>(self)->got.clear();
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return count;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) value.remove_suffix(1);
    static_cast<Exchange*>(self)->got[lower(line.substr(0, colon))] = value;
    return count;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t count, void* self) {
    auto& e = *static_cast<Exchange*>(self);
    long status = 0;
    curl_easy_getinfo(e.curl.get(), CURLINFO_RESPONSE_CODE, &status);
    if (e.file < 0 || status >= 300) {
      e.answer.append(data, std::min(count, kAnswerBytesMax - std::min(kAnswerBytesMax, e.answer.size())));
      return count;
    }
    if (!std::exchange(e.begun, true) && status == 200 && e.at != 0) {  // all of it after all
      if (::ftruncate(e.file, 0) != 0) return 0;
      e.at = 0;
    }
    if (count > e.most - std::min(e.most, e.at)) return 0;  // more than there can be
    for (std::size_t done = 0; done < count;) {
      const ssize_t n = ::pwrite(e.file, data + done, count - done, static_cast<off_t>(e.at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        e.local_error = errno;
        return 0;
      }
      done += static_cast<std::size_t>(n), e.at += static_cast<std::uint64_t>(n);
    }
    e.transfer.moved_ = e.at;
    return count;
  }

  static std::size_t on_read(char* data, std::size_t, std::size_t count, void* self) {
    auto& e = *static_cast<Exchange*>(self);
    const ssize_t n = ::pread(e.file, data, static_cast<std::size_t>(std::min<std::uint64_t>(count, e.most - e.at)),
                              static_cast<off_t>(e.at));
    if (n < 0) return CURL_READFUNC_ABORT;
    e.at += static_cast<std::uint64_t>(n);
    e.transfer.moved_ = e.at;
    return static_cast<std::size_t>(n);
  }

  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Exchange*>(self)->transfer.cancelled_ ? 1 : 0;
  }

  MediaTransfer& transfer;
  Curl curl;
  HeaderList headers{nullptr, &curl_slist_free_all};
  std::map<std::string, std::string> got;
  std::string answer, error;
  bool begun = false;  // some of the body has come
  int file = -1, local_error = 0;
  std::uint64_t at = 0, most = 0;  // where in the file; where to end
};

namespace {

using Outcome = MediaTransfer::Outcome;

Outcome judge(const Exchange& exchange, long status, std::string& text, bool cancelled) {
  if (cancelled) return Outcome::cancelled;
  text = status == 0 ? exchange.error : exchange.answer.substr(0, exchange.answer.find('\n'));
  if (exchange.local_error != 0) {
    text = std::strerror(exchange.local_error);
    return Outcome::refused;
  }
  if (status == 403 || status == 410) return Outcome::url_needed;
  if (status == 0 || status == 409 || status == 423 || status == 429 || status >= 500) return Outcome::later;
  return Outcome::refused;
}

}  // namespace

Outcome MediaTransfer::upload(const std::string& url, const std::string& path, std::uint64_t bytes) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) throw std::system_error(errno, std::generic_category(), path);
  Exchange creation(*this, url);
  creation.header("Tus-Resumable: 1.0.0");
  creation.header("Upload-Length: " + std::to_string(bytes));
  curl_easy_setopt(creation.curl.get(), CURLOPT_POSTFIELDS, "");
  const long created = creation.run("POST");
  if (created != 201) return judge(creation, created, text_, cancelled_);
  const std::string location = absolute(url, creation.got["location"]);
  for (;;) {
    Exchange head(*this, location);
    head.header("Tus-Resumable: 1.0.0");
    curl_easy_setopt(head.curl.get(), CURLOPT_NOBODY, 1L);
    const long asked = head.run("HEAD");
    if (asked == 404) return Outcome::url_needed;
    if (asked != 200) return judge(head, asked, text_, cancelled_);
    const std::uint64_t offset = head.number("upload-offset");
    if (offset > bytes) {
      text_ = "the server's offset is beyond the file";
      return Outcome::refused;
    }
    moved_ = offset;
    if (offset == bytes) {
      // A part that is whole and was not finished is finished by an empty PATCH; after it nothing is left to ask.
      Exchange last(*this, location);
      last.header("Tus-Resumable: 1.0.0");
      last.header("Content-Type: application/offset+octet-stream");
      last.header("Upload-Offset: " + std::to_string(offset));
      curl_easy_setopt(last.curl.get(), CURLOPT_POSTFIELDS, "");
      const long ended = last.run("PATCH");
      return ended == 204 ? Outcome::done : judge(last, ended, text_, cancelled_);
    }
    Exchange patch(*this, location);
    patch.header("Tus-Resumable: 1.0.0");
    patch.header("Content-Type: application/offset+octet-stream");
    patch.header("Upload-Offset: " + std::to_string(offset));
    patch.file = file.get(), patch.at = offset, patch.most = offset + std::min(kPatchBytesMax, bytes - offset);
    curl_easy_setopt(patch.curl.get(), CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(patch.curl.get(), CURLOPT_READFUNCTION, &Exchange::on_read);
    curl_easy_setopt(patch.curl.get(), CURLOPT_READDATA, &patch);
    curl_easy_setopt(patch.curl.get(), CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(patch.most - offset));
    const std::uint64_t end = patch.most;
    const long sent = patch.run("PATCH");
    if (sent != 204) return judge(patch, sent, text_, cancelled_);
    if (end == bytes && patch.number("upload-offset") == bytes) return Outcome::done;
  }
}

Outcome MediaTransfer::download(const std::string& url, const std::string& path, std::uint64_t bytes) {
  const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.open()) throw std::system_error(errno, std::generic_category(), path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw std::system_error(errno, std::generic_category(), path);
  Exchange get(*this, url);
  get.file = file.get(), get.most = bytes, get.at = static_cast<std::uint64_t>(info.st_size);
  if (get.at > bytes) get.at = ::ftruncate(file.get(), 0) == 0 ? 0 : get.at;
  moved_ = get.at;
  if (get.at == bytes) return Outcome::done;
  if (get.at != 0) curl_easy_setopt(get.curl.get(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(get.at));
  const long status = get.run("GET");
  if ((status == 200 || status == 206) && get.at == bytes) return Outcome::done;
  if (status == 200 || status == 206) {
    text_ = "the file ended early";
    return cancelled_ ? Outcome::cancelled : Outcome::later;
  }
  return judge(get, status, text_, cancelled_);
}

}  // namespace barid::client
