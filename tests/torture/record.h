// What a client of a run saw, a line for each thing: the evidence that the judge (judge.h) decides on. Names of clients
// and conversations are words without spaces. Plain data, any thread. Lines:
//   out ROW CONVERSATION NUMBER STATE GOT SEEN CREATED_MS OBSERVED_MS
//   in ROW CONVERSATION AUTHOR NUMBER TAKEN_MS READ_MS INTACT
// A conversation is @CLIENT or #GROUP. ROW is the place in the client's own history, growing. NUMBER counts what an
// author wrote in a conversation, from 1. Times are of the wall clock, 0: not yet. A line may be repeated: a client
// that was killed says again what it has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "client/core/types.h"

namespace barid::torture {

struct Outgoing {
  std::int64_t row = 0;
  std::string conversation;
  std::uint64_t number = 0;
  client::State state = client::State::queued;
  std::uint32_t got = 0, seen = 0;  // of a group: members who have it, who have read it
  std::int64_t created_ms = 0, observed_ms = 0;
};

struct Incoming {
  std::int64_t row = 0;
  std::string conversation, author;
  std::uint64_t number = 0;
  std::int64_t taken_ms = 0, read_ms = 0;
  bool intact = true;  // the bytes are those that were written
};

using Record = std::variant<Outgoing, Incoming>;

std::string to_line(const Record& record);               // with its line break
std::optional<Record> from_line(std::string_view line);  // nothing: torn by a kill, or not a record

}  // namespace barid::torture
