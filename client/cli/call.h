// A request to the directory from a command: waits for the answer, turns what went wrong into a Failure.
#pragma once

#include <variant>

#include "client/cli/context.h"
#include "client/core/client.h"

namespace barid::cli {

// The answer, or Failure: offline, timed out, or refused with the reason and when to try again.
wire::Response ask(client::Client& client, const decltype(wire::Request::body)& body);
[[noreturn]] void refuse(const wire::Error& error, const std::string& what);

// The address-book row with its user, by a lookup if need be; no user when nobody has that number.
client::Peer look_up(client::Client& client, client::SqliteStore& store, client::Peer peer);

}  // namespace barid::cli
