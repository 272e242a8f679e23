// Letters of groups: one envelope, many recipients, and their receipts gathered.
#include <set>

#include "tests/unit/delivery_bench.h"

namespace barid::delivery {
namespace {

using wire::Code;
using wire::ReceiptKind;
constexpr GroupId kChoir{70};

class Groups : public Bench {
 protected:
  // Of Alice's phone, to devices 2, 3, 4 …
  Envelope to_many(std::uint64_t seq, std::size_t count) {
    recipients_.emplace_back();
    for (std::uint64_t d = 2; d < 2 + count; ++d) recipients_.back().push_back({user_of(DeviceId(d)), DeviceId(d)});
    Envelope e = letter(seq);
    e.group = kChoir, e.to_user = UserId(), e.to_device = DeviceId(), e.recipients = recipients_.back();
    return e;
  }
  void open_all(std::size_t count) {
    for (std::uint64_t d = 2; d < 2 + count; ++d) open_live(conn_of(d), SessionNo(1), 1, DeviceId(d));
  }
  static ConnId conn_of(std::uint64_t device) { return ConnId(100 + device); }
  void acknowledge_from(std::uint64_t device, std::uint64_t up_to = 1) {
    acknowledge(conn_of(device), up_to, 1, DeviceId(device));
  }
  std::set<UserId> who_has(std::uint64_t seq) const {
    std::set<UserId> users;
    for (const GroupReceipt& receipt : group_receipts)
      for (const auto& part : receipt.what.parts)
        for (const SeqRange& range : part.ranges)
          if (range.first <= seq && seq < range.first + range.count) users.insert(part.users.begin(), part.users.end());
    return users;
  }

 private:
  std::deque<std::vector<envelope::Recipient>> recipients_;
};

TEST_F(Groups, EveryRecipientGetsTheSameBytes) {
  open_all(3);
  give({to_many(1, 5)});
  EXPECT_EQ(delivered.size(), 3U);
  for (const Delivered& d : delivered) EXPECT_EQ(d.frame, frame_of(1));
  EXPECT_EQ(parks.size(), 2U);
  for (const Parked& p : parks) EXPECT_EQ(p.frame, frame_of(1));
}

TEST_F(Groups, TheirReceiptsLeaveTogetherAndTheBatchWaitsForThem) {
  open_all(50);
  const StreamSeq batch = give({to_many(1, 50)});
  for (std::uint64_t d = 2; d < 52; ++d) {
    acknowledge_from(d);
    turn();
  }
  EXPECT_EQ(group_receipts.size(), 1U);
  later(kGroupReceiptHold);
  turn();
  EXPECT_EQ(group_receipts.size(), 2U);
  EXPECT_EQ(who_has(1).size(), 50U);
  EXPECT_EQ(group_receipts[0].to, kAlicePhone);
  EXPECT_EQ(group_receipts[0].what.kind, ReceiptKind::delivered);
  EXPECT_EQ(group_receipts[0].what.group, kChoir);
  EXPECT_TRUE(receipts.empty());
  EXPECT_TRUE(acknowledged.empty());
  receipts_are_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Groups, ReceiptsThatAreHeldKeepTheBatchInHand) {
  open_all(2);
  const StreamSeq batch = give({to_many(1, 2)});
  acknowledge_from(2);
  turn();
  receipts_are_durable();
  acknowledge_from(3);
  turn();
  EXPECT_TRUE(group_receipts.empty());
  EXPECT_TRUE(acknowledged.empty());
  EXPECT_FALSE(core->quiet());
  later(kGroupReceiptHold);
  turn();
  EXPECT_EQ(who_has(1), std::set{user_of(DeviceId(3))});
  receipts_are_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Groups, UnderPressureTheirReceiptsAreNotHeld) {
  config.hands_max = 4;
  start();
  open_all(2);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) give({to_many(seq, 2)});
  for (std::uint64_t seq = 1; seq <= 2; ++seq)
    for (std::uint64_t d = 2; d <= 3; ++d) {
      acknowledge_from(d, seq);
      turn();
    }
  EXPECT_EQ(group_receipts.size(), 4U);
}

TEST_F(Groups, ThatOneMemberDoesNotGetItIsNoNewsForTheAuthor) {
  directory.revoked.insert(DeviceId(2));
  Envelope late = to_many(2, 3);
  late.expires_at = WallMs{wall.value - 1};
  const StreamSeq gone = give({to_many(1, 1)}), expired = give({late});
  turn();
  EXPECT_TRUE(receipts.empty());
  EXPECT_TRUE(group_receipts.empty());
  EXPECT_EQ(acknowledged, (std::vector{gone, expired}));
  EXPECT_TRUE(core->quiet());
}

TEST_F(Groups, WhatDoesNotFitAnInboxIsKeptAsADeadLetter) {
  const StreamSeq batch = give({to_many(1, 1)});
  parks_are_refused();
  turn();
  EXPECT_TRUE(receipts.empty());
  ASSERT_EQ(burials.size(), 1U);
  EXPECT_EQ(burials[0].reason, Code::quota_exceeded);
  EXPECT_TRUE(acknowledged.empty());
  core->on_buried(burials[0].tag);
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Groups, BlockingDoesNotReachIntoThem) {
  directory.blocked_by[user_of(DeviceId(2))].insert(kAlice);
  open_all(1);
  give({to_many(1, 1)});
  EXPECT_EQ(delivered.size(), 1U);
}

TEST_F(Groups, TheAuthorsOtherDevicesGetItAndSayNothing) {
  Envelope e = to_many(1, 1);
  e.from_user = user_of(DeviceId(2));
  open_all(1);
  const StreamSeq batch = give({e});
  EXPECT_EQ(delivered.size(), 1U);
  acknowledge_from(2);
  turn();
  EXPECT_TRUE(group_receipts.empty());
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Groups, AnExpansionThatIsRepeatedIsDroppedForEachThatHasIt) {
  open_all(3);
  give({to_many(1, 2)});
  const std::size_t before = delivered.size();
  give({to_many(1, 3)});
  EXPECT_EQ(delivered.size(), before + 1);
  EXPECT_EQ(core->stats().duplicates, 2U);
}

TEST_F(Groups, EventsAreDeliveredInOrderAndAnsweredByNothing) {
  open_all(1);
  Envelope event = to_many(0, 1);
  event.kind = envelope::Kind::event;
  event.from_device = DeviceId();
  const StreamSeq batch = give({event, event});
  EXPECT_EQ(delivered.size(), 2U);
  acknowledge_from(2, 2);
  turn();
  EXPECT_TRUE(receipts.empty());
  EXPECT_TRUE(group_receipts.empty());
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Groups, OutOfTheInboxTheirReceiptsAreGatheredAsWell) {
  open(conn_of(2), SessionNo(1), 1, DeviceId(2));
  Envelope e = letter(1, kAlicePhone, DeviceId(2));
  e.group = kChoir;
  inbox_holds(StreamSeq(5), {e});
  acknowledge_from(2);
  turn();
  EXPECT_EQ(who_has(1).size(), 1U);
  EXPECT_TRUE(deleted.empty());
  receipts_are_durable();
  EXPECT_EQ(deleted, std::vector{StreamSeq(5)});
}

}  // namespace
}  // namespace barid::delivery
