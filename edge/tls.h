// TLS 1.3 (and 1.2, if the operator wants it) by OpenSSL over our own buffers: no socket inside, no buffer kept while
// idle. TlsContext: one a process, any thread after construction. TlsStream: one a connection, on the reactor's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace barid::edge {

enum class TlsMinimum : char { tls12, tls13 };

class TlsContext {
 public:
  // Throws std::runtime_error that names the file which can't be used: also a key that others than its owner can read.
  TlsContext(std::string certificate_file, std::string key_file, TlsMinimum minimum = TlsMinimum::tls13);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // Reads both files again. Connections that are there go on as they began, new ones get the new certificate. Throws as
  // the constructor does, and then all stays as it was.
  void reload();
  bool files_changed() const;       // since they were read last, whether that went well or not
  std::int64_t expires_at() const;  // of the certificate, in seconds since 1970
  std::shared_ptr<ssl_ctx_st> current() const;

 private:
  struct Stamp {  // of both files: what tells that one was replaced or written to
    std::int64_t changed_ns[2] = {}, inode[2] = {}, bytes[2] = {};
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;

  const std::string certificate_file_, key_file_;
  const TlsMinimum minimum_;
  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<ssl_ctx_st> context_;
  Stamp read_;
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
