// Groups for people: which one they mean, and what happened in it as sentences. Main thread.
#pragma once

#include <string>

#include "client/cli/context.h"

namespace barid::cli {

// The group of that name, or group:<hex>. Fails with a clear sentence when there is none, or several.
client::GroupState find_group(client::SqliteStore& store, const std::string& who);
// Whom a command writes to or reads: a group when `group` says so, else a contact, a number, or a group of that name.
client::Peer find_conversation(client::SqliteStore& store, const std::string& who, bool group);

std::string name_of(client::SqliteStore& store, UserId user);  // "you", a contact's name, a number, or user:<hex>
std::string role_text(wire::GroupRole role);                   // "owner"
std::string note_text(client::SqliteStore& store, const client::GroupNote& note);  // "Alice added Bob"
std::string note_json(client::SqliteStore& store, const client::GroupNote& note);  // one object, one line
// "delivered to 3 of 5, read by 2 of 5"; empty when it is not a message to a group, or nobody has it yet.
std::string progress_text(const client::Message& message);

}  // namespace barid::cli
