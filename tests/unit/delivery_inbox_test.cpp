// Draining an inbox, the switch to live delivery, and letters that nobody takes.
#include "tests/unit/delivery_bench.h"

namespace barid::delivery {
namespace {

using wire::Code;
using Inbox = Bench;
constexpr ConnId kConn{101}, kNext{102};

TEST_F(Inbox, IsReadInOrderToItsEndBeforeTheDeviceIsLive) {
  open(kConn);
  inbox_holds(StreamSeq(3), {letter(1), letter(2)});
  give({letter(4)});
  EXPECT_EQ(frames_parked(), frames({4}));  // behind what is there
  ASSERT_EQ(reads.size(), 1U);
  EXPECT_EQ(reads[0].from, StreamSeq(4));
  inbox_holds(StreamSeq(8), {letter(3)});
  parks_are_durable(StreamSeq(9));
  inbox_holds(StreamSeq(9), {letter(4)});
  turn();  // that was the last: this core parked it
  give({letter(5)});
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3, 4, 5}));
}

TEST_F(Inbox, TheDeviceIsNotLiveWhileAParkIsUnderWay) {
  give({letter(1)});
  open(kConn);
  end_of_inbox();  // not landed yet
  give({letter(2)});
  EXPECT_EQ(frames_parked(), frames({1, 2}));
  EXPECT_TRUE(delivered.empty());
  parks_are_durable(StreamSeq(1));
  inbox_holds(StreamSeq(1), {letter(1), letter(2)});
  turn();
  give({letter(3)});
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3}));
}

TEST_F(Inbox, AnEndThatIsOlderThanAParkIsNotBelieved) {
  give({letter(1)});
  open(kConn);
  parks_are_durable(StreamSeq(7));  // between the read and its answer
  end_of_inbox();
  give({letter(2)});
  EXPECT_TRUE(delivered.empty());
  inbox_holds(StreamSeq(7), {letter(1)});
  EXPECT_EQ(frames_delivered(), frames({1}));
}

TEST_F(Inbox, ABatchIsDeletedOnlyWhenAcknowledgedAndItsReceiptsAreDurable) {
  open(kConn);
  inbox_holds(StreamSeq(3), {letter(1), letter(2)});
  acknowledge(kConn, 1);
  turn();
  receipts_are_durable();
  EXPECT_TRUE(deleted.empty());
  acknowledge(kConn, 2);
  turn();
  EXPECT_TRUE(deleted.empty());
  receipts_are_durable();
  EXPECT_EQ(deleted, std::vector{StreamSeq(3)});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Inbox, WhatWasNotAcknowledgedIsReadAgainByTheNextSession) {
  open(kConn);
  inbox_holds(StreamSeq(3), {letter(1)});
  inbox_holds(StreamSeq(5), {letter(2)});
  acknowledge(kConn, 1);
  turn();
  receipts_are_durable();
  close(kConn);
  EXPECT_TRUE(parks.empty());  // it is still there
  reads.clear();
  open(kNext, SessionNo(2));
  ASSERT_EQ(reads.size(), 1U);
  EXPECT_EQ(reads[0].from, StreamSeq(5));
  EXPECT_TRUE(core->quiet());
}

TEST_F(Inbox, LiveMailBehindDrainedMailIsParkedBehindItWhenTheSessionEnds) {
  open(kConn);
  inbox_holds(StreamSeq(3), {letter(1)});
  end_of_inbox();
  give({letter(2)});
  EXPECT_EQ(frames_delivered(), frames({1, 2}));
  close(kConn);
  EXPECT_EQ(frames_parked(), frames({2}));
  open(kNext, SessionNo(2));
  EXPECT_EQ(reads.back().from, StreamSeq(3));
}

TEST_F(Inbox, AnEmptyOneIsNotReadAgainByTheNextSession) {
  open_live(kConn);
  close(kConn);
  open(kNext, SessionNo(2));
  EXPECT_TRUE(reads.empty());
  give({letter(1)});
  EXPECT_EQ(frames_delivered(), frames({1}));
}

TEST_F(Inbox, ReadingStopsAtTheWindowAndGoesOnWithAcknowledgements) {
  config.window_letters = 2;
  start();
  open(kConn);
  inbox_holds(StreamSeq(1), {letter(1), letter(2)});
  EXPECT_TRUE(reads.empty());
  acknowledge(kConn, 1);
  EXPECT_EQ(reads.size(), 1U);
}

TEST_F(Inbox, AnAnswerToAReadOfAnEarlierSessionIsIgnored) {
  open(kConn);
  const Read old = reads.front();
  open(kNext, SessionNo(2));
  reads.pop_front();
  core->on_inbox_end(old.of, old.number);
  core->on_inbox_batch(old.of, old.number, StreamSeq(1), batch_of({letter(1)}), now, wall);
  give({letter(2)});
  EXPECT_TRUE(delivered.empty());  // neither live nor drained yet
  EXPECT_EQ(frames_parked(), frames({2}));
}

TEST_F(Inbox, AReadThatFailsIsRepeatedAtTheNextTick) {
  open(kConn);
  core->on_inbox_failed(reads.front().of, reads.front().number);
  reads.clear();
  later(milliseconds(500));
  ASSERT_EQ(reads.size(), 1U);
  inbox_holds(StreamSeq(1), {letter(1)});
  EXPECT_EQ(frames_delivered(), frames({1}));
}

TEST_F(Inbox, AnUnreadableBatchIsBuriedDeletedAndDoesNotStopTheRest) {
  open(kConn);
  const Read read = reads.front();
  reads.pop_front();
  core->on_inbox_unreadable(read.of, read.number, StreamSeq(1), "rubbish");
  inbox_holds(StreamSeq(2), {letter(1)});
  EXPECT_EQ(frames_delivered(), frames({1}));
  EXPECT_TRUE(deleted.empty());
  ASSERT_EQ(burials.size(), 1U);
  core->on_buried(burials[0].tag);
  EXPECT_EQ(deleted, std::vector{StreamSeq(1)});
}

TEST_F(Inbox, ExpiredMailInItFailsAndIsDeleted) {
  Envelope late = letter(1);
  late.expires_at = WallMs{wall.value - 1};
  open(kConn);
  inbox_holds(StreamSeq(1), {late});
  turn();
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.reason, Code::expired);
  EXPECT_TRUE(deleted.empty());
  receipts_are_durable();
  EXPECT_EQ(deleted, std::vector{StreamSeq(1)});
  EXPECT_TRUE(delivered.empty());
}

// ---- the sweep

TEST_F(Inbox, TheSweepFailsWhatIsExpiredAndDeletesItWhenTheSendersWillKnow) {
  Envelope late = letter(1);
  late.expires_at = WallMs{wall.value - 1};
  EXPECT_TRUE(core->on_swept(address(kBobPhone), StreamSeq(4), batch_of({late}), wall));
  turn();
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.reason, Code::expired);
  EXPECT_TRUE(deleted.empty());
  receipts_are_durable();
  EXPECT_EQ(deleted, std::vector{StreamSeq(4)});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Inbox, TheSweepLeavesABatchOfWhichAnyLetterIsAlive) {
  Envelope late = letter(1);
  late.expires_at = WallMs{wall.value - 1};
  EXPECT_FALSE(core->on_swept(address(kBobPhone), StreamSeq(4), batch_of({late, letter(2)}), wall));
  EXPECT_TRUE(core->quiet());
}

TEST_F(Inbox, TheSweepLeavesTheInboxOfADeviceThatIsOnline) {
  open(kConn);
  Envelope late = letter(1);
  late.expires_at = WallMs{wall.value - 1};
  EXPECT_FALSE(core->on_swept(address(kBobPhone), StreamSeq(4), batch_of({late}), wall));
}

TEST_F(Inbox, TheSweepFailsWhatWaitsForARevokedDevice) {
  directory.revoked.insert(kBobPhone);
  EXPECT_TRUE(core->on_swept(address(kBobPhone), StreamSeq(4), batch_of({letter(1)}), wall));
  turn();
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.reason, Code::recipient_gone);
}

// ---- undeliverable

class Undeliverable : public Bench {
 protected:
  void SetUp() override {
    config.delivery_attempts = 2;
    config.kept_bytes_max = 0;
    start();
  }
  // A session that drains `envelopes` out of one inbox batch, and never acknowledges.
  void fail_session(std::uint64_t number, const std::vector<Envelope>& envelopes) {
    open(ConnId(number), SessionNo(number));
    if (!reads.empty()) inbox_holds(StreamSeq(1), envelopes);
    reads.clear();
    later(config.ack_deadline);
  }
};

TEST_F(Undeliverable, ALetterIsBuriedAfterItsLastAttemptAndTheSenderLearnsIt) {
  open_live(ConnId(1));
  give({letter(1), letter(2)});
  later(config.ack_deadline);
  EXPECT_TRUE(burials.empty());
  parks_are_durable(StreamSeq(1));
  fail_session(2, {letter(1), letter(2)});
  open(ConnId(3), SessionNo(3));
  inbox_holds(StreamSeq(1), {letter(1), letter(2)});
  turn();
  ASSERT_EQ(burials.size(), 1U);
  EXPECT_EQ(burials[0].what, "letter 1");
  EXPECT_EQ(burials[0].reason, Code::undeliverable);
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.kind, wire::ReceiptKind::failed);
  EXPECT_EQ(delivered.back().frame, "letter 2");
}

TEST_F(Undeliverable, ABuriedLetterLeavesTheInboxOnlyWhenTheDeadLetterAndTheReceiptAreDurable) {
  for (std::uint64_t session = 1; session <= 2; ++session) fail_session(session, {letter(1)});
  turn();
  open(ConnId(3), SessionNo(3));
  inbox_holds(StreamSeq(1), {letter(1)});
  turn();
  EXPECT_TRUE(deleted.empty());
  ASSERT_FALSE(burials.empty());
  for (const Buried& burial : burials) core->on_buried(burial.tag);
  EXPECT_TRUE(deleted.empty());
  receipts_are_durable();
  EXPECT_EQ(deleted, std::vector{StreamSeq(1)});
}

TEST_F(Undeliverable, SeveralInOneInboxDoNotKeepTheRestFromBeingDrained) {
  const std::vector<Envelope> inbox = {letter(1), letter(2), letter(3)};
  for (std::uint64_t session = 1; session <= 4; ++session) fail_session(session, inbox);
  delivered.clear();
  open(ConnId(9), SessionNo(9));
  inbox_holds(StreamSeq(1), inbox);
  EXPECT_EQ(frames_delivered(), frames({3}));
}

TEST_F(Undeliverable, AnAcknowledgedAttemptStartsTheCountAnew) {
  fail_session(1, {letter(1), letter(2)});
  open(ConnId(2), SessionNo(2));
  inbox_holds(StreamSeq(1), {letter(1), letter(2)});
  acknowledge(ConnId(2), 1);
  later(config.ack_deadline);  // on letter 2, for the first time
  reads.clear();
  open(ConnId(3), SessionNo(3));
  inbox_holds(StreamSeq(1), {letter(1), letter(2)});
  EXPECT_TRUE(burials.empty());
}

TEST_F(Undeliverable, ALiveLetterIsBuriedAtOnceAndItsBatchWaitsForIt) {
  config.delivery_attempts = 1;
  start();
  open_live(ConnId(1));
  const StreamSeq batch = give({letter(1)});
  later(config.ack_deadline);
  turn();
  ASSERT_EQ(burials.size(), 1U);
  receipts_are_durable();
  EXPECT_TRUE(acknowledged.empty());
  core->on_buried(burials[0].tag);
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

}  // namespace
}  // namespace barid::delivery
