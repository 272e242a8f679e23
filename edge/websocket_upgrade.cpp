#include <http_parser.h>
#include <openssl/evp.h>
#include <strings.h>

#include <algorithm>

#include "base/limits.h"
#include "edge/websocket.h"

namespace barid::edge {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
constexpr std::size_t kKeyChars = 24;                                       // base64 of 16 bytes

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::string accept_key(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  unsigned char encoded[64];
  const int length = EVP_EncodeBlock(encoded, digest, static_cast<int>(size));
  return {reinterpret_cast<const char*>(encoded), static_cast<std::size_t>(length)};
}

struct WebSocketUpgrade::Impl {
  http_parser parser{};
  std::size_t received = 0;
  bool complete = false, in_value = false;
  std::string url, field, value;
  std::string key, version, upgrade;

  static Impl& of(http_parser* p) { return *static_cast<Impl*>(p->data); }
  void finish_header() {
    if (!in_value) return;
    if (same_word(field, "sec-websocket-key")) key = value;
    if (same_word(field, "sec-websocket-version")) version = value;
    if (same_word(field, "upgrade")) upgrade = value;
    field.clear();
    value.clear();
    in_value = false;
  }
  static int on_url(http_parser* p, const char* at, size_t n) {
    of(p).url.append(at, n);
    return 0;
  }
  static int on_field(http_parser* p, const char* at, size_t n) {
    of(p).finish_header();
    of(p).field.append(at, n);
    return 0;
  }
  static int on_value(http_parser* p, const char* at, size_t n) {
    of(p).in_value = true;
    of(p).value.append(at, n);
    return 0;
  }
  static int on_headers_complete(http_parser* p) {
    of(p).finish_header();
    of(p).complete = true;
    return p->upgrade != 0 ? 2 : 1;  // never a body
  }

  // The status line's number; 101 when everything is as RFC 6455, 4.2.1 asks.
  int verdict() const {
    if (parser.method != HTTP_GET) return 405;
    if (parser.http_major != 1 || parser.http_minor < 1) return 400;
    const std::string_view path = std::string_view(url).substr(0, url.find('?'));
    if (path != "/" && path != "/v1") return 404;
    if (parser.upgrade == 0 || !same_word(upgrade, "websocket") || version != "13") return 426;
    const bool key_fits = key.size() == kKeyChars && std::all_of(key.begin(), key.end(), [](unsigned char c) {
                            return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=';
                          });
    return key_fits ? 101 : 400;
  }
};

namespace {
void append_refusal(int status, std::string& out) {
  const char* text = "400 Bad Request";
  if (status == 404) text = "404 Not Found";
  if (status == 405) text = "405 Method Not Allowed\r\nAllow: GET";
  if (status == 426) text = "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
  if (status == 431) text = "431 Request Header Fields Too Large";
  out.append("HTTP/1.1 ").append(text).append("\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}
}  // namespace

WebSocketUpgrade::WebSocketUpgrade() : impl_(std::make_unique<Impl>()) {
  http_parser_init(&impl_->parser, HTTP_REQUEST);
  impl_->parser.data = impl_.get();
}
WebSocketUpgrade::~WebSocketUpgrade() = default;

WebSocketUpgrade::Status WebSocketUpgrade::receive(std::string_view bytes, std::size_t& used, std::string& out) {
  static const http_parser_settings settings = [] {
    http_parser_settings s;
    http_parser_settings_init(&s);
    s.on_url = &Impl::on_url;
    s.on_header_field = &Impl::on_field;
    s.on_header_value = &Impl::on_value;
    s.on_headers_complete = &Impl::on_headers_complete;
    return s;
  }();
  const std::size_t room = limits::kHttpUpgradeBytesMax - impl_->received;
  const std::string_view taken = bytes.substr(0, room);
  used = http_parser_execute(&impl_->parser, &settings, taken.data(), taken.size());
  impl_->received += used;
  int status = 400;
  if (impl_->complete) {
    status = impl_->verdict();
  } else if (HTTP_PARSER_ERRNO(&impl_->parser) == HPE_OK) {
    if (impl_->received < limits::kHttpUpgradeBytesMax) return Status::incomplete;
    status = 431;
  }
  if (status != 101) {
    append_refusal(status, out);
    return Status::refused;
  }
  out.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
      .append(accept_key(impl_->key))
      .append("\r\n\r\n");
  return Status::upgraded;
}

}  // namespace barid::edge
