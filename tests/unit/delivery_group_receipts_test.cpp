#include "workers/delivery/group_receipts.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

namespace barid::delivery {
namespace {

constexpr milliseconds kHold{100};
constexpr GroupReceipts::Key kKey{DeviceId(1), GroupId(7)}, kOther{DeviceId(2), GroupId(7)};
constexpr UserId kAuthor{10};

class Gathering : public ::testing::Test {
 protected:
  void add(std::uint64_t member, SeqRange range, GroupReceipts::Key key = kKey, std::uint64_t hand = 1) {
    receipts.add(key, kAuthor, UserId(member), range, hand);
  }
  std::vector<GroupReceipts::Leaving> flush(bool all = false) {
    std::vector<GroupReceipts::Leaving> out;
    receipts.flush(now, all, [&](const auto& leaving) { out.push_back(leaving); });
    return out;
  }
  GroupReceipts receipts{wire::ReceiptKind::delivered, kHold};
  TimePoint now{std::chrono::hours(1)};
};

TEST_F(Gathering, TheFirstLeavesAtOnceAndWhatFollowsIsHeldForAWhileAndLeavesTogether) {
  add(1, {5, 1});
  auto left = flush();
  ASSERT_EQ(left.size(), 1U);
  EXPECT_TRUE(receipts.empty());
  add(2, {5, 1});
  add(3, {5, 1});
  EXPECT_TRUE(flush().empty());
  EXPECT_FALSE(receipts.empty());
  now += kHold - milliseconds(1);
  EXPECT_TRUE(flush().empty());
  now += milliseconds(1);
  left = flush();
  ASSERT_EQ(left.size(), 1U);
  ASSERT_EQ(left[0].receipts.size(), 1U);
  ASSERT_EQ(left[0].receipts[0].parts.size(), 1U);
  EXPECT_EQ(left[0].receipts[0].parts[0].users.size(), 2U);
  EXPECT_EQ(left[0].hands, (std::vector<std::pair<std::uint64_t, std::uint32_t>>{{1, 2}}));
}

TEST_F(Gathering, AfterAQuietWhileTheNextLeavesAtOnceAgain) {
  add(1, {5, 1});
  flush();
  now += kHold;
  EXPECT_TRUE(flush().empty());
  add(2, {5, 1});
  EXPECT_EQ(flush().size(), 1U);
}

TEST_F(Gathering, UnderPressureNothingIsHeld) {
  add(1, {5, 1});
  flush();
  add(2, {5, 1});
  EXPECT_TRUE(flush().empty());
  EXPECT_EQ(flush(true).size(), 1U);
  EXPECT_TRUE(receipts.empty());
  EXPECT_TRUE(flush(true).empty());
}

TEST_F(Gathering, KeysDoNotMixAndMembersWithTheSameRangesShareAPart) {
  add(1, {5, 1}), add(1, {6, 1}), add(2, {6, 1}), add(2, {5, 1}), add(3, {5, 1}), add(9, {1, 1}, kOther);
  const auto left = flush();
  ASSERT_EQ(left.size(), 2U);
  const auto& ours = left[0].key == kKey ? left[0] : left[1];
  ASSERT_EQ(ours.receipts.size(), 1U);
  std::map<std::size_t, std::vector<SeqRange>> by_users;
  for (const auto& part : ours.receipts[0].parts) by_users[part.users.size()] = part.ranges;
  EXPECT_EQ(by_users[2], (std::vector<SeqRange>{{5, 2}}));
  EXPECT_EQ(by_users[1], (std::vector<SeqRange>{{5, 1}}));
}

TEST_F(Gathering, MoreMembersThanAFrameTakesAreSplitAndEveryFrameCanBeEncoded) {
  const std::size_t members = 2 * limits::kGroupReceiptMembersMax + 3;
  for (std::size_t i = 1; i <= members; ++i) {
    add(i, {5, 1});
    if (i % 3 == 0) add(i, {100 + i, 2});
  }
  std::set<UserId> named;
  for (const auto& leaving : flush())
    for (const auto& receipt : leaving.receipts) {
      std::string frame;
      wire::append(frame, receipt);  // asserts the limits
      const auto decoded = wire::decode(*wire::split(frame));
      ASSERT_TRUE(decoded.has_value());
      for (const auto& part : receipt.parts) named.insert(part.users.begin(), part.users.end());
    }
  EXPECT_EQ(named.size(), members);
}

TEST_F(Gathering, KeysBeyondTheLimitLeaveAtOnceAndAreForgotten) {
  for (std::size_t i = 1; i <= GroupReceipts::kKeysMax; ++i) add(1, {1, 1}, {DeviceId(i), GroupId(7)});
  EXPECT_EQ(flush().size(), GroupReceipts::kKeysMax);
  add(2, {1, 1}, {DeviceId(1), GroupId(7)});
  EXPECT_EQ(flush().size(), 1U);
}

// Whatever comes when: each (member, seq) leaves, no other, each hand as often as it was named, and none is held
// longer.
TEST(GatheringProperty, WhatGoesInComesOutOnceItIsDue) {
  EXPECT_TRUE(rc::check([] {
    GroupReceipts receipts(wire::ReceiptKind::read, kHold);
    TimePoint now{std::chrono::hours(1)};
    std::map<GroupReceipts::HandId, std::uint32_t> hands_in, hands_out;
    std::set<std::tuple<DeviceId, UserId, std::uint64_t>> in, out;
    std::map<DeviceId, TimePoint> waits_since;
    const auto flush = [&](bool all) {
      receipts.flush(now, all, [&](const GroupReceipts::Leaving& leaving) {
        for (const auto& [hand, count] : leaving.hands) hands_out[hand] += count;
        waits_since.erase(leaving.key.author);
        for (const auto& receipt : leaving.receipts)
          for (const auto& part : receipt.parts)
            for (const UserId user : part.users)
              for (const SeqRange& r : part.ranges)
                for (std::uint64_t seq = r.first; seq < r.first + r.count; ++seq)
                  out.insert({leaving.key.author, user, seq});
      });
    };
    const auto steps = *rc::gen::inRange<std::size_t>(1, 200);
    for (std::size_t i = 0; i < steps; ++i) {
      if (*rc::gen::inRange(0, 3) != 0) {
        const DeviceId author(*rc::gen::inRange<std::uint64_t>(1, 4));
        const UserId member(*rc::gen::inRange<std::uint64_t>(1, 6));
        const SeqRange range{*rc::gen::inRange<std::uint64_t>(1, 40), *rc::gen::inRange<std::uint32_t>(1, 4)};
        const auto hand = *rc::gen::inRange<std::uint64_t>(1, 20);
        receipts.add({author, GroupId(7)}, kAuthor, member, range, hand);
        for (std::uint64_t seq = range.first; seq < range.first + range.count; ++seq) in.insert({author, member, seq});
        ++hands_in[hand];
        waits_since.try_emplace(author, now);
      } else {
        now += milliseconds(*rc::gen::inRange(0, 70));
        flush(*rc::gen::inRange(0, 10) == 0);
        for (const auto& [author, since] : waits_since) RC_ASSERT(now < since + kHold);
      }
    }
    flush(true);
    RC_ASSERT(receipts.empty());
    RC_ASSERT(in == out);
    RC_ASSERT(hands_in == hands_out);
  }));
}

}  // namespace
}  // namespace barid::delivery
