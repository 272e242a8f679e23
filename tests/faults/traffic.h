// People who write to each other at a steady pace, each with a real client on a thread of its own, and a judge: every
// message arrives once and in order, every sender learns of it, and how long a partition stood still. Owned by a test.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/partition.h"
#include "client/core/client.h"
#include "tests/faults/stack.h"

namespace barid::test {

class Traffic {
 public:
  // Pairs of people, registered at the stack; each writes to the other of the pair every `pace`, from now on.
  Traffic(Stack& stack, const std::string& folder, std::size_t pairs, milliseconds pace, std::uint16_t partitions);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  void run_for(milliseconds time, const std::function<bool()>& enough = {});
  // How long nobody of a partition heard anything, in the worst case.
  void forget_gaps();  // from here on anew
  std::map<Partition, milliseconds> gaps();
  milliseconds longest_gap();
  std::size_t written();

  // Nobody writes until every sender has heard of all; then they go on. Empty: all is as it should be; else what is
  // not.
  std::string settle(std::chrono::seconds patience);

 private:
  struct Person {
    std::string folder;
    std::unique_ptr<client::SqliteStore> store;  // its thread's
    client::PeerId to;
    Partition home;
    std::size_t partner = 0;
    std::thread thread;
    // Under mutex_:
    std::size_t written = 0, heard = 0;
    bool resting = false;  // nothing of it is under way
    std::string wrong;     // the first thing that was not in order
  };
  void live(Person& person, TimePoint next);
  void listen(Person& person);
  bool everybody_rests();

  std::vector<std::unique_ptr<Person>> people_;
  milliseconds pace_;
  std::mutex mutex_;
  bool writing_ = true, stop_ = false;
  std::map<Partition, TimePoint> last_;
  std::map<Partition, milliseconds> longest_;
};

}  // namespace barid::test
