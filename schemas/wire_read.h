// Private to schemas/: what the readers of wire.cpp, wire_request.cpp and wire_group.cpp share.
#pragma once

#include <string>
#include <vector>

#include "schemas/wire.capnp.h"
#include "schemas/wire.h"

namespace barid::wire {

// Thrown inside decode only: a message that Cap'n Proto can read and the protocol refuses.
struct Refuse {
  Code code;
};
[[noreturn]] void refuse(Code code);

std::string read_short_text(capnp::Text::Reader reader, std::size_t most = limits::kTextBytesMax);
std::vector<SeqRange> read_ranges(capnp::List<schema::Range>::Reader list);
Code read_wire_code(schema::Code code);

template <class Raw, class Enum>
Enum read_enum(Raw raw, Enum last) {
  if (static_cast<std::uint16_t>(raw) > static_cast<std::uint16_t>(last)) throw Refuse{Code::malformed};
  return static_cast<Enum>(raw);
}

template <class ListBuilder>
void fill_ranges(ListBuilder list, const std::vector<SeqRange>& ranges) {
  for (unsigned i = 0; i < ranges.size(); ++i) {
    list[i].setFirst(ranges[i].first);
    list[i].setCount(ranges[i].count);
  }
}

}  // namespace barid::wire
