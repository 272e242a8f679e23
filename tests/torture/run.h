// One run: an instance, a crowd, rounds of faults, then quiet and the verdict. Owned by main; one thread besides the
// relay's.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/torture/crowd.h"
#include "tests/torture/faults.h"
#include "tests/torture/judge.h"
#include "tests/torture/plan.h"
#include "tests/torture/relay.h"

namespace barid::torture {

struct Options {
  double minutes = 1;  // faults begin within this time; the rest is recovery
  std::uint32_t seed = 1;
  std::size_t clients = 14;
  milliseconds pace{250};
  std::vector<Fault> faults;  // empty: all that can be
  std::string program;        // ourselves
  std::string keep;           // logs and records are copied there; empty: only when something is wrong, to `out`
  std::string out;
};

struct Tally {
  std::uint64_t times = 0;
  milliseconds worst{0};  // from its end (and that of the other servers' faults of its round) until mail written after
                          // that has arrived
};

struct Outcome {
  Verdict verdict;
  std::map<Fault, Tally> tallies;
  std::map<Fault, std::string> not_run;
  std::vector<std::string> complaints;  // not recovered, died, interrupted
  std::uint64_t strikes = 0;
  milliseconds quiet_after{-1};  // the end of the last fault; -1: never
  bool well() const {            // and something was tried
    return verdict.well() && verdict.accepted > 0 && complaints.empty() && quiet_after.count() >= 0;
  }
};

class Run {
 public:
  static constexpr milliseconds kRecoveryMax{60'000};  // then it counts as not recovered
  static constexpr milliseconds kTick{50};

  explicit Run(Options options);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  Outcome operator()();
  static void interrupt();  // from a signal handler

 private:
  enum class Stage { waits, lasts, ended, recovered };
  struct Blow {
    Strike strike;
    Stage stage = Stage::waits;
    std::int64_t ended_ms = 0;  // wall
  };
  void set_up();
  bool warm();
  bool play(const Round& round, Outcome& outcome);  // false: it did not recover
  void look_at(Blow& blow, milliseconds since_start);
  bool has_recovered(const Blow& blow, std::int64_t since_ms) const;
  void tick(Outcome& outcome);
  void wait_for_quiet(Outcome& outcome);
  void keep(const std::string& folder);

  Options options_;
  bool may_mount_;
  SmallDisk disk_;
  test::TempDir dir_;
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<test::Stack> stack_;
  std::unique_ptr<Crowd> crowd_;
  std::unique_ptr<Hand> hand_;
  std::unique_ptr<Judge> judge_;
  std::int64_t last_end_ms_ = 0;
};

}  // namespace barid::torture
