#include "edge/websocket.h"

#include <wslay/wslay.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/assert.h"

namespace barid::edge {

struct WsContext {
  wslay_frame_context_ptr frames = nullptr;
  std::string_view in;         // for the length of one receive()
  std::string* out = nullptr;  // for the length of one append
  std::uint64_t buffered = 0;  // bytes that wslay took and did not give back as header or payload
  std::uint64_t payload_left = 0;
  bool in_frame = false;
  std::string control;  // payload of the control frame under way, at most 125 bytes

  bool clean() const { return buffered == 0 && !in_frame; }
};

namespace {

constexpr std::size_t kControlBytesMax = 125;  // RFC 6455, 5.5

ssize_t take(std::uint8_t* buffer, size_t size, int, void* user) {
  auto& context = *static_cast<WsContext*>(user);
  if (context.in.empty()) return -1;  // wslay: WANT_READ
  const std::size_t count = std::min(size, context.in.size());
  std::memcpy(buffer, context.in.data(), count);
  context.in.remove_prefix(count);
  context.buffered += count;
  return static_cast<ssize_t>(count);
}
ssize_t put(const std::uint8_t* data, size_t size, int, void* user) {
  static_cast<WsContext*>(user)->out->append(reinterpret_cast<const char*>(data), size);
  return static_cast<ssize_t>(size);
}
int mask(std::uint8_t*, size_t, void*) { return -1; }  // a server never masks

WsContextPtr make_context() {
  auto context = WsContextPtr(new WsContext);
  const wslay_frame_callbacks callbacks{&put, &take, &mask};
  if (wslay_frame_context_init(&context->frames, &callbacks, context.get()) != 0)
    throw std::runtime_error("WebSocket: out of memory");
  return context;
}

std::uint64_t client_header_bytes(std::uint64_t payload) {
  return 2U + 4U + (payload < 126 ? 0U : payload < 65'536 ? 2U : 8U);
}

}  // namespace

void WsContextDeleter::operator()(WsContext* context) const {
  if (context->frames != nullptr) wslay_frame_context_free(context->frames);
  delete context;
}

WebSocketCodec::WebSocketCodec() : writer_(make_context()) {}
WebSocketCodec::~WebSocketCodec() = default;

void WebSocketCodec::append_frame(std::uint8_t opcode, std::string_view payload, std::string& out) {
  wslay_frame_iocb io{};
  io.fin = 1;
  io.opcode = opcode;
  io.payload_length = payload.size();
  io.data = reinterpret_cast<const std::uint8_t*>(payload.data());
  io.data_length = payload.size();
  writer_->out = &out;
  // The callback takes everything, so header and payload go in one call; an empty payload reports 0.
  while (io.data_length > 0 || payload.empty()) {
    const ssize_t sent = wslay_frame_send(writer_->frames, &io);
    BARID_ASSERT(sent >= 0);
    if (payload.empty()) break;
    io.data += sent;
    io.data_length -= static_cast<std::size_t>(sent);
  }
  writer_->out = nullptr;
}

void WebSocketCodec::append_message(std::string_view payload, std::string& out) {
  append_frame(WSLAY_BINARY_FRAME, payload, out);
}
void WebSocketCodec::append_ping(std::string& out) { append_frame(WSLAY_PING, {}, out); }
void WebSocketCodec::append_close(WebSocketState& state, CloseCode code, std::string& out) {
  if (state.close_sent) return;
  state.close_sent = true;
  const auto number = static_cast<std::uint16_t>(code);
  const char payload[2] = {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
  append_frame(WSLAY_CONNECTION_CLOSE, {payload, sizeof payload}, out);
}

WebSocketCodec::Status WebSocketCodec::fail(WebSocketState& state, CloseCode code, std::string& out) {
  state.context.reset();
  append_close(state, code, out);
  return Status::failed;
}

WebSocketCodec::Status WebSocketCodec::receive(WebSocketState& state, std::string_view& bytes, std::string& data,
                                               std::string& out) {
  if (state.context == nullptr) state.context = spare_ != nullptr ? std::move(spare_) : make_context();
  WsContext& context = *state.context;
  context.in = bytes;
  while (true) {
    wslay_frame_iocb io{};
    const ssize_t got = wslay_frame_recv(context.frames, &io);
    bytes = context.in;
    if (got == WSLAY_ERR_WANT_READ) {
      if (context.clean()) spare_ = std::move(state.context);
      return Status::open;
    }
    if (got < 0) return fail(state, CloseCode::protocol_error, out);

    const bool is_control = wslay_is_ctrl_frame(io.opcode) != 0;
    if (!context.in_frame) {  // its first bytes: the header is new
      context.in_frame = true;
      context.payload_left = io.payload_length;
      context.buffered -= client_header_bytes(io.payload_length);
      context.control.clear();
      if (io.rsv != 0 || io.mask == 0) return fail(state, CloseCode::protocol_error, out);
      if (is_control) {
        const bool known = io.opcode == WSLAY_CONNECTION_CLOSE || io.opcode == WSLAY_PING || io.opcode == WSLAY_PONG;
        if (!known || io.fin == 0 || io.payload_length > kControlBytesMax)
          return fail(state, CloseCode::protocol_error, out);
      } else {
        if (io.opcode > WSLAY_BINARY_FRAME) return fail(state, CloseCode::protocol_error, out);
        if ((io.opcode == WSLAY_CONTINUATION_FRAME) != state.in_message)
          return fail(state, CloseCode::protocol_error, out);
        if (io.opcode == WSLAY_TEXT_FRAME) return fail(state, CloseCode::unsupported_data, out);
        if (io.payload_length > kMessageBytesMax - state.message_bytes) return fail(state, CloseCode::too_big, out);
        state.in_message = true;
        state.message_bytes += static_cast<std::uint32_t>(io.payload_length);
      }
    }
    const std::string_view chunk(reinterpret_cast<const char*>(io.data), io.data_length);
    context.buffered -= chunk.size();
    context.payload_left -= chunk.size();
    (is_control ? context.control : data).append(chunk);
    if (context.payload_left > 0) continue;

    context.in_frame = false;
    if (io.opcode == WSLAY_PING) append_frame(WSLAY_PONG, context.control, out);
    if (io.opcode == WSLAY_CONNECTION_CLOSE) {
      state.closed = true;
      const bool valid = context.control.size() != 1;
      state.context.reset();
      append_close(state, valid ? CloseCode::normal : CloseCode::protocol_error, out);
      return Status::closed;
    }
    if (!is_control && io.fin != 0) {
      state.in_message = false;
      state.message_bytes = 0;
      return Status::message_ended;
    }
  }
}

}  // namespace barid::edge
