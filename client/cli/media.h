// Files in messages, for commands: seals, uploads, downloads and opens them, with progress on a terminal. Throws
// Failure.
#pragma once

#include <string>

#include "client/cli/context.h"
#include "client/core/client.h"
#include "schemas/content.h"

namespace barid::cli {

// Uploads the file and queues the message; goes on where an earlier try was cut off. `described`: name, type, caption.
client::MessageRow send_media(const Context& context, client::Client& client, client::SqliteStore& store,
                              const client::Peer& to, const std::string& path, content::Media described);

// The checked and opened file is at `to` afterwards, which must not exist yet.
void fetch_media(const Context& context, client::Client& client, client::SqliteStore& store,
                 const content::Media& media, const std::string& to);

}  // namespace barid::cli
