// WebSocket (RFC 6455), the server's side: the upgrade by http-parser, then frames by wslay. Pure: bytes in, bytes out.
// A connection that rests between two frames owns no codec context: WebSocketCodec lends one per reactor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct wslay_frame_context;

namespace barid::edge {

// The HTTP request that opens the connection: GET /v1 or /, bounded by limits::kHttpUpgradeBytesMax.
class WebSocketUpgrade {
 public:
  WebSocketUpgrade();
  ~WebSocketUpgrade();

  enum class Status { incomplete, upgraded, refused };
  // `used`: bytes of `bytes` that belong to the request. `out`: the response (101, or 400, 404, 405, 426, 431).
  Status receive(std::string_view bytes, std::size_t& used, std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455, 4.2.2).
std::string accept_key(std::string_view key);

enum class CloseCode : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  policy = 1008,
  too_big = 1009,
};

struct WsContext;  // wslay's frame state and where it reads from and writes to

struct WsContextDeleter {
  void operator()(WsContext* context) const;
};
using WsContextPtr = std::unique_ptr<WsContext, WsContextDeleter>;

// What is left of a connection's WebSocket while it rests.
struct WebSocketState {
  WsContextPtr context;             // only in the middle of a frame
  std::uint32_t message_bytes = 0;  // of the message under way, so far
  bool in_message = false;          // fragments to follow
  bool close_sent = false;
  bool closed = false;  // the peer's close frame came
};

// One a reactor, on its thread.
class WebSocketCodec {
 public:
  static constexpr std::size_t kMessageBytesMax = 128 * 1024;  // of one binary message, either way

  WebSocketCodec();
  ~WebSocketCodec();

  enum class Status { open, message_ended, closed, failed };
  // Takes bytes up to the end of the next message, or all; call again until it says open. Payload is appended to
  // `data`, control answers to `out`. message_ended: `data` got the last byte of a message. closed: the peer said
  // goodbye and was answered. failed: `out` got the close frame that says why.
  Status receive(WebSocketState& state, std::string_view& bytes, std::string& data, std::string& out);
  // Appends one binary message.
  void append_message(std::string_view payload, std::string& out);
  void append_close(WebSocketState& state, CloseCode code, std::string& out);
  void append_ping(std::string& out);

 private:
  void append_frame(std::uint8_t opcode, std::string_view payload, std::string& out);
  Status fail(WebSocketState& state, CloseCode code, std::string& out);
  WsContextPtr spare_;
  WsContextPtr writer_;
};

}  // namespace barid::edge
