#include "ops/supervisor/backoff.h"

#include <algorithm>

namespace barid::supervisor {

milliseconds Backoff::next(milliseconds ran_for) {
  if (ran_for >= kForgiveAfter) deaths_ = 0;
  const unsigned doublings = std::min(deaths_, 10u);  // 2^10 is far past kMax
  ++deaths_;
  return std::min(kMax, kFirst * (1 << doublings));
}

}  // namespace barid::supervisor
