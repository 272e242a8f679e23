// How far the broker's streams had come, kept outside of the broker. A handle on a Pool, cheap to copy; any thread.
// Several workers may write: of one incarnation the highest place of each stream stays.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace barid::storage {

class Pool;

class StreamMarks {
 public:
  struct Saved {
    std::uint64_t incarnation = 0;
    std::string boot;   // of the machine, while they were written; empty: the last stop was clean
    std::string marks;  // JSON: [{"stream","created","last"}]
  };
  explicit StreamMarks(Pool& pool) : pool_(&pool) {}

  std::optional<Saved> load();
  void save(const Saved& saved);

 private:
  Pool* pool_;
};

}  // namespace barid::storage
