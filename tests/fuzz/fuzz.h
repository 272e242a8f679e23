// What each fuzz target provides. Built with libFuzzer when the compiler is clang, and always with
// driver.cpp, which feeds the seeds and a bounded number of seeded mutations of them: that is what ctest
// runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace barid::fuzz {

std::vector<std::string> seeds();  // valid inputs of this target

// Packs words as Cap'n Proto does, so that a target can be fuzzed below the packing too.
std::string pack(std::string_view words);
std::string unpack(std::string_view packed);

// The `hex` of every entry of schemas/vectors/<name>.json.
std::vector<std::string> vector_bytes(const std::string& name);

inline void require(bool claim, const char* what) {
  if (claim) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace barid::fuzz
