// Time. Cores take `now` as an argument; only shells ask for it. Wall time travels as milliseconds since 1970
// (UTC).
#pragma once

#include <chrono>
#include <cstdint>

namespace barid {

using std::chrono::milliseconds;
using std::chrono::seconds;
using TimePoint = std::chrono::steady_clock::time_point;

inline TimePoint steady_now() { return std::chrono::steady_clock::now(); }

struct WallMs {
  std::int64_t value = 0;
  constexpr auto operator<=>(const WallMs&) const = default;
};
inline WallMs wall_now() {
  using namespace std::chrono;
  return WallMs{duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

}  // namespace barid
