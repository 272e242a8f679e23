// Replay one run with its trace: BARID_SEED=N barid_unit_delivery --gtest_filter='DeliverySimulation.*'.
// BARID_SEEDS=N sets how many are run.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/log.h"
#include "tests/unit/delivery_sim_world.h"

namespace barid::delivery::sim {
namespace {

constexpr std::uint64_t kSeeds = 3'000;

volatile std::sig_atomic_t current_seed = 0;

// An assertion of the core ends the process: say which seed led there.
void name_seed(int) {
  char text[] = "aborted in seed 0000000000: replay it with BARID_SEED\n";
  auto seed = static_cast<unsigned>(current_seed);
  for (int i = 25; i > 15; --i, seed /= 10) text[i] = static_cast<char>('0' + seed % 10);
  static_cast<void>(!write(STDERR_FILENO, text, sizeof text - 1));
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

// Empty: all promises were kept.
std::string run(std::uint64_t seed, bool tracing, Tally& total) {
  current_seed = static_cast<std::sig_atomic_t>(seed);
  World world(seed, tracing);
  std::string failure;
  try {
    world.run();
  } catch (const Failure& broken) {
    failure = broken.what();
  }
  if (tracing)
    for (const std::string& line : world.trace()) std::fprintf(stderr, "%s\n", line.c_str());
  const Tally& t = world.tally();
  total.letters += t.letters, total.shown += t.shown, total.repeats += t.repeats, total.takeovers += t.takeovers;
  total.parked += t.parked, total.drained += t.drained, total.kicked += t.kicked, total.buried += t.buried;
  total.expired += t.expired, total.gone += t.gone, total.blocked += t.blocked, total.lost_bus += t.lost_bus;
  total.gaps += t.gaps, total.repeated_publishes += t.repeated_publishes, total.late_publishes += t.late_publishes;
  total.refused += t.refused, total.swept += t.swept, total.redelivered += t.redelivered;
  total.group_letters += t.group_letters, total.group_receipts += t.group_receipts;
  total.losses += t.losses;
  return failure;
}

TEST(DeliverySimulation, LosesNothingDoublesNothingAndKeepsOrderUnderAllFaults) {
  spdlog::set_level(spdlog::level::off);
  std::signal(SIGABRT, name_seed);
  Tally total;
  if (const std::uint64_t only = from_environment("BARID_SEED", 0); only != 0) {
    ASSERT_EQ(run(only, true, total), "") << "seed " << only;
    return;
  }
  const std::uint64_t seeds = from_environment("BARID_SEEDS", kSeeds);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::string failure = run(seed, false, total);
    if (failure.empty()) continue;
    Tally again;
    run(seed, true, again);
    FAIL() << failure << "\nseed " << seed << ": replay it with BARID_SEED=" << seed;
  }
  // A simulation that meets no trouble proves nothing.
  for (const auto& [what, times] :
       std::initializer_list<std::pair<const char*, std::uint64_t>>{{"letters", total.letters},
                                                                    {"shown", total.shown},
                                                                    {"repeats", total.repeats},
                                                                    {"takeovers", total.takeovers},
                                                                    {"parked", total.parked},
                                                                    {"drained", total.drained},
                                                                    {"kicked", total.kicked},
                                                                    {"buried", total.buried},
                                                                    {"expired", total.expired},
                                                                    {"gone", total.gone},
                                                                    {"blocked", total.blocked},
                                                                    {"lost_bus", total.lost_bus},
                                                                    {"gaps", total.gaps},
                                                                    {"repeated_publishes", total.repeated_publishes},
                                                                    {"late_publishes", total.late_publishes},
                                                                    {"refused", total.refused},
                                                                    {"swept", total.swept},
                                                                    {"redelivered", total.redelivered},
                                                                    {"group_letters", total.group_letters},
                                                                    {"group_receipts", total.group_receipts},
                                                                    {"losses", total.losses}}) {
    std::printf("%s %lu\n", what, static_cast<unsigned long>(times));
    EXPECT_GT(times, seeds / 100) << what;
  }
}

}  // namespace
}  // namespace barid::delivery::sim
