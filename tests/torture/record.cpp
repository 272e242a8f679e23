#include "tests/torture/record.h"

#include <sstream>

namespace barid::torture {

std::string to_line(const Record& record) {
  std::ostringstream line;
  if (const auto* out = std::get_if<Outgoing>(&record))
    line << "out " << out->row << ' ' << out->conversation << ' ' << out->number << ' ' << client::name_of(out->state)
         << ' ' << out->got << ' ' << out->seen << ' ' << out->created_ms << ' ' << out->observed_ms << '\n';
  else if (const auto* in = std::get_if<Incoming>(&record))
    line << "in " << in->row << ' ' << in->conversation << ' ' << in->author << ' ' << in->number << ' ' << in->taken_ms
         << ' ' << in->read_ms << ' ' << in->intact << '\n';
  return line.str();
}

std::optional<Record> from_line(std::string_view text) {
  std::istringstream line{std::string(text)};
  std::string kind, state, more;
  line >> kind;
  if (kind == "out") {
    Outgoing out;
    line >> out.row >> out.conversation >> out.number >> state >> out.got >> out.seen >> out.created_ms >>
        out.observed_ms;
    for (int s = 0; s <= static_cast<int>(client::State::read); ++s)
      if (name_of(static_cast<client::State>(s)) == state) {
        out.state = static_cast<client::State>(s);
        if (line && !(line >> more)) return out;
      }
  } else if (kind == "in") {
    Incoming in;
    line >> in.row >> in.conversation >> in.author >> in.number >> in.taken_ms >> in.read_ms >> in.intact;
    if (line && !(line >> more)) return in;
  }
  return std::nullopt;
}

}  // namespace barid::torture
