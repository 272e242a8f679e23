#include "client/core/server_url.h"

#include <charconv>

namespace barid::client {
namespace {
constexpr std::size_t kUrlBytesMax = 512;
}

Result<ServerUrl, std::string> parse_server_url(std::string_view text) {
  const std::string shown(text.substr(0, 80));
  ServerUrl url;
  const std::size_t scheme_end = text.find("://");
  const std::string_view scheme = text.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
  if (scheme == "tls" || scheme == "wss") {
    url.tls = true;
  } else if (scheme != "tcp" && scheme != "ws") {
    return fail("the server address \"" + shown + "\" must start with tcp://, tls://, ws:// or wss://");
  }
  url.websocket = scheme == "ws" || scheme == "wss";
  std::string_view rest = text.substr(scheme_end + 3);
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || text.size() > kUrlBytesMax)
      return fail(std::string("the server address has spaces in it or is too long"));
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) url.path = rest.substr(slash), rest = rest.substr(0, slash);
  if (url.websocket && (url.path.empty() || url.path == "/")) url.path = "/v1";
  const std::size_t colon = rest.rfind(':');
  std::string_view port;
  if (rest.starts_with('[')) {  // an IPv6 address
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return fail("the server address \"" + shown + "\" lacks a ]");
    url.host = rest.substr(1, close - 1);
    if (rest.size() > close + 1 && rest[close + 1] == ':') port = rest.substr(close + 2);
  } else {
    url.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
  }
  if (port.empty() && url.websocket) port = url.tls ? "443" : "80";
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (error != std::errc() || end != port.data() + port.size() || url.port == 0)
    return fail("the server address \"" + shown + "\" lacks a port, as in tcp://chat.example.org:7000");
  if (url.host.empty()) return fail("the server address \"" + shown + "\" lacks a host");
  return url;
}

}  // namespace barid::client
