#include <poll.h>

#include <algorithm>

#include "client/core/client.h"

namespace barid::client {
namespace {

struct Exchange {
  std::string in;
  bool greeted = false;
};

// What the server's bytes amount to so far: nothing yet, the response, or why there will be none.
std::optional<Result<wire::Response, std::string>> read_frames(Exchange& x, Transport& transport,
                                                               const decltype(wire::Request::body)& body) {
  while (const auto raw = wire::split(x.in)) {
    const auto frame = wire::decode(*raw);
    x.in.erase(0, raw->bytes);
    if (!frame) return fail("the server sent what we cannot read (" + std::string(wire::name_of(frame.error())) + ")");
    if (std::holds_alternative<wire::Challenge>(*frame) && !x.greeted) {
      x.greeted = true;
      std::string out;
      wire::append(out, wire::Request{1, body});
      transport.send(out);
    } else if (const auto* response = std::get_if<wire::Response>(&*frame)) {
      return *response;
    } else if (const auto* error = std::get_if<wire::Error>(&*frame)) {
      return wire::Response{1, *error};
    }
  }
  return std::nullopt;
}

}  // namespace

Result<wire::Response, std::string> call_once(const ServerUrl& url, const std::string& tls_ca,
                                              const decltype(wire::Request::body)& body, milliseconds deadline) {
  const TimePoint until = steady_now() + deadline;
  Transport transport(url, tls_ca, steady_now());
  Exchange exchange;
  while (steady_now() < until) {
    pollfd p{transport.fd(), transport.events(), 0};
    const auto left = std::chrono::ceil<milliseconds>(until - steady_now()).count();
    if (::poll(&p, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 250))) > 0)
      transport.ready(p.revents, steady_now());
    transport.tick(steady_now());
    exchange.in += transport.take_received();
    if (transport.status() == Transport::Status::opening) continue;
    if (transport.status() == Transport::Status::open || !exchange.in.empty())
      if (auto outcome = read_frames(exchange, transport, body)) {
        transport.shut();
        return *outcome;
      }
    if (transport.status() == Transport::Status::closed) return fail(transport.error());
  }
  return fail("the server at " + url.host + " does not answer");
}

}  // namespace barid::client
