// Where the server is: tcp://host:port, tls://…, ws://host:port/path, wss://…. Plain data, pure parsing, any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace barid::client {

struct ServerUrl {
  std::string host, path;  // path: WebSocket only; "/v1" when the address names none
  std::uint16_t port = 0;
  bool tls = false, websocket = false;
};

Result<ServerUrl, std::string> parse_server_url(std::string_view text);  // the error says what is wrong

}  // namespace barid::client
