#include "client/cli/call.h"

#include "client/cli/render.h"
#include "client/cli/text.h"

namespace barid::cli {

void refuse(const wire::Error& error, const std::string& what) {
  std::string text = what + ": " + (error.text.empty() ? reason_text(error.code) : printable(error.text)) + " (" +
                     std::string(wire::name_of(error.code)) + ")";
  if (error.retry_after_ms != 0) text += ", try again in " + std::to_string((error.retry_after_ms + 999) / 1000) + " s";
  const bool again = error.code == wire::Code::device_revoked || error.code == wire::Code::bad_token ||
                     error.code == wire::Code::token_expired || error.code == wire::Code::bad_signature;
  throw Failure(again ? Exit::not_registered : Exit::refused, text);
}

wire::Response ask(client::Client& client, const decltype(wire::Request::body)& body) {
  const std::int64_t call = client.call(body);
  std::optional<wire::Response> response;
  while (!response) {
    client.turn(milliseconds(200));
    response = client.answer(call);
    if (stop_requested()) throw Failure(Exit::error, "interrupted");
  }
  if (const auto* error = std::get_if<wire::Error>(&response->body)) {
    using Kind = client::Client::Link::Kind;
    if (error->code == wire::Code::unavailable && client.link().kind != Kind::online &&
        client.link().kind != Kind::elsewhere)
      throw Failure(Exit::offline,
                    "offline: " + printable(client.link().text.empty() ? error->text : client.link().text));
    refuse(*error, "the server said no");
  }
  return *response;
}

client::Peer look_up(client::Client& client, client::SqliteStore& store, client::Peer peer) {
  if (peer.user != UserId() || peer.phone.empty()) return peer;
  const wire::Response response = ask(client, wire::Lookup{{peer.phone}});
  const auto* contacts = std::get_if<wire::Contacts>(&response.body);
  if (contacts == nullptr || contacts->found.empty()) return peer;
  store.learn(peer.id, contacts->found.front());
  return store.peer(peer.id).value_or(peer);
}

}  // namespace barid::cli
