// barid-counted PART ROUNDS: carries ROUNDS × 50 messages through one part of the path and says how many. Run under
// valgrind by check_instructions, twice, so that what the set-up costs falls out of the difference.
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "tests/bench/workload.h"

int main(int argc, char** argv) {
  using barid::bench::Workload;
  const std::map<std::string, void (Workload::*)()> parts = {
      {"codec", &Workload::codec},
      {"session_step", &Workload::session_step},
      {"batch", &Workload::batch},
      {"delivery_step", &Workload::delivery_step},
      {"token_check", &Workload::token_check},
      {"path", &Workload::path},
  };
  const auto part = argc == 3 ? parts.find(argv[1]) : parts.end();
  if (part == parts.end()) {
    std::cerr << "usage: barid-counted codec|session_step|batch|delivery_step|token_check|path ROUNDS\n";
    return 2;
  }
  try {
    Workload workload;
    for (long rounds = std::strtol(argv[2], nullptr, 10); rounds > 0; --rounds) (workload.*part->second)();
    std::cout << workload.check() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
