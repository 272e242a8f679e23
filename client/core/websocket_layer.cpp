#include <openssl/evp.h>
#include <openssl/sha.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <stdexcept>

#include "base/crypto.h"
#include "base/limits.h"
#include "client/core/layer.h"

namespace barid::client {
namespace {

constexpr std::size_t kMessageBytesMax = 1024 * 1024;  // one WebSocket message of the server: many frames

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return out;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

class WebSocketLayer final : public Layer {
 public:
  explicit WebSocketLayer(const ServerUrl& url) : url_(url) {
    wslay_event_callbacks callbacks{};
    callbacks.recv_callback = &WebSocketLayer::on_read;
    callbacks.send_callback = &WebSocketLayer::on_write;
    callbacks.genmask_callback = &WebSocketLayer::on_mask;
    callbacks.on_msg_recv_callback = &WebSocketLayer::on_message;
    if (wslay_event_context_client_init(&context_, &callbacks, this) != 0) throw std::bad_alloc();
    wslay_event_config_set_max_recv_msg_length(context_, kMessageBytesMax);
  }
  ~WebSocketLayer() override { wslay_event_context_free(context_); }
  WebSocketLayer(const WebSocketLayer&) = delete;
  WebSocketLayer& operator=(const WebSocketLayer&) = delete;

  void start() override {
    std::array<char, 16> nonce;
    crypto::random_bytes(nonce.data(), nonce.size());
    key_ = base64({nonce.data(), nonce.size()});
    const bool v6 = url_.host.find(':') != std::string::npos;
    down_ +=
        "GET " + url_.path + " HTTP/1.1\r\nHost: " + (v6 ? "[" + url_.host + "]" : url_.host) + ":" +
        std::to_string(url_.port) +
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key_ +
        "\r\n\r\n";
  }

  bool received(std::string_view below) override {
    in_.append(below);
    if (!upgraded_ && !read_upgrade()) return error_.empty();
    if (wslay_event_recv(context_) != 0) return broken("the server broke the WebSocket protocol");
    flush();
    if (wslay_event_get_close_received(context_) != 0) return broken("the server closed the WebSocket");
    return error_.empty();
  }

  void send(std::string_view above) override {
    const wslay_event_msg message{WSLAY_BINARY_FRAME, reinterpret_cast<const std::uint8_t*>(above.data()),
                                  above.size()};
    wslay_event_queue_msg(context_, &message);
    flush();
  }

  void shut() override {
    if (!upgraded_) return;
    wslay_event_queue_close(context_, WSLAY_CODE_NORMAL_CLOSURE, nullptr, 0);
    flush();
  }

  bool ready() const override { return upgraded_; }

 private:
  bool broken(const char* why) {
    if (error_.empty()) error_ = why;
    return false;
  }

  void flush() {
    while (wslay_event_want_write(context_) != 0)
      if (wslay_event_send(context_) != 0) break;
  }

  // True once the server has agreed to speak WebSocket (RFC 6455, 4.1).
  bool read_upgrade() {
    const std::size_t end = in_.find("\r\n\r\n");
    if (end == std::string::npos)
      return in_.size() > limits::kHttpUpgradeBytesMax ? broken("the server's HTTP answer is too long") : false;
    const std::string head = in_.substr(0, end + 2);
    in_.erase(0, end + 4);
    if (!head.starts_with("HTTP/1.1 101")) {
      error_ = "the server refused the WebSocket: " + head.substr(0, std::min<std::size_t>(head.find('\r'), 80));
      return false;
    }
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
    const std::string joined = key_ + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    SHA1(reinterpret_cast<const unsigned char*>(joined.data()), joined.size(), digest.data());
    const std::string want = base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
    const std::size_t at = lower(head).find("\r\nsec-websocket-accept:");
    if (at == std::string::npos) return broken("the server's WebSocket answer is incomplete");
    std::string got = head.substr(at + 23, head.find('\r', at + 2) - at - 23);
    got.erase(std::remove(got.begin(), got.end(), ' '), got.end());
    if (got != want) return broken("the server's WebSocket answer does not belong to our request");
    upgraded_ = true;
    return true;
  }

  static ssize_t on_read(wslay_event_context* context, std::uint8_t* buffer, std::size_t size, int, void* self) {
    std::string& in = static_cast<WebSocketLayer*>(self)->in_;
    if (in.empty()) {
      wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    const std::size_t n = std::min(size, in.size());
    std::copy_n(in.begin(), n, buffer);
    in.erase(0, n);
    return static_cast<ssize_t>(n);
  }
  static ssize_t on_write(wslay_event_context*, const std::uint8_t* bytes, std::size_t size, int, void* self) {
    static_cast<WebSocketLayer*>(self)->down_.append(reinterpret_cast<const char*>(bytes), size);
    return static_cast<ssize_t>(size);
  }
  static int on_mask(wslay_event_context*, std::uint8_t* buffer, std::size_t size, void*) {
    crypto::random_bytes(buffer, size);
    return 0;
  }
  static void on_message(wslay_event_context*, const wslay_event_on_msg_recv_arg* message, void* self) {
    auto* layer = static_cast<WebSocketLayer*>(self);
    if (message->opcode == WSLAY_BINARY_FRAME)
      layer->up_.append(reinterpret_cast<const char*>(message->msg), message->msg_length);
    else if (message->opcode == WSLAY_TEXT_FRAME)
      layer->error_ = "the server sent text where frames belong";
  }

  ServerUrl url_;
  wslay_event_context* context_ = nullptr;
  std::string key_, in_;
  bool upgraded_ = false;
};

}  // namespace

std::unique_ptr<Layer> make_websocket_layer(const ServerUrl& url) { return std::make_unique<WebSocketLayer>(url); }

}  // namespace barid::client
