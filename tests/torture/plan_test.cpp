#include "tests/torture/plan.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace barid::torture {
namespace {

std::vector<Fault> all_faults() {
  std::vector<Fault> faults;
  for (std::size_t i = 0; i < kFaults; ++i)
    if (info(static_cast<Fault>(i)).not_run.empty()) faults.push_back(static_cast<Fault>(i));
  return faults;
}

using Flat = std::vector<std::tuple<Fault, milliseconds, milliseconds, std::size_t>>;
Flat flat(Planner& planner, int rounds) {
  Flat all;
  for (int i = 0; i < rounds; ++i)
    for (const Strike& s : planner.next()) all.emplace_back(s.fault, s.at, s.lasts, s.client);
  return all;
}

TEST(Plans, AreTheSameForTheSameSeedAndOthersForAnother) {
  Planner one(7, all_faults(), 4, 10), same(7, all_faults(), 4, 10), other(8, all_faults(), 4, 10);
  const Flat rounds = flat(one, 50);
  EXPECT_EQ(rounds, flat(same, 50));
  EXPECT_NE(rounds, flat(other, 50));
}

TEST(Plans, HitEverythingBeforeAnythingIsHitForTheThirdTime) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    Planner planner(seed, all_faults(), 4, 10);
    std::multiset<Fault> hit;
    while (!planner.all_hit())
      for (const Strike& s : planner.next()) hit.insert(s.fault);
    for (const Fault fault : all_faults())
      if (info(fault).server) {
        EXPECT_GE(hit.count(fault), 1U) << info(fault).name;
        EXPECT_LE(hit.count(fault), 3U) << info(fault).name;
      }
  }
}

TEST(Plans, StayWithinTheirBounds) {
  Planner planner(1, all_faults(), 4, 10);
  for (int i = 0; i < 500; ++i) {
    const Round round = planner.next();
    std::size_t servers = 0;
    std::set<std::size_t> clients;
    for (const Strike& s : round) {
      EXPECT_GE(s.lasts, info(s.fault).min);
      EXPECT_LE(s.lasts, info(s.fault).max);
      if (info(s.fault).server) {
        ++servers;
        continue;
      }
      EXPECT_GE(s.client, 4U);
      EXPECT_LT(s.client, 14U);
      EXPECT_TRUE(clients.insert(s.client).second) << "two faults for one client in a round";
    }
    EXPECT_GE(servers, 1U);
    EXPECT_LE(servers, Planner::kServerStrikesMax);
    EXPECT_LE(clients.size(), Planner::kClientStrikesMax);
  }
}

TEST(Plans, FaultsHaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kFaults; ++i) {
    const FaultInfo& about = info(static_cast<Fault>(i));
    EXPECT_TRUE(names.insert(about.name).second);
    EXPECT_EQ(fault_named(about.name), static_cast<Fault>(i));
    EXPECT_FALSE(about.what.empty());
  }
  EXPECT_FALSE(fault_named("plague").has_value());
}

}  // namespace
}  // namespace barid::torture
