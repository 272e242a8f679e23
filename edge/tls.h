// TLS 1.2 and 1.3 by OpenSSL over our own buffers: no socket inside, no buffer kept while idle. TlsContext: one a
// process, any thread after construction. TlsStream: one a connection, on the reactor's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace barid::edge {

class TlsContext {
 public:
  // Throws std::runtime_error that names the file which can't be used.
  TlsContext(const std::string& certificate_file, const std::string& key_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }

 private:
  ssl_ctx_st* context_ = nullptr;
};

class TlsStream {
 public:
  explicit TlsStream(const TlsContext& context);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  enum class Status { open, ended /*close_notify*/, broken };
  // Takes all of `cipher`; appends what it decrypts to `plain` and what must be answered (handshake) to `out`.
  Status receive(std::string_view cipher, std::string& plain, std::string& out);
  // Appends the records for `plain` to `out`. False: before the end of the handshake, or broken.
  bool seal(std::string_view plain, std::string& out);
  void seal_end(std::string& out);  // close_notify
  bool ready() const;               // the handshake is over

 private:
  ssl_st* ssl_ = nullptr;
};

}  // namespace barid::edge
