// The arithmetic that needs no database: when a code may be sent again, token buckets, days, connection strings.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "storage/codes.h"
#include "storage/lookups.h"
#include "storage/migrator.h"
#include "storage/throttles.h"
#include "storage/url.h"

namespace barid::storage {
namespace {

using namespace std::chrono_literals;
constexpr WallMs kNow{1'700'000'000'000};

WallMs later(std::chrono::milliseconds by) { return WallMs{kNow.value + by.count()}; }

TEST(NextCode, IsAllowedAtOnceForANewNumber) {
  const auto next = next_code(std::nullopt, {}, kNow);
  EXPECT_EQ(next.wait, 0ms);
  EXPECT_EQ(next.streak, 1);
}

TEST(NextCode, WaitDoublesWithEachUpToAnHour) {
  const CodePolicy policy;
  EXPECT_EQ(resend_after(1, policy), 1min);
  EXPECT_EQ(resend_after(2, policy), 2min);
  EXPECT_EQ(resend_after(6, policy), 32min);
  EXPECT_EQ(resend_after(7, policy), 1h);
  EXPECT_EQ(resend_after(1'000'000, policy), 1h);
}

TEST(NextCode, SaysHowLongToWaitAndThenAllows) {
  const LastCode last{kNow, 2};
  const auto early = next_code(last, {}, later(30s));
  EXPECT_EQ(early.wait, 90s);
  EXPECT_EQ(early.streak, 2);
  const auto due = next_code(last, {}, later(2min));
  EXPECT_EQ(due.wait, 0ms);
  EXPECT_EQ(due.streak, 3);
}

TEST(NextCode, StreakEndsAfterAQuietTime) {
  const auto next = next_code(LastCode{kNow, 9}, {}, later(12h));
  EXPECT_EQ(next.wait, 0ms);
  EXPECT_EQ(next.streak, 1);
}

TEST(NextCode, AClockThatWentBackLocksNobodyOutForLonger) {
  EXPECT_EQ(next_code(LastCode{later(1000h), 1}, {}, kNow).wait, 1min);
}

TEST(NextCode, NoWaitWhenThePolicyHasNone) {
  CodePolicy policy;
  policy.resend = 0ms;
  EXPECT_EQ(next_code(LastCode{kNow, 5}, policy, kNow).wait, 0ms);
}

TEST(Throttle, GivesItsBurstThenRefuses) {
  const RateConfig rate{0.5, 3};
  std::optional<Bucket> bucket;
  for (int i = 0; i < 3; ++i) {
    const auto taken = take(bucket, rate, 1, kNow);
    ASSERT_EQ(taken.wait, 0ms) << i;
    bucket = taken.bucket;
  }
  EXPECT_EQ(take(bucket, rate, 1, kNow).wait, 2s);
  EXPECT_EQ(take(bucket, rate, 1, later(1s)).wait, 1s);
  EXPECT_EQ(take(bucket, rate, 1, later(2s)).wait, 0ms);
}

TEST(Throttle, RefusingTakesNothing) {
  const RateConfig rate{1, 1};
  const Bucket empty{0, kNow};
  const auto refused = take(empty, rate, 1, later(500ms));
  EXPECT_EQ(refused.wait, 500ms);
  EXPECT_EQ(take(refused.bucket, rate, 1, later(1s)).wait, 0ms);
}

TEST(Throttle, NeverHoldsMoreThanItsBurst) {
  const auto taken = take(Bucket{0, kNow}, {1, 2}, 1, later(1000h));
  EXPECT_DOUBLE_EQ(taken.bucket.level, 1);
}

TEST(Throttle, AClockThatWentBackGivesNothingAway) { EXPECT_GT(take(Bucket{0, later(1h)}, {1, 5}, 1, kNow).wait, 0ms); }

TEST(Lookups, DaysTurnAtMidnightUtc) {
  const WallMs midnight{19'675LL * kDayMs};
  EXPECT_EQ(day_of(midnight), 19'675);
  EXPECT_EQ(day_of(WallMs{midnight.value - 1}), 19'674);
  EXPECT_EQ(until_next_day(WallMs{midnight.value - 1}), 1ms);
  EXPECT_EQ(until_next_day(midnight), 24h);
}

TEST(Url, BothShapesGetATimeout) {
  EXPECT_EQ(with_connect_timeout("postgresql:///barid"), "postgresql:///barid?connect_timeout=2");
  EXPECT_EQ(with_connect_timeout("postgres://h/db?user=x"), "postgres://h/db?user=x&connect_timeout=2");
  EXPECT_EQ(with_connect_timeout("host=/run dbname=barid"), "host=/run dbname=barid connect_timeout=2");
  EXPECT_EQ(with_connect_timeout("host=h connect_timeout=9"), "host=h connect_timeout=9");
}

TEST(Migrations, AreNumberedInOrderAndNotEmpty) {
  const auto& all = built_in_migrations();
  ASSERT_GE(all.size(), 2U);
  std::set<std::string> numbers;
  for (const auto& migration : all) {
    EXPECT_TRUE(std::all_of(migration.name.begin(), migration.name.begin() + 4, ::isdigit)) << migration.name;
    EXPECT_TRUE(numbers.insert(migration.name.substr(0, 4)).second) << "two migrations " << migration.name.substr(0, 4);
    EXPECT_FALSE(migration.sql.empty());
  }
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; }));
}

}  // namespace
}  // namespace barid::storage
