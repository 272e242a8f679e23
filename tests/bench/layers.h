// WebSocket and TLS between a client's frames and its socket. Owned by a Client, on its crowd's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct ssl_ctx_st;
struct ssl_st;

namespace barid::bench {

enum class Transport { tcp, websocket, tls };

// One a run; read-only afterwards. Certificates are not checked: an instance of a benchmark signs its own.
class TlsContext {
 public:
  TlsContext();
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }

 private:
  ssl_ctx_st* context_;
};

class Layers {
 public:
  explicit Layers(Transport transport, const TlsContext* tls);
  ~Layers();
  Layers(const Layers&) = delete;
  Layers& operator=(const Layers&) = delete;

  void start(std::string& wire_out);  // the first bytes after connecting
  // Bytes of the socket → bytes of the protocol (appended to `plain`) and what must be written at once. False: broken.
  bool receive(std::string_view bytes, std::string& plain, std::string& wire_out);
  void seal(std::string_view plain, std::string& wire_out);  // only when ready()
  bool ready() const { return ready_; }
  const std::string& why() const { return why_; }  // it is broken

 private:
  bool receive_tls(std::string_view bytes, std::string& plain, std::string& wire_out);
  bool receive_websocket(std::string_view bytes, std::string& plain);
  void take_cipher(std::string& wire_out);

  Transport transport_;
  bool ready_ = false;
  std::string why_ = "TLS or WebSocket broke";
  ssl_st* tls_ = nullptr;
  std::string head_;                // WebSocket: response of the upgrade, or a frame's header that is not whole
  std::uint64_t payload_left_ = 0;  // WebSocket: of the frame that is being read
};

}  // namespace barid::bench
