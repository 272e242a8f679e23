// The hand that hits: begins and ends each fault on a real instance. Owned by the run; one thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/faults/stack.h"
#include "tests/support/process.h"
#include "tests/torture/crowd.h"
#include "tests/torture/plan.h"
#include "tests/torture/relay.h"

namespace barid::torture {

// A small file system for nats-server's store, in a mount namespace of our own, so that nothing is left whatever
// happens.
class SmallDisk {
 public:
  static constexpr std::size_t kMiB = 128;

  // Before there are threads. False: we may not.
  static bool may_mount();
  void mount_at(const std::string& folder);
  void unmount();
  bool mounted() const { return !folder_.empty(); }
  void fill();  // to the last byte
  void free();

 private:
  std::string folder_;
};

class Hand {
 public:
  static constexpr std::size_t kNatsLine = 0;  // of the relay; the clients' lines follow

  Hand(test::Stack& stack, Crowd& crowd, Relay& relay, SmallDisk& disk);
  void begin(const Strike& strike);
  void end(const Strike& strike);

 private:
  void start_second_worker();
  std::size_t line_of(std::size_t client) const { return 1 + client - Crowd::kSteady; }

  test::Stack& stack_;
  Crowd& crowd_;
  Relay& relay_;
  SmallDisk& disk_;
  std::unique_ptr<test::ChildProcess> second_worker_;
};

}  // namespace barid::torture
