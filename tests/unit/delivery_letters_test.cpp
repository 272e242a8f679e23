// From the ingress stream to devices and inboxes, and back as acknowledgements.
#include "tests/unit/delivery_bench.h"

namespace barid::delivery {
namespace {

using wire::Code;
using Letters = Bench;
constexpr ConnId kConn{101};

TEST_F(Letters, ALiveDeviceGetsThemInOrderAndByteForByte) {
  open_live(kConn);
  give({letter(1), letter(2)});
  give({letter(3)});
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3}));
  EXPECT_TRUE(parks.empty());
}

TEST_F(Letters, AnAwayDevicesAreParkedInOrderAndTheBatchWaitsUntilTheLastIsDurable) {
  const StreamSeq batch = give({letter(1), letter(2), letter(3)});
  EXPECT_EQ(frames_parked(), frames({1, 2, 3}));
  parks_are_durable(StreamSeq(1), 2);
  EXPECT_TRUE(acknowledged.empty());
  parks_are_durable(StreamSeq(2));
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Letters, ABatchIsAcknowledgedOnlyWhenEveryLetterIsSettledAndItsReceiptsAreDurable) {
  open_live(kConn);
  const StreamSeq batch = give({letter(1), letter(2), letter(3, kAlicePhone, kCarolPhone)});
  acknowledge(kConn, 1);
  turn();
  receipts_are_durable();
  parks_are_durable(StreamSeq(1));
  EXPECT_TRUE(acknowledged.empty());  // letter 2
  acknowledge(kConn, 2);
  turn();
  EXPECT_TRUE(acknowledged.empty());  // the receipt for it
  receipts_are_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Letters, AcknowledgementsAreCountsSoOneMaySpeakForMany) {
  open_live(kConn);
  const StreamSeq first = give({letter(1), letter(2)});
  const StreamSeq second = give({letter(3)});
  acknowledge(kConn, 3);
  acknowledge(kConn, 2);  // late: says nothing new
  turn();
  receipts_are_durable();
  EXPECT_EQ(std::set(acknowledged.begin(), acknowledged.end()), (std::set{first, second}));
}

TEST_F(Letters, ARepeatIsDroppedAndItsBatchAcknowledged) {
  open_live(kConn);
  give({letter(1)});
  const StreamSeq repeat = give({letter(1)});
  EXPECT_EQ(delivered.size(), 1U);
  EXPECT_EQ(acknowledged, std::vector{repeat});
  EXPECT_EQ(core->stats().duplicates, 1U);
}

TEST_F(Letters, ABatchGivenAgainWhileInHandIsNeitherRepeatedNorAcknowledged) {
  open_live(kConn);
  const StreamSeq batch = give({letter(1)});
  core->on_batch(batch, batch_of({letter(1)}), now, wall);
  EXPECT_EQ(delivered.size(), 1U);
  EXPECT_TRUE(acknowledged.empty());
  acknowledge(kConn, 1);
  turn();
  receipts_are_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
  core->on_batch(batch, batch_of({letter(1)}), now, wall);  // the broker has not heard
  EXPECT_EQ(acknowledged, (std::vector{batch, batch}));
  EXPECT_TRUE(core->quiet());
}

TEST_F(Letters, TheOperatorSeesWhatIsInHandHowLongStagesTakeAndWhoIsSlow) {
  struct Taken {
    double count = 0, sum = 0;
    void ObserveMultiple(const std::vector<double>& increments, double by) {
      for (const double more : increments) count += more;
      sum += by;
    }
  } handed, acknowledged_after;
  open_live(kConn);
  core->on_batch(StreamSeq(1), batch_of({letter(1), letter(2)}), now, wall, now - milliseconds(20));
  EXPECT_EQ(core->unsettled(), 2U);
  EXPECT_EQ(core->ingress_hands(), 1U);
  later(milliseconds(300));
  std::vector<Core::Slow> slow;
  core->slow_devices(now, slow);
  ASSERT_EQ(slow.size(), 1U);
  EXPECT_EQ(slow[0].device, kBobPhone);
  EXPECT_EQ(slow[0].in_flight, 2U);
  EXPECT_EQ(slow[0].waited, milliseconds(300));
  acknowledge(kConn, 2);
  turn();
  EXPECT_EQ(core->unsettled(), 0U);
  core->stages().handed.carry_over(handed);
  core->stages().acknowledged.carry_over(acknowledged_after);
  EXPECT_EQ(handed.count, 2);
  EXPECT_NEAR(handed.sum, 0.040, 1e-6);
  EXPECT_EQ(acknowledged_after.count, 2);
  EXPECT_NEAR(acknowledged_after.sum, 0.600, 1e-6);
  slow.clear();
  core->slow_devices(now, slow);
  EXPECT_TRUE(slow.empty());
  int sessions = 0;
  core->each_session([&](UserId, DeviceId device) { sessions += device == kBobPhone ? 1 : 0; });
  EXPECT_EQ(sessions, 1);
}

TEST_F(Letters, ServerMadeReceiptsHaveNoNumberAndAreNeverTakenForRepeats) {
  open_live(kConn);
  Envelope receipt = letter(0);
  receipt.kind = envelope::Kind::receipt;
  give({receipt, receipt});
  EXPECT_EQ(delivered.size(), 2U);
}

TEST_F(Letters, ABlockedSendersVanishSilently) {
  directory.blocked_by[kBob].insert(kAlice);
  open_live(kConn);
  const StreamSeq batch = give({letter(1)});
  turn();
  EXPECT_TRUE(delivered.empty());
  EXPECT_TRUE(parks.empty());
  EXPECT_TRUE(receipts.empty());
  EXPECT_EQ(acknowledged, std::vector{batch});
  Envelope receipt = letter(2);
  receipt.kind = envelope::Kind::receipt;
  give({receipt});  // Bob still learns what became of his own messages
  EXPECT_EQ(delivered.size(), 1U);
}

TEST_F(Letters, AnExpiredOneFailsAndIsAcknowledgedOnlyOnceItsSenderWillKnow) {
  open_live(kConn);
  Envelope late = letter(1);
  late.expires_at = WallMs{wall.value - 1};
  const StreamSeq batch = give({late});
  turn();
  EXPECT_TRUE(delivered.empty());
  EXPECT_TRUE(acknowledged.empty());
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].to, kAlicePhone);
  EXPECT_EQ(receipts[0].what.kind, wire::ReceiptKind::failed);
  EXPECT_EQ(receipts[0].what.reason, Code::expired);
  receipts_are_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Letters, ThoseForARevokedDeviceFailAsRecipientGone) {
  directory.revoked.insert(kBobPhone);
  give({letter(1)});
  turn();
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.reason, Code::recipient_gone);
  EXPECT_EQ(receipts[0].what.peer_device, kBobPhone);
  EXPECT_TRUE(parks.empty());
}

TEST_F(Letters, AFullInboxFailsThemAsQuotaExceededAndNothingStaysInHand) {
  const StreamSeq batch = give({letter(1), letter(2)});
  parks_are_refused();
  turn();
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.reason, Code::quota_exceeded);
  EXPECT_EQ(receipts[0].what.ranges, (std::vector<SeqRange>{{1, 2}}));
  EXPECT_TRUE(acknowledged.empty());
  receipts_are_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Letters, AReceiptThatMeetsAFullInboxBecomesADeadLetterAndIsNotDroppedSilently) {
  Envelope receipt = letter(0);
  receipt.kind = envelope::Kind::receipt;
  const StreamSeq batch = give({receipt});
  parks_are_refused();
  turn();
  EXPECT_TRUE(receipts.empty());
  ASSERT_EQ(burials.size(), 1U);
  EXPECT_EQ(burials[0].reason, Code::quota_exceeded);
  EXPECT_TRUE(acknowledged.empty());
  core->on_buried(burials[0].tag);
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Letters, AnUnreadableBatchIsBuriedAndThenAcknowledged) {
  core->on_unreadable_batch(StreamSeq(1), "rubbish");
  ASSERT_EQ(burials.size(), 1U);
  EXPECT_EQ(burials[0].what, "rubbish");
  EXPECT_TRUE(acknowledged.empty());
  core->on_buried(burials[0].tag);
  EXPECT_EQ(acknowledged, std::vector{StreamSeq(1)});
}

TEST_F(Letters, AnEmptyBatchIsAcknowledgedAtOnce) {
  const StreamSeq batch = give({});
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Letters, NoMoreAreInFlightThanTheWindowHolds) {
  config.window_letters = 2;
  start();
  open_live(kConn);
  give({letter(1), letter(2), letter(3), letter(4)});
  EXPECT_EQ(frames_delivered(), frames({1, 2}));
  acknowledge(kConn, 1);
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3}));
  acknowledge(kConn, 3);
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3, 4}));
}

TEST_F(Letters, NorMoreBytesButOneAlwaysFits) {
  config.window_bytes = 10;  // a frame has eight
  start();
  open_live(kConn);
  give({letter(1), letter(2)});
  EXPECT_EQ(frames_delivered(), frames({1}));
  acknowledge(kConn, 1);
  EXPECT_EQ(frames_delivered(), frames({1, 2}));
  config.window_bytes = 1;
  start();
  delivered.clear();
  open_live(kConn);
  give({letter(3)});
  EXPECT_EQ(frames_delivered(), frames({3}));
}

TEST_F(Letters, ALaterOneNeverOvertakesThoseThatWaitForTheWindow) {
  config.window_bytes = 20;
  start();
  open_live(kConn);
  give({letter(1), letter(2), letter(300'000'000)});
  give({letter(4)});
  acknowledge(kConn, 2);
  acknowledge(kConn, 3);
  EXPECT_EQ(frames_delivered(), frames({1, 2, 300'000'000, 4}));
}

TEST_F(Letters, WhoFallsFarBehindIsServedFromTheInboxInOrder) {
  config.window_letters = 1;
  config.waiting_letters_max = 1;
  start();
  open_live(kConn);
  give({letter(1), letter(2), letter(3)});
  EXPECT_EQ(frames_parked(), frames({1, 2, 3}));
  give({letter(4)});
  EXPECT_EQ(frames_parked(), frames({1, 2, 3, 4}));
  EXPECT_TRUE(kicks.empty());
}

TEST_F(Letters, AfterFallingBehindTheOldAcknowledgementsAreAbsorbedAndSettleNothing) {
  config.window_letters = 1;
  config.waiting_letters_max = 0;
  start();
  open_live(kConn);
  give({letter(1), letter(2)});
  acknowledge(kConn, 1);  // for the frame of letter 1, which is being parked
  turn();
  EXPECT_TRUE(receipts.empty());
  parks_are_durable(StreamSeq(1));
  inbox_holds(StreamSeq(1), {letter(1), letter(2)});
  EXPECT_EQ(frames_delivered(), frames({1, 1, 2}));
  acknowledge(kConn, 2);  // letter 1, from the inbox
  turn();
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.ranges, (std::vector<SeqRange>{{1, 1}}));
}

TEST_F(Letters, ReceiptsOfATurnAreCoalescedIntoRangesForEachSender) {
  open_live(kConn);
  give({letter(1), letter(2), letter(3), letter(7), letter(9, kCarolPhone), letter(8)});
  acknowledge(kConn, 6);
  EXPECT_TRUE(receipts.empty());  // not before the end of the turn
  turn();
  ASSERT_EQ(receipts.size(), 2U);
  if (receipts[0].to != kAlicePhone) std::swap(receipts[0], receipts[1]);
  EXPECT_EQ(receipts[0].what.ranges, (std::vector<SeqRange>{{1, 3}, {7, 2}}));
  EXPECT_EQ(receipts[1].to, kCarolPhone);
  EXPECT_EQ(receipts[1].what.ranges, (std::vector<SeqRange>{{9, 1}}));
  EXPECT_EQ(receipts[1].what.peer_device, kBobPhone);
}

TEST_F(Letters, ManyRangesAreSplitAndAllPartsMustBeDurable) {
  config.window_letters = 10'000;
  config.window_bytes = 10'000'000;
  start();
  open_live(kConn);
  std::vector<Envelope> odd;
  for (std::uint64_t i = 0; i <= limits::kRangesMax; ++i) odd.push_back(letter(2 * i + 1));
  const StreamSeq batch = give(odd);
  acknowledge(kConn, odd.size());
  turn();
  ASSERT_EQ(receipts.size(), 2U);
  EXPECT_EQ(receipts[0].what.ranges.size() + receipts[1].what.ranges.size(), odd.size());
  core->on_receipt_durable(receipts[0].tag);
  EXPECT_TRUE(acknowledged.empty());
  core->on_receipt_durable(receipts[1].tag);
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Letters, NoReceiptIsMadeForAReceipt) {
  open_live(kConn);
  Envelope receipt = letter(1);
  receipt.kind = envelope::Kind::receipt;
  const StreamSeq batch = give({receipt});
  acknowledge(kConn, 1);
  turn();
  EXPECT_TRUE(receipts.empty());
  EXPECT_EQ(acknowledged, std::vector{batch});
}

}  // namespace
}  // namespace barid::delivery
