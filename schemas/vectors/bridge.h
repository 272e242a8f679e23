// Frames, contents, tokens and batches as JSON and back: the form that the golden vectors are written in. For
// the vector generator and tests only; no process links it. Field names are those of the .capnp files.
// Integers of 64 bits are decimal strings (JSON numbers lose them), bytes are lower-case hex, enumerators are
// their names.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "schemas/content.h"
#include "schemas/envelope.h"
#include "schemas/token.h"
#include "schemas/wire.h"

namespace barid::vectors {

using Json = nlohmann::ordered_json;

// {"type": "send", "values": {…}}. from_json throws std::runtime_error or a JSON exception on anything
// unexpected.
Json to_json(const wire::Frame& frame);
wire::Frame frame_from_json(const Json& json);

Json to_json(const content::Content& content);  // {"type": "text", "values": {…}}
content::Content content_from_json(const Json& json);

Json to_json(const token::Token& token);  // the values alone
token::Token token_from_json(const Json& json);

Json to_json(const envelope::Envelope& envelope);  // the values alone; `frame` in hex
// The envelope points into `frame_bytes` and `recipients`, which the caller keeps.
envelope::Envelope envelope_from_json(const Json& json, std::string& frame_bytes,
                                      std::vector<envelope::Recipient>& recipients);

std::string encode_frame(const wire::Frame& frame);
std::string unhex(std::string_view hex);  // throws std::runtime_error

}  // namespace barid::vectors
