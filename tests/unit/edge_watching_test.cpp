#include <gtest/gtest.h>

#include <random>

#include "edge/watching.h"

namespace barid::edge {
namespace {

using namespace std::chrono_literals;
using wire::PresenceEntry;
using wire::PresenceState;
using wire::TypingState;

constexpr UserId kAlice{1}, kBob{2};
constexpr GroupId kChoir{77};
const TimePoint kStart{1h};

PresenceEntry online(UserId user) { return {user, {}, PresenceState::online, TypingState::stopped, 0}; }
PresenceEntry offline(UserId user) { return {user, {}, PresenceState::offline, TypingState::stopped, 9}; }

TEST(Watching, AFrameASecondHoldsTheLatestOfEach) {
  Watching w;
  EXPECT_TRUE(w.watch({{kAlice, kBob}, {}}, kStart));
  EXPECT_TRUE(w.add(online(kAlice)));
  ASSERT_TRUE(w.frame_due(kStart, false));
  EXPECT_EQ(w.take(kStart).entries, std::vector{online(kAlice)});
  EXPECT_TRUE(w.add(offline(kAlice)) && w.add(online(kBob)) && w.add(online(kAlice)));
  EXPECT_FALSE(w.frame_due(kStart + 999ms, false));
  EXPECT_FALSE(w.frame_due(kStart + 4s, true));
  EXPECT_TRUE(w.frame_due(kStart + 5s, true));
  ASSERT_TRUE(w.frame_due(kStart + 1s, false));
  EXPECT_EQ(w.take(kStart + 1s).entries, (std::vector{online(kAlice), online(kBob)}));
}

TEST(Watching, WhatIsNotWatchedIsNotTaken) {
  Watching w;
  w.watch({{kAlice}, {kChoir}}, kStart);
  EXPECT_FALSE(w.add(online(kBob)));
  EXPECT_TRUE(w.add({kBob, kChoir, PresenceState::hidden, TypingState::typing, 0}));
  EXPECT_TRUE(w.add(online(kAlice)));
  w.watch({{kBob}, {}}, kStart);
  EXPECT_FALSE(w.frame_due(kStart, false));
}

TEST(Watching, SetsAreOfferedOnceASecondAndTheLastCounts) {
  Watching w;
  ASSERT_TRUE(w.watch({{kAlice}, {}}, kStart));
  EXPECT_TRUE(w.offered({Partition(1)}, kStart).empty());
  EXPECT_FALSE(w.watch({{kBob}, {}}, kStart + 10ms));
  EXPECT_FALSE(w.watch({{}, {}}, kStart + 20ms));
  EXPECT_TRUE(w.has_work());
  ASSERT_TRUE(w.offer_due(kStart + 1s));
  EXPECT_EQ(w.offered({}, kStart + 1s), std::vector{Partition(1)});
  EXPECT_FALSE(w.has_work());
}

TEST(Watching, TypingIsLimited) {
  Watching w;
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += w.may_type(kStart) ? 1 : 0;
  EXPECT_EQ(taken, 8);
}

TEST(Watching, IsBoundedAndNeverMoreThanAFrameASecondWhateverComes) {
  Watching w;
  w.watch({{}, {kChoir}}, kStart);
  std::mt19937 random(7);
  TimePoint now = kStart, last{};
  int frames = 0;
  for (int i = 0; i < 200'000; ++i) {
    now += std::chrono::microseconds(random() % 200);
    w.add({UserId(random() % 5'000), kChoir, PresenceState::hidden, TypingState::typing, 0});
    if (!w.frame_due(now, false)) continue;
    if (frames++ > 0) {
      EXPECT_GE(now - last, 1s);
    }
    last = now;
    EXPECT_LE(w.take(now).entries.size(), limits::kPresenceEntriesMax);
  }
  EXPECT_GE(frames, 15);
}

}  // namespace
}  // namespace barid::edge
