// Replay one run: BARID_SEED=N barid_unit_fanout --gtest_filter='FanoutSimulation.*'. BARID_SEEDS=N sets how many are
// run.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/log.h"
#include "tests/unit/fanout_sim_world.h"

namespace barid::fanout::sim {
namespace {

constexpr std::uint64_t kSeeds = 500;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

TEST(FanoutSimulation, WhoShouldGetItGetsItAndNobodyElseInStreamOrderUnderAllFaults) {
  spdlog::set_level(spdlog::level::off);
  Tally total;
  const std::uint64_t only = from_environment("BARID_SEED", 0);
  const std::uint64_t seeds = from_environment("BARID_SEEDS", kSeeds);
  for (std::uint64_t seed = only != 0 ? only : 1; seed <= (only != 0 ? only : seeds); ++seed) {
    World world(seed, only != 0);
    try {
      world.run();
    } catch (const Failure& broken) {
      FAIL() << broken.what() << "\nseed " << seed << ": replay it with BARID_SEED=" << seed;
    }
    const Tally& t = world.tally();
    total.messages += t.messages, total.events += t.events, total.reads += t.reads, total.refused += t.refused;
    total.resent += t.resent, total.kills += t.kills, total.snapshots += t.snapshots, total.failed += t.failed;
    total.repeats += t.repeats, total.removed += t.removed, total.added += t.added, total.left_out += t.left_out;
  }
  if (only != 0) return;
  // A simulation that meets no trouble proves nothing.
  for (const auto& [what, times] :
       std::initializer_list<std::pair<const char*, std::uint64_t>>{{"messages", total.messages},
                                                                    {"events", total.events},
                                                                    {"reads", total.reads},
                                                                    {"refused", total.refused},
                                                                    {"resent", total.resent},
                                                                    {"kills", total.kills},
                                                                    {"snapshots", total.snapshots},
                                                                    {"failed", total.failed},
                                                                    {"repeats", total.repeats},
                                                                    {"removed", total.removed},
                                                                    {"added", total.added},
                                                                    {"left_out", total.left_out}}) {
    std::printf("%s %lu\n", what, static_cast<unsigned long>(times));
    EXPECT_GT(times, seeds / 10) << what;
  }
}

}  // namespace
}  // namespace barid::fanout::sim
