// One client of the crowd, as a process: a store and the real client core. Writes, reads and records what it sees until
// it is told to stop. Everything it must remember is in its store, so it may be killed at any time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace barid::torture {

struct MemberOptions {
  std::string name, folder, record, server;
  std::vector<std::string> people;  // NAME=PHONE of all; the first `steady` are never hit
  std::vector<std::string> groups;  // names of those it is in
  std::size_t steady = 0;
  std::uint32_t seed = 1;
  milliseconds pace{250};  // between two messages, on average
  bool quiet = false;      // writes nothing
};

// SIGUSR1: write nothing any more. SIGTERM: end in order. Throws when the store can't be used.
void run_member(const MemberOptions& options);

}  // namespace barid::torture
