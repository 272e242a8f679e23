// How long to wait before a process that died is started again: 0.2 s, doubling to 10 s; a process that ran
// for a minute starts over. Pure; one per process, owned by it.
#pragma once

#include "base/clock.h"

namespace barid::supervisor {

class Backoff {
 public:
  static constexpr milliseconds kFirst{200};
  static constexpr milliseconds kMax{10'000};
  static constexpr milliseconds kForgiveAfter{60'000};  // it ran this long: what was before is forgotten

  milliseconds next(milliseconds ran_for);  // it died after running this long
  unsigned deaths_in_a_row() const { return deaths_; }

 private:
  unsigned deaths_ = 0;
};

}  // namespace barid::supervisor
