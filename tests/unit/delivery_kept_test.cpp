// Parked letters that are still in memory: a device that comes back is served without asking the broker, and never
// anything else than what its inbox holds.
#include <algorithm>

#include "tests/unit/delivery_bench.h"

namespace barid::delivery {
namespace {

class KeptLetters : public Bench {
 protected:
  void SetUp() override {
    config.kept_bytes_max = 1 << 20;
    start();
  }
  // Letter `seq` arrives for Bob, who is away, and lands in his inbox.
  void park_one(std::uint64_t seq, std::uint64_t inbox_seq) {
    give({letter(seq)});
    parks_are_durable(StreamSeq(inbox_seq));
  }
};

TEST_F(KeptLetters, AreServedInOrderOnceTheBrokerHasNothingBefore) {
  park_one(1, 10);
  park_one(2, 11);
  park_one(3, 14);
  open(ConnId(1));
  ASSERT_EQ(reads.size(), 1U);  // a former owner may have parked something
  inbox_holds(StreamSeq(10), {letter(1)});
  turn();
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3}));
  EXPECT_TRUE(reads.empty());
  give({letter(4)});
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3, 4})) << "live, without another question";
  acknowledge(ConnId(1), 4);
  turn();
  receipts_are_durable();
  std::sort(deleted.begin(), deleted.end());
  EXPECT_EQ(deleted, (std::vector<StreamSeq>{StreamSeq(10), StreamSeq(11), StreamSeq(14)}));
}

TEST_F(KeptLetters, WhatAFormerOwnerParkedComesFirst) {
  park_one(2, 10);
  open(ConnId(1));
  inbox_holds(StreamSeq(4), {letter(1)});
  turn();
  EXPECT_EQ(frames_delivered(), frames({1}));
  inbox_holds(StreamSeq(10), {letter(2)});
  turn();
  EXPECT_EQ(frames_delivered(), frames({1, 2}));
  EXPECT_TRUE(reads.empty());
}

TEST_F(KeptLetters, AnInboxKnownToBeEmptyIsNotAskedAbout) {
  open(ConnId(1));
  end_of_inbox();
  close(ConnId(1));
  park_one(1, 10);
  park_one(2, 11);
  open(ConnId(2));
  turn();
  EXPECT_TRUE(reads.empty());
  EXPECT_EQ(frames_delivered(), frames({1, 2}));
}

TEST_F(KeptLetters, WhatWasServedAndNotAcknowledgedIsReadOutOfTheInbox) {
  open(ConnId(1));
  end_of_inbox();
  close(ConnId(1));
  park_one(1, 10);
  park_one(2, 11);
  open(ConnId(2));
  turn();
  acknowledge(ConnId(2), 1);
  turn();
  receipts_are_durable();
  close(ConnId(2));
  delivered.clear();
  park_one(3, 12);
  open(ConnId(3));
  turn();
  EXPECT_TRUE(delivered.empty());
  ASSERT_EQ(reads.size(), 1U);
  EXPECT_EQ(reads.front().from, StreamSeq(11));
  inbox_holds(StreamSeq(11), {letter(2)});
  turn();
  EXPECT_EQ(frames_delivered(), frames({2, 3})) << "3 is kept still";
}

TEST_F(KeptLetters, TheOldestGoFirstAndAreReadOutOfTheInbox) {
  config.kept_bytes_max = 2 * (Kept::kEntryBytes + 150);
  start();
  open(ConnId(1));
  end_of_inbox();
  close(ConnId(1));
  for (std::uint64_t i = 1; i <= 4; ++i) park_one(i, 10 + i);
  open(ConnId(2));
  turn();
  for (std::uint64_t i = 1; !reads.empty(); ++i) {
    ASSERT_LE(i, 3U) << "nothing was kept";
    inbox_holds(StreamSeq(10 + i), {letter(i)});
    turn();
  }
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3, 4}));
}

TEST_F(KeptLetters, RespectTheWindow) {
  config.window_letters = 2;
  start();
  open(ConnId(1));
  end_of_inbox();
  close(ConnId(1));
  for (std::uint64_t i = 1; i <= 5; ++i) park_one(i, 10 + i);
  open(ConnId(2));
  turn();
  EXPECT_EQ(frames_delivered(), frames({1, 2}));
  acknowledge(ConnId(2), 2);
  turn();
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3, 4}));
}

TEST_F(KeptLetters, AParkUnderWayIsWaitedFor) {
  open(ConnId(1));
  end_of_inbox();
  close(ConnId(1));
  park_one(1, 10);
  give({letter(2)});
  open(ConnId(2));
  turn();
  EXPECT_EQ(frames_delivered(), frames({1}));
  parks_are_durable(StreamSeq(11));
  turn();
  EXPECT_EQ(frames_delivered(), frames({1, 2}));
  EXPECT_TRUE(reads.empty());
}

}  // namespace
}  // namespace barid::delivery
