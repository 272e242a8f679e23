#include "workers/delivery/dedup.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>
#include <vector>

namespace barid::delivery {
namespace {

constexpr DeviceId kFrom{1}, kTo{2};

TEST(Dedup, RecognisesARepeatInsideTheWindowAndOnlyForItsPair) {
  Dedup dedup;
  EXPECT_FALSE(dedup.seen(kFrom, kTo, 7));
  EXPECT_TRUE(dedup.seen(kFrom, kTo, 7));
  EXPECT_FALSE(dedup.seen(kFrom, DeviceId(3), 7));
  EXPECT_FALSE(dedup.seen(DeviceId(3), kTo, 7));
  EXPECT_FALSE(dedup.seen(kTo, kFrom, 7));
}

TEST(Dedup, LetsALateOriginalThroughBelowTheHighest) {
  Dedup dedup;
  EXPECT_FALSE(dedup.seen(kFrom, kTo, 100));
  EXPECT_FALSE(dedup.seen(kFrom, kTo, 99));
  EXPECT_TRUE(dedup.seen(kFrom, kTo, 99));
  EXPECT_FALSE(dedup.seen(kFrom, kTo, 100 - Dedup::kWindow + 1));
  EXPECT_TRUE(dedup.seen(kFrom, kTo, 100 - Dedup::kWindow + 1));
}

TEST(Dedup, PassesWhatIsTooOldToTell) {
  Dedup dedup;
  EXPECT_FALSE(dedup.seen(kFrom, kTo, 1));
  EXPECT_FALSE(dedup.seen(kFrom, kTo, 1 + Dedup::kWindow));
  EXPECT_FALSE(dedup.seen(kFrom, kTo, 1));
  EXPECT_TRUE(dedup.seen(kFrom, kTo, 1 + Dedup::kWindow));
}

TEST(Dedup, AJumpOfAnySizeForgetsNoLaterOriginal) {
  for (const std::uint64_t jump : {1ULL, 63ULL, 64ULL, 65ULL, 1ULL << 40}) {
    Dedup dedup;
    EXPECT_FALSE(dedup.seen(kFrom, kTo, 5));
    EXPECT_FALSE(dedup.seen(kFrom, kTo, 5 + jump)) << jump;
    EXPECT_TRUE(dedup.seen(kFrom, kTo, 5 + jump)) << jump;
    EXPECT_FALSE(dedup.seen(kFrom, kTo, 6 + jump)) << jump;
  }
}

TEST(Dedup, HoldsABoundedNumberOfPairs) {
  Dedup dedup;
  for (std::uint64_t i = 1; i <= Dedup::kPairsMax + 10; ++i) dedup.seen(DeviceId(i), kTo, 1);
  EXPECT_LE(dedup.pairs(), Dedup::kPairsMax);
}

TEST(Dedup, NeverDropsAnOriginalWhateverTheOrder) {
  EXPECT_TRUE(rc::check([] {
    Dedup dedup;
    std::set<std::pair<std::uint64_t, std::uint64_t>> taken;
    std::uint64_t base = 1;
    const auto steps = *rc::gen::inRange<std::size_t>(1, 300);
    for (std::size_t i = 0; i < steps; ++i) {
      // Around a base that moves on, now and then far: repeats, late originals and jumps alike.
      base += *rc::gen::weightedElement<std::uint64_t>({{20, 0}, {20, 1}, {4, 7}, {2, 63}, {2, 64}, {1, 1'000'000}});
      const std::uint64_t back = *rc::gen::inRange<std::uint64_t>(0, 90);
      const std::uint64_t seq = base > back ? base - back : 1;
      const DeviceId from(*rc::gen::inRange<std::uint64_t>(1, 3));
      if (dedup.seen(from, kTo, seq)) RC_ASSERT(taken.contains({from.value, seq}));
      taken.insert({from.value, seq});
    }
  }));
}

TEST(Dedup, DropsEveryRepeatOfTheLatestSixtyFour) {
  EXPECT_TRUE(rc::check([] {
    Dedup dedup;
    const auto first = *rc::gen::inRange<std::uint64_t>(1, 1'000'000);
    const auto count = *rc::gen::inRange<std::uint64_t>(1, 200);
    for (std::uint64_t seq = first; seq < first + count; ++seq) RC_ASSERT(!dedup.seen(kFrom, kTo, seq));
    for (std::uint64_t back = 0; back < std::min(count, Dedup::kWindow); ++back)
      RC_ASSERT(dedup.seen(kFrom, kTo, first + count - 1 - back));
  }));
}

}  // namespace
}  // namespace barid::delivery
