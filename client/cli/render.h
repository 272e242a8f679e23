// Messages as lines for people and as JSON objects for scripts. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>

#include "client/core/types.h"

namespace barid::cli {

// One line without control characters: the text itself, or "[image] https://… caption".
std::string describe(const std::string& content, bool keep_newlines = false);
std::string clock_time(std::int64_t wall_ms);  // 14:05, local time
std::string day(std::int64_t wall_ms);         // Tuesday, 24 November 2026
std::string date_time(std::int64_t wall_ms);   // 2026-11-24 14:05
std::string ticks(client::State state);        // … ✓ ✓✓ ✗
std::string reason_text(wire::Code code);      // for people

// One object, one line. Ids are 16 hexadecimal digits; times are milliseconds since 1970; text is exact.
// author: what to call who wrote it, in a group.
std::string message_json(const client::Message& message, const client::Peer& peer, const client::Account& account,
                         const std::string& author = {});
std::string receipt_json(const client::Message& message, const client::Peer& peer, const client::Account& account);

}  // namespace barid::cli
