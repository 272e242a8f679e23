#include "tests/bench/layers.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace barid::bench {
namespace {

constexpr std::string_view kUpgrade =
    "GET /v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
constexpr std::size_t kUpgradeAnswerMax = 4'096;
constexpr std::size_t kMessageMax = 120 * 1024;  // of a WebSocket message; the edge takes 128 KiB

// A client's frame must be masked (RFC 6455, 5.3). The mask hides nothing here; that it is not zero makes the server
// work.
constexpr std::array<char, 4> kMask = {0x5a, 0x13, 0x77, 0x2c};

void append_binary_message(std::string& out, std::string_view payload) {
  out.push_back(static_cast<char>(0x82));
  const std::size_t size = payload.size();
  if (size < 126) {
    out.push_back(static_cast<char>(0x80 | size));
  } else if (size < 65'536) {
    out.push_back(static_cast<char>(0x80 | 126));
    out.push_back(static_cast<char>(size >> 8));
    out.push_back(static_cast<char>(size & 0xff));
  } else {
    out.push_back(static_cast<char>(0x80 | 127));
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(std::uint64_t{size} >> shift));
  }
  out.append(kMask.data(), kMask.size());
  const std::size_t start = out.size();
  out.append(payload);
  for (std::size_t i = 0; i < size; ++i) out[start + i] = static_cast<char>(out[start + i] ^ kMask[i % 4]);
}

// Whole frames of the protocol: a message may not hold a part of one.
std::size_t whole_frames(std::string_view bytes) {
  std::size_t used = 0;
  while (bytes.size() - used >= 4) {
    const std::size_t frame = 4 + (static_cast<std::size_t>(static_cast<std::uint8_t>(bytes[used + 2])) << 8 |
                                   static_cast<std::uint8_t>(bytes[used + 3]));
    if (used != 0 && used + frame > kMessageMax) break;
    used += frame;
  }
  return std::min(used, bytes.size());
}

}  // namespace

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_client_method())) {
  if (context_ == nullptr) throw std::runtime_error("OpenSSL gave no client context");
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
}
TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Layers::Layers(Transport transport, const TlsContext* tls) : transport_(transport) {
  if (transport != Transport::tls) return;
  tls_ = SSL_new(tls->get());
  if (tls_ == nullptr) throw std::runtime_error("OpenSSL gave no connection");
  SSL_set_bio(tls_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(tls_);
}
Layers::~Layers() { SSL_free(tls_); }

void Layers::take_cipher(std::string& wire_out) {
  BIO* bio = SSL_get_wbio(tls_);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  if (size <= 0) return;
  wire_out.append(data, static_cast<std::size_t>(size));
  (void)BIO_reset(bio);
}

void Layers::start(std::string& wire_out) {
  if (transport_ == Transport::websocket) {
    wire_out.append(kUpgrade);
    return;
  }
  ERR_clear_error();
  SSL_do_handshake(tls_);
  take_cipher(wire_out);
}

bool Layers::receive(std::string_view bytes, std::string& plain, std::string& wire_out) {
  return transport_ == Transport::tls ? receive_tls(bytes, plain, wire_out) : receive_websocket(bytes, plain);
}

bool Layers::receive_tls(std::string_view bytes, std::string& plain, std::string& wire_out) {
  BIO_write(SSL_get_rbio(tls_), bytes.data(), static_cast<int>(bytes.size()));
  ERR_clear_error();
  char buffer[16 * 1024];
  while (true) {
    const int count = SSL_read(tls_, buffer, sizeof buffer);  // shakes hands first
    if (count > 0) {
      plain.append(buffer, static_cast<std::size_t>(count));
      continue;
    }
    const int error = SSL_get_error(tls_, count);
    if (error == SSL_ERROR_WANT_READ) break;
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    why_ = error == SSL_ERROR_ZERO_RETURN ? "TLS was ended" : std::string("TLS: ") + (reason ? reason : "unknown");
    return false;
  }
  ready_ = SSL_is_init_finished(tls_) != 0;
  take_cipher(wire_out);
  return true;
}

bool Layers::receive_websocket(std::string_view bytes, std::string& plain) {
  if (!ready_) {
    head_.append(bytes);
    const auto end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return head_.size() < kUpgradeAnswerMax;
    if (head_.rfind("HTTP/1.1 101", 0) != 0) return false;
    ready_ = true;
    const std::string rest = head_.substr(end + 4);
    head_.clear();
    return rest.empty() || receive_websocket(rest, plain);
  }
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, bytes.size()));
      plain.append(bytes.substr(0, part));
      bytes.remove_prefix(part);
      payload_left_ -= part;
      continue;
    }
    head_.push_back(bytes.front());
    bytes.remove_prefix(1);
    if (head_.size() < 2) continue;
    const auto opcode = static_cast<std::uint8_t>(head_[0]) & 0x0fU;
    const auto length = static_cast<std::uint8_t>(head_[1]);  // no mask bit from a server
    const std::size_t needed = length == 127 ? 10 : length == 126 ? 4 : 2;
    if (head_.size() < needed) continue;
    std::uint64_t size = length < 126 ? length : 0;
    for (std::size_t i = 2; i < needed; ++i) size = size << 8 | static_cast<std::uint8_t>(head_[i]);
    head_.clear();
    if (opcode > 2 && size > 0) return false;  // close, or a ping with a payload, which an edge does not send
    payload_left_ = size;
  }
  return true;
}

void Layers::seal(std::string_view plain, std::string& wire_out) {
  if (transport_ == Transport::tls) {
    SSL_write(tls_, plain.data(), static_cast<int>(plain.size()));
    take_cipher(wire_out);
    return;
  }
  while (!plain.empty()) {
    const std::size_t bytes = whole_frames(plain);
    append_binary_message(wire_out, plain.substr(0, bytes));
    plain.remove_prefix(bytes);
  }
}

}  // namespace barid::bench
