// Which session a device has, and what becomes of its mail when that changes.
#include "tests/unit/delivery_bench.h"

namespace barid::delivery {
namespace {

using wire::Code;
using Sessions = Bench;
constexpr ConnId kFirst{101}, kSecond{102};

TEST_F(Sessions, ALowerNumberIsRefusedAndTheHigherStays) {
  open_live(kFirst, SessionNo(5));
  open(kSecond, SessionNo(4), 2);
  EXPECT_EQ(kicks, (std::vector<Kicked>{{2, kSecond, Code::session_stale}}));
  give({letter(1)});
  ASSERT_EQ(delivered.size(), 1U);
  EXPECT_EQ(delivered[0].conn, kFirst);
}

TEST_F(Sessions, AHigherNumberReplacesAndUnacknowledgedMailIsParkedForIt) {
  open_live(kFirst, SessionNo(5));
  give({letter(1), letter(2)});
  acknowledge(kFirst, 1);
  open(kSecond, SessionNo(6), 2);
  EXPECT_EQ(kicks, (std::vector<Kicked>{{1, kFirst, Code::session_replaced}}));
  EXPECT_EQ(frames_parked(), frames({2}));
  EXPECT_EQ(core->sessions(), 1U);
}

TEST_F(Sessions, AnEqualNumberOnAnotherConnectionIsTheSameSessionAnnouncedAnew) {
  open_live(kFirst, SessionNo(5));
  give({letter(1)});
  open(kSecond, SessionNo(5));
  parks_are_durable(StreamSeq(1));
  inbox_holds(StreamSeq(1), {letter(1)});
  ASSERT_EQ(delivered.size(), 2U);
  EXPECT_EQ(delivered[1].conn, kSecond);
  EXPECT_EQ(delivered[1].frame, "letter 1");
}

TEST_F(Sessions, TheSameConnectionAnnouncedAgainCountsItsFramesAnew) {
  open_live(kFirst);
  give({letter(1), letter(2)});
  acknowledge(kFirst, 1);
  open(kFirst);
  EXPECT_TRUE(kicks.empty());
  parks_are_durable(StreamSeq(1));
  inbox_holds(StreamSeq(1), {letter(2)});
  turn();
  receipts_are_durable();
  acknowledge(kFirst, 1);  // the first frame since: letter 2
  turn();
  ASSERT_EQ(receipts.size(), 1U);
  EXPECT_EQ(receipts[0].what.ranges, (std::vector<SeqRange>{{2, 1}}));
}

TEST_F(Sessions, ACloseOrAckOfAnOlderConnectionChangesNothing) {
  open_live(kFirst, SessionNo(5));
  open(kSecond, SessionNo(6));
  end_of_inbox();
  give({letter(1)});
  close(kFirst);
  acknowledge(kFirst, 1);
  close(kSecond, 7);  // the right number, the wrong edge
  EXPECT_EQ(core->sessions(), 1U);
  EXPECT_TRUE(parks.empty());
  turn();
  EXPECT_TRUE(receipts.empty());
}

TEST_F(Sessions, AnEdgeThatIsGoneTakesAllItsSessionsAndNoOthers) {
  open_live(kFirst, SessionNo(1), 1, kBobPhone);
  open_live(kSecond, SessionNo(1), 2, kCarolPhone);
  give({letter(1, kAlicePhone, kBobPhone), letter(2, kAlicePhone, kCarolPhone)});
  core->on_edge_gone(1);
  EXPECT_EQ(core->sessions(), 1U);
  EXPECT_EQ(frames_parked(), frames({1}));
  give({letter(3, kAlicePhone, kCarolPhone)});
  EXPECT_EQ(frames_delivered(), frames({1, 2, 3}));
}

TEST_F(Sessions, WhoAcknowledgesMoreThanItGotIsClosedAndNothingIsLost) {
  open_live(kFirst);
  give({letter(1)});
  acknowledge(kFirst, 2);
  EXPECT_EQ(kicks, (std::vector<Kicked>{{1, kFirst, Code::protocol_violation}}));
  EXPECT_EQ(frames_parked(), frames({1}));
  turn();
  EXPECT_TRUE(receipts.empty());
}

TEST_F(Sessions, ARevokedDeviceIsClosedAtOnceAndCannotReturn) {
  open_live(kFirst);
  directory.revoked.insert(kBobPhone);
  core->on_revoked(kBobPhone);
  open(kSecond, SessionNo(9));
  EXPECT_EQ(kicks, (std::vector<Kicked>{{1, kFirst, Code::device_revoked}, {1, kSecond, Code::device_revoked}}));
  EXPECT_EQ(core->sessions(), 0U);
}

TEST_F(Sessions, SilenceUntilTheDeadlineClosesTheSessionAndParksItsMailInOrder) {
  open_live(kFirst);
  give({letter(1), letter(2)});
  later(config.ack_deadline - milliseconds(1));
  EXPECT_TRUE(kicks.empty());
  later(milliseconds(1));
  EXPECT_EQ(kicks, (std::vector<Kicked>{{1, kFirst, Code::ack_timeout}}));
  EXPECT_EQ(frames_parked(), frames({1, 2}));
}

TEST_F(Sessions, TheDeadlineRunsFromTheOldestUnacknowledgedLetter) {
  open_live(kFirst);
  give({letter(1)});
  later(milliseconds(20'000));
  give({letter(2)});
  acknowledge(kFirst, 1);
  later(milliseconds(29'000));
  EXPECT_TRUE(kicks.empty());
  later(milliseconds(1'000));
  EXPECT_EQ(kicks.size(), 1U);
}

TEST_F(Sessions, ADeadlineIsKeptThoughAnotherDevicesEntryStandsInFront) {
  open_live(kFirst, SessionNo(1), 1, kBobPhone);
  open_live(kSecond, SessionNo(1), 1, kCarolPhone);
  give({letter(1, kAlicePhone, kBobPhone)});
  later(milliseconds(5'000));
  give({letter(2, kAlicePhone, kBobPhone)});
  acknowledge(kFirst, 1);
  later(milliseconds(5'000));
  give({letter(3, kAlicePhone, kCarolPhone)});
  later(milliseconds(20'000));  // Bob's first entry is due, his second letter is not
  later(milliseconds(5'000));   // now it is; Carol's is not
  EXPECT_EQ(kicks, (std::vector<Kicked>{{1, kFirst, Code::ack_timeout}}));
}

TEST_F(Sessions, UnderPressureASlowDeviceIsServedFromItsInboxAndKeepsItsSession) {
  config.hands_max = 4;
  config.delivery_attempts = 1;  // a busy server is no reason to give up a letter
  start();
  open_live(kFirst);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) give({letter(seq)});
  later(config.slow_under_pressure);
  EXPECT_TRUE(kicks.empty());
  EXPECT_TRUE(burials.empty());
  EXPECT_EQ(core->sessions(), 1U);
  EXPECT_EQ(frames_parked(), frames({1, 2, 3}));
  parks_are_durable(StreamSeq(1));
  EXPECT_EQ(acknowledged.size(), 3U);  // the stream's batches are out of hand
  acknowledge(kFirst, 3);              // late, for what is parked meanwhile: no error
  EXPECT_TRUE(kicks.empty());
}

TEST_F(Sessions, IdleDevicesAreForgottenAndThoseWithMailOrASessionAreNot) {
  config.devices_max = 1;
  start();
  open_live(kFirst, SessionNo(1), 1, kBobPhone);
  open_live(kSecond, SessionNo(1), 1, kCarolPhone);
  give({letter(1, kBobPhone, kAlicePhone)});  // being parked
  close(kSecond, 1, kCarolPhone);
  EXPECT_EQ(core->devices(), 3U);
  later(milliseconds(500));
  EXPECT_EQ(core->devices(), 2U);
  parks_are_durable(StreamSeq(1));
  later(milliseconds(500));
  EXPECT_EQ(core->devices(), 1U);
}

}  // namespace
}  // namespace barid::delivery
