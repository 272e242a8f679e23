// HTTP/1.1 for one service, by libmicrohttpd: nobody else sees it. A thread a connection, so handlers may block on the
// disk and on Postgres; request bodies come in pieces and are never gathered. The service is called on these threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/config.h"
#include "base/fd.h"

namespace barid {
class Observe;
}

namespace barid::media {

struct Reply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // a line of text, unless …
  Fd file;           // … this is open: then so many bytes of it
  std::uint64_t file_first = 0, file_count = 0;
};

class Request {
 public:
  virtual ~Request() = default;
  virtual std::string_view method() const = 0;
  virtual std::string_view path() const = 0;  // decoded, without the query
  virtual std::optional<std::string_view> header(const char* name) const = 0;
  virtual std::string_view query(const char* name) const = 0;  // empty when absent
};

// Takes the body of one request.
class Sink {
 public:
  virtual ~Sink() = default;
  // Something: the request is refused, whatever still comes.
  virtual std::optional<Reply> take(std::string_view bytes) = 0;
  virtual Reply done() = 0;   // the body is whole
  virtual void broken() = 0;  // it will never be
};

class Service {
 public:
  using Begun = std::variant<Reply, std::unique_ptr<Sink>>;
  virtual ~Service() = default;
  virtual Begun begin(const Request& request) = 0;  // may throw: 500, or 503 when Postgres is away
};

class HttpServer {
 public:
  static constexpr std::size_t kConnectionBytes = 128 * 1024;  // buffers of one connection
  static constexpr std::size_t kThreadStackBytes = 256 * 1024;
  static constexpr std::uint64_t kDiscardedBytesMax = 256 * 1024;  // of a refused body; then the connection is cut
  static constexpr std::uint64_t kBytesPerSecondMin = 1'024;       // of a connection that is under way, on average

  // Throws when the address can't be listened on. `service` must outlive it.
  HttpServer(const MediaConfig& config, Service& service, Observe& observe);
  ~HttpServer();  // refuses what is new, then waits until what is under way has ended or was cut
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::media
