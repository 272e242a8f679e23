#include "base/stage_times.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/distinct.h"

namespace barid {
namespace {

using namespace std::chrono_literals;

struct Taken {
  std::vector<double> buckets;
  double sum = 0;
  void ObserveMultiple(const std::vector<double>& increments, double by) { buckets = increments, sum = by; }
};

TEST(StageTimes, TheFirstOfATickAreMeasuredAndOneIn64OfTheRest) {
  StageTimes times;
  int measured = 0;
  for (int i = 0; i < 640; ++i) measured += times.due() ? 1 : 0;
  EXPECT_EQ(measured, 32 + 10);
  Taken taken;
  times.carry_over(taken);
  EXPECT_TRUE(taken.buckets.empty());  // nothing was added
  EXPECT_TRUE(times.due());            // a new tick
}

TEST(StageTimes, ATimeFallsIntoTheBucketOfItsBoundAndANegativeOneIntoTheFirst) {
  StageTimes times;
  for (const auto took : {-5ms, 1ms, 100ms, 101ms, 60'000ms}) times.add(took);
  Taken taken;
  times.carry_over(taken);
  ASSERT_EQ(taken.buckets.size(), StageTimes::kBounds.size() + 1);
  EXPECT_EQ(taken.buckets[0], 1);  // up to 0.5 ms
  EXPECT_EQ(taken.buckets[1], 1);  // up to 1 ms
  EXPECT_EQ(taken.buckets[7], 1);  // up to 100 ms
  EXPECT_EQ(taken.buckets[8], 1);  // up to 250 ms
  EXPECT_EQ(taken.buckets.back(), 1);
  EXPECT_NEAR(taken.sum, 60.202, 1e-9);
  Taken again;
  times.carry_over(again);
  EXPECT_TRUE(again.buckets.empty());
}

TEST(Distinct, CountsDifferentIdsWithinFivePercentAndRepeatsNotAtAll) {
  for (const std::uint64_t many : {0, 1, 100, 5'000, 20'000, 1'000'000}) {
    Distinct seen(42);
    for (int again = 0; again < 2; ++again)
      for (std::uint64_t id = 0; id < many; ++id) seen.add(id * 7919);
    EXPECT_NEAR(seen.count(), static_cast<double>(many), static_cast<double>(many) * 0.05) << many;
  }
}

}  // namespace
}  // namespace barid
