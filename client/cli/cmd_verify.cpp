#include <iostream>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/log.h"
#include "client/cli/call.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

constexpr std::size_t kDigitsTogether = 5;
constexpr seconds kKeysPatience{10};

std::string in_groups(const std::string& digits) {
  std::string text;
  for (std::size_t i = 0; i < digits.size(); i += kDigitsTogether)
    text += (i == 0 ? "" : i == digits.size() / 2 ? "\n" : " ") + digits.substr(i, kDigitsTogether);
  return text;
}

client::PeerIdentity identity_of(client::SqliteStore& store, const client::Peer& peer) {
  const auto identity = store.identity(peer.user);
  if (!identity)
    throw Failure(Exit::error,
                  "there has been no message between you and " + name_of(peer) + " yet: send one first, then compare");
  return *identity;
}

client::Peer person(client::SqliteStore& store, const std::string& who) {
  const client::Peer peer = find_or_make_peer(store, who);
  if (peer.user == UserId())
    throw Failure(Exit::error,
                  "there has been no message between you and " + name_of(peer) + " yet: send one first, then compare");
  return peer;
}

const char* word_of(const client::PeerIdentity& identity) {
  return identity.held       ? "changed, sending is blocked until you trust it"
         : identity.verified ? "verified"
                             : "not verified";
}

}  // namespace

Exit run_verify(const Context& context, const VerifyOptions& o) {
  const auto store = context.open_account();
  const client::Peer peer = person(*store, o.who);
  identity_of(*store, peer);
  if (!o.scan.empty()) {
    std::string code;
    if (!crypto::from_hex(o.scan, code) || !store->compare_code(peer.user, code)) {
      store->set_verified(peer.user, false);
      throw Failure(Exit::refused, "this is not the code of " + name_of(peer) +
                                       " for you: somebody may be between you, or one of you has an older key");
    }
    store->set_verified(peer.user, true);
  } else if (o.confirm || o.undo) {
    store->set_verified(peer.user, o.confirm);
  }
  const auto identity = identity_of(*store, peer);
  const auto number = store->safety_number(peer.user);
  if (context.json) {
    std::cout << nlohmann::json{{"type", "safety_number"},       {"user", hex_id(peer.user.value)},
                                {"digits", number.digits},       {"code", crypto::to_hex(number.code)},
                                {"verified", identity.verified}, {"strict", identity.strict},
                                {"held", identity.held}}
                     .dump()
              << std::endl;
    return Exit::ok;
  }
  std::cout << "Safety number with " << name_of(peer) << " (" << word_of(identity) << "):\n\n"
            << in_groups(number.digits) << "\n\nCode for `barid verify --scan`:\n"
            << crypto::to_hex(number.code) << "\n";
  if (!identity.verified)
    std::cout << "\nIf " << name_of(peer) << " sees the same digits: barid verify " << o.who << " --confirm\n";
  std::cout << std::flush;
  return Exit::ok;
}

Exit run_trust(const Context& context, const TrustOptions& o) {
  const auto store = context.open_account();
  const client::Peer peer = person(*store, o.who);
  identity_of(*store, peer);
  std::optional<bool> strict;
  if (!o.block_on_change.empty()) strict = o.block_on_change == "on";
  store->trust(peer.user, strict);
  client::Nudge(context.directory()).ring();
  const auto identity = identity_of(*store, peer);
  context.say("The key of " + name_of(peer) + " as it is now is trusted (" + word_of(identity) + "); a change " +
              (identity.strict ? "blocks sending." : "is shown, and does not block sending."));
  return Exit::ok;
}

std::string identity_text(client::SqliteStore& store, UserId user) {
  const auto peer = store.peer_of(user);
  const auto identity = store.identity(user);
  return "the security key of " + (peer ? name_of(*peer) : "user:" + hex_id(user.value)) + " has changed" +
         (identity && identity->held ? "; sending is blocked until you trust it: barid trust" : ": barid verify");
}

void publish_keys(const Context& context, client::SqliteStore& store) {
  client::Client client(store, context.directory());
  const TimePoint until = steady_now() + kKeysPatience;
  using Kind = client::Client::Link::Kind;
  while (!store.keys_published() && steady_now() < until && !stop_requested()) {
    client.turn(milliseconds(100));
    if (client.link().kind == Kind::stopped || client.link().kind == Kind::offline) return;  // the next login does it
  }
}

}  // namespace barid::cli
