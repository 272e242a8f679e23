#include "workers/delivery/drain.h"

#include <algorithm>

namespace barid::delivery {

broker::DrainDesk::Hooks drain_hooks(std::vector<Lease*> leases) {
  const auto left = [leases] {
    std::size_t sum = 0;
    for (const Lease* lease : leases) sum += lease->owned();
    return sum;
  };
  return {[leases]() -> std::string {
            const bool all =
                std::all_of(leases.begin(), leases.end(), [](Lease* lease) { return lease->has_successor(); });
            return all ? "" : "no other worker lives that could take its partitions: start one first (ops/scale)";
          },
          [leases](milliseconds over) {
            for (Lease* lease : leases) lease->drain(over);
          },
          [left] {
            return nlohmann::json{{"left", left()}, {"of", "partitions"}};
          }};
}

}  // namespace barid::delivery
