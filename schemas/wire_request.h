// Private to schemas/: directory requests and responses, shared by the client wire (wire.cpp) and the
// directory call over NATS (control.cpp).
#pragma once

#include <string>

#include "schemas/wire.capnp.h"
#include "schemas/wire.h"

namespace barid::wire {

// May throw what wire.cpp's decode catches (kj::Exception, or refuse()).
Request read_request(schema::Request::Reader reader);
Response read_response(schema::Response::Reader reader);
void fill_request(schema::Request::Builder builder, const Request& request);
void fill_response(schema::Response::Builder builder, const Response& response);

std::string read_short_text(capnp::Text::Reader reader);
Code read_wire_code(schema::Code code);
[[noreturn]] void refuse(Code code);

}  // namespace barid::wire
