// What is going to hit, and when: a seeded sequence of rounds. The same seed and faults give the same rounds. Pure;
// owned by the run.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace barid::torture {

enum class Fault : std::uint8_t {
  edge_killed,
  edge_frozen,
  worker_killed,
  worker_frozen,
  second_worker_killed,
  second_worker_frozen,
  nats_killed,
  nats_frozen,
  postgres_killed,
  postgres_frozen,
  edge_cut_from_nats,
  nats_stalled,
  disk_full,
  client_killed,
  client_frozen,
  client_away,
  line_cut,
  line_stalled,
  line_deaf,
  line_mute,
  line_drip,
  clock_step,
  nats_node_lost,
  nats_majority_lost,
};
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::nats_majority_lost) + 1;

struct FaultInfo {
  std::string_view name;
  bool server = true;     // hits everybody; else one client
  milliseconds min, max;  // how long it lasts
  std::string_view what;
  std::string_view not_run = {};       // why it can't be done here
  std::string_view unless_named = {};  // why it is left out unless somebody asks for it
};
const FaultInfo& info(Fault fault);
std::optional<Fault> fault_named(std::string_view name);

struct Strike {
  Fault fault;
  milliseconds at{0}, lasts{0};  // at: from the beginning of the round
  std::size_t client = 0;        // whom, unless it hits everybody
};
using Round = std::vector<Strike>;  // by `at`

class Planner {
 public:
  static constexpr std::size_t kServerStrikesMax = 2, kClientStrikesMax = 3;  // of one round

  // clients: those that may be hit, first to last of the crowd, without the steady ones.
  Planner(std::uint32_t seed, std::vector<Fault> faults, std::size_t first_client, std::size_t clients);

  Round next();
  bool all_hit() const { return unhit_ == 0; }  // each fault has been in a round

 private:
  Fault draw(std::vector<Fault>& bag, const std::vector<Fault>& all);
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }

  std::mt19937 random_;
  std::vector<Fault> server_, client_;          // all that may be drawn
  std::vector<Fault> server_bag_, client_bag_;  // not drawn since the bag was filled
  std::size_t unhit_;
  std::vector<bool> hit_ = std::vector<bool>(kFaults);
  std::size_t first_client_, clients_;
};

}  // namespace barid::torture
