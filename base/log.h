// The log: spdlog to standard error, as text or as one JSON object a line. Never message content, secrets or
// whole phone numbers: use masked_phone(). Use SPDLOG's macros or spdlog::info(…) directly.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>

#include "base/id.h"

namespace barid {

struct LogConfig;
void init_log(const LogConfig& config, std::string_view process_name);

// "+4915•••23": enough for an operator to recognise a number that a user names, not enough to call it.
std::string masked_phone(std::string_view phone);

// "nats://user:•••@host": a URL for messages and logs, without the password it may hold.
std::string masked_url(std::string_view url);

// The trace id of a message, the same in every process: "<device hex>-<seq>".
std::string trace_id(MessageId id);
std::string hex_id(std::uint64_t id);  // 16 hex digits
bool parse_hex_id(std::string_view text, std::uint64_t& id);

}  // namespace barid
