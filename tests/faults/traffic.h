// People who write to each other at a steady pace, each with a real client in this process, and a judge: every message
// arrives once and in order, every sender learns of it, and how long a partition stood still. Owned by a test, on its
// thread; nothing happens outside run_for() and settle().
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/partition.h"
#include "client/core/client.h"
#include "tests/faults/stack.h"

namespace barid::test {

class Traffic {
 public:
  // Pairs of people, registered at the stack; each writes to the other of the pair every `pace`.
  Traffic(Stack& stack, const std::string& folder, std::size_t pairs, milliseconds pace, std::uint16_t partitions);

  void run_for(milliseconds time, const std::function<bool()>& enough = {});
  // Runs while a command of the operator runs; its output and status.
  Ran run_while(const std::vector<std::string>& argv, std::chrono::seconds patience);
  // How long nobody of a partition heard anything, without the time in which this thread itself did not run.
  void forget_gaps();                // from here on anew
  milliseconds longest_gap() const;  // of all partitions
  std::map<Partition, milliseconds> gaps() const;
  milliseconds own_stalls() const { return stalled_; }
  std::size_t sent() const { return sent_; }

  // Writes no more, and goes on until every sender has heard of all. Empty: all is as it should be; else what is not.
  std::string settle(std::chrono::seconds patience);

 private:
  struct Person {
    std::string folder;
    std::unique_ptr<client::SqliteStore> store;
    std::unique_ptr<client::Client> client;
    client::PeerId to;
    Partition home;
    std::size_t partner = 0, written = 0, heard = 0;
    client::MessageRow last_heard{0};
    TimePoint next;
  };
  void turn(bool write);
  void listen(Person& person, TimePoint now);

  std::vector<Person> people_;
  milliseconds pace_;
  std::size_t sent_ = 0;
  TimePoint turned_{};
  milliseconds stalled_{0};  // in all
  std::string wrong_;        // the first thing that was not in order
  struct Heard {
    TimePoint at;
    milliseconds stalled{0};  // by then
  };
  milliseconds since(const Heard& last, TimePoint now) const;
  std::map<Partition, Heard> last_;
  std::map<Partition, milliseconds> longest_;
};

}  // namespace barid::test
