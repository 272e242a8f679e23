// The clients of a run: registered, in groups, each a process of its own (member.h) behind a line of the relay of its
// own, except for the steady ones, who are never hit and tell when all is well again. Owned by the run; one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/faults/stack.h"
#include "tests/support/process.h"
#include "tests/torture/judge.h"
#include "tests/torture/relay.h"

namespace barid::torture {

class Crowd {
 public:
  static constexpr std::size_t kSteady = 4, kGroups = 4, kGroupMembersMax = 8;

  struct Options {
    std::size_t clients = 14;
    std::uint32_t seed = 1;
    milliseconds pace{250};
    std::string program, folder;  // ourselves; where stores and records go
  };
  // ports: of the lines, one for each client that is not steady. Registers everybody and makes the groups. Throws with
  // what `barid` said.
  Crowd(test::Stack& stack, const Options& options, const std::vector<std::uint16_t>& ports);

  std::size_t size() const { return people_.size(); }
  const std::string& name(std::size_t client) const { return people_[client].name; }
  const std::map<std::string, std::vector<std::string>>& groups() const { return groups_; }

  void start(std::size_t client);  // nothing when it runs
  void end(std::size_t client);    // in order; waits
  void kill(std::size_t client);   // -9
  void signal(std::size_t client, int number);
  void be_quiet();                  // nobody writes any more, those that are started later neither
  std::vector<std::string> died();  // who ended without being told to, with its last words

  void collect(Judge& judge);  // what is new in the records
  // The newest message of that client to a steady one that it knows is delivered: when it was written. 0: none.
  std::int64_t arrived_ms(std::size_t client) const { return people_[client].arrived_ms; }

 private:
  struct Person {
    std::string name, phone, folder, record, server;
    std::vector<std::string> groups;
    std::unique_ptr<test::ChildProcess> process;
    std::int64_t read_up_to = 0;  // of its record
    std::int64_t arrived_ms = 0;
  };
  test::Ran barid(const Person& person, std::vector<std::string> arguments) const;
  void make_groups();

  Options options_;
  std::string data_;
  std::vector<Person> people_;
  std::map<std::string, std::vector<std::string>> groups_;  // with '#'
  bool quiet_ = false;
};

}  // namespace barid::torture
