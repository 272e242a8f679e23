// Presence in words, and as JSON. Pure but for the names out of the store.
#pragma once

#include <string>

#include "client/core/sqlite_store.h"

namespace barid::cli {

// "online", "typing…", "last seen 2026-11-24 14:05"; empty: nothing is known.
std::string presence_text(const wire::PresenceEntry& entry);
std::string presence_json(client::SqliteStore& store, const wire::PresenceEntry& entry);

// All that these conversations want to know.
void add_to(wire::Watch& watch, const client::Peer& peer);

}  // namespace barid::cli
