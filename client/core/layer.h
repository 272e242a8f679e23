// One layer of a connection: bytes from below become bytes for above, and the reverse. No I/O of its own, so
// that TLS and WebSocket stack in any order. Owned by a Transport, its thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "client/core/server_url.h"

namespace barid::client {

class Layer {
 public:
  virtual ~Layer() = default;
  virtual void start() {}                             // the layer below is ready
  virtual bool received(std::string_view below) = 0;  // false: broken, error() says why
  virtual void send(std::string_view above) = 0;      // only when ready()
  virtual void shut() {}                              // says goodbye, if the protocol has a word for it
  virtual bool ready() const = 0;
  std::string take_down() { return std::exchange(down_, {}); }  // to be given to the layer below
  std::string take_up() { return std::exchange(up_, {}); }      // to be given to the layer above
  const std::string& error() const { return error_; }

 protected:
  std::string down_, up_, error_;
};

// TLS 1.2 or newer by OpenSSL; the certificate must be valid for the host. `ca_file` empty: the system's
// authorities.
std::unique_ptr<Layer> make_tls_layer(const ServerUrl& url, const std::string& ca_file);
// RFC 6455 client: binary messages, each a stretch of the byte stream.
std::unique_ptr<Layer> make_websocket_layer(const ServerUrl& url);

}  // namespace barid::client
