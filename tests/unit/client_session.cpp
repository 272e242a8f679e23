#include "client_fixture.h"

namespace barid::client::test {
namespace {

using Seqs = std::vector<std::uint64_t>;
using std::chrono::seconds;

TEST_F(SessionTest, SignsTheLoginWithANumberThatIsStoredFirst) {
  connect();
  wire::Challenge challenge{{1, 2, 3}, now.wall.value, 1, 1, "edge"};
  give(challenge);
  const auto logins = said_only<wire::Login>();
  ASSERT_EQ(logins.size(), 1U);
  EXPECT_EQ(logins[0].session_no, SessionNo(1));
  EXPECT_EQ(db.account().session_no, SessionNo(1));
  const auto keys = crypto::key_pair_from_seed({1, 2, 3});
  EXPECT_TRUE(crypto::verify(wire::login_message(challenge.nonce, SessionNo(1), "token"), logins[0].signature,
                             keys.public_key));
}

TEST_F(SessionTest, SendsWithinTheWindowAndGoesOnWhenAccepted) {
  for (int i = 0; i < 5; ++i) write("m" + std::to_string(i));
  log_in(3);
  EXPECT_EQ(seqs(said_only<wire::Send>()), (Seqs{1, 2, 3}));
  give(wire::Accepted{{{1, 2}}});
  EXPECT_EQ(seqs(said_only<wire::Send>()), (Seqs{4, 5}));
}

TEST_F(SessionTest, OffersAgainUnderTheSameNumbersWhatWasNotAccepted) {
  log_in();
  const auto a = write("a"), b = write("b"), c = write("c");
  said();
  give(wire::Accepted{{{2, 1}}});
  EXPECT_EQ(state(b), State::accepted);
  lose();
  log_in();
  EXPECT_EQ(seqs(said_only<wire::Send>()), (Seqs{1, 3}));
  EXPECT_EQ(state(a), State::sent);
  EXPECT_EQ(state(c), State::sent);
}

TEST_F(SessionTest, GoesBackToARefusedNumberAfterTheAskedTime) {
  log_in();
  for (int i = 0; i < 4; ++i) write("m");
  said();
  give(wire::Accepted{{{1, 1}}});
  give(wire::Refused{2, wire::Code::broker_full, 1000, ""});
  write("later");
  EXPECT_TRUE(said_only<wire::Send>().empty());
  pass(milliseconds(999));
  session.tick(now);
  EXPECT_TRUE(said_only<wire::Send>().empty());
  pass(milliseconds(400));  // the time and its jitter
  session.tick(now);
  EXPECT_EQ(seqs(said_only<wire::Send>()), (Seqs{2, 3, 4, 5}));
}

TEST_F(SessionTest, ResumesWithTheRefusedNumberEvenIfItWasDeliveredMeanwhile) {
  log_in();
  write("a"), write("b");
  said();
  give(wire::Refused{1, wire::Code::rate_limited, 500, ""});
  give(wire::Receipt{wire::ReceiptKind::delivered, kBob, kBobDevice, {{1, 1}}, now.wall.value});
  pass(seconds(1));
  session.tick(now);
  EXPECT_EQ(seqs(said_only<wire::Send>()), (Seqs{1, 2}));
}

TEST_F(SessionTest, RefusedForGoodFailsThatMessageOnly) {
  log_in();
  const auto a = write("a"), b = write("b");
  said();
  give(wire::Refused{1, wire::Code::content_too_large, 0, ""});
  give(wire::Accepted{{{2, 1}}});
  EXPECT_EQ(state(a), State::failed);
  EXPECT_EQ(db.message(a)->reason, wire::Code::content_too_large);
  EXPECT_EQ(state(b), State::accepted);
}

TEST_F(SessionTest, StatesOnlyMoveForward) {
  log_in();
  const auto a = write("a");
  said();
  const auto receipt = [&](wire::ReceiptKind kind) {
    give(wire::Receipt{kind, kBob, kBobDevice, {{1, 1}}, 5, wire::Code::expired});
  };
  receipt(wire::ReceiptKind::failed);
  EXPECT_EQ(state(a), State::failed);
  give(wire::Accepted{{{1, 1}}});
  EXPECT_EQ(state(a), State::failed);
  receipt(wire::ReceiptKind::delivered);  // it did arrive
  EXPECT_EQ(state(a), State::delivered);
  receipt(wire::ReceiptKind::read);
  EXPECT_EQ(state(a), State::read);
  receipt(wire::ReceiptKind::delivered);
  receipt(wire::ReceiptKind::failed);
  EXPECT_EQ(state(a), State::read);
}

TEST_F(SessionTest, IgnoresReceiptsOfSomebodyElse) {
  log_in();
  const auto a = write("a");
  said();
  give(wire::Receipt{wire::ReceiptKind::read, kCarol, kCarolDevice, {{1, 1'000'000'000}}, 5});
  EXPECT_EQ(state(a), State::sent);
  EXPECT_EQ(said_only<wire::Ack>().at(0).up_to, 1U);  // taken all the same
}

TEST_F(SessionTest, ChangedIncarnationOffersEverythingUndeliveredAgain) {
  log_in(8, 100);
  write("delivered"), write("accepted"), write("failed");
  said();
  give(wire::Accepted{{{1, 3}}});
  give(wire::Receipt{wire::ReceiptKind::delivered, kBob, kBobDevice, {{1, 1}}, 5});
  give(wire::Receipt{wire::ReceiptKind::failed, kBob, kBobDevice, {{3, 1}}, 5, wire::Code::expired});
  lose();
  log_in(8, 100);
  EXPECT_TRUE(said_only<wire::Send>().empty());
  lose();
  log_in(8, 101);
  EXPECT_EQ(seqs(said_only<wire::Send>()), (Seqs{2}));
  EXPECT_EQ(db.account().incarnation, 101U);
}

// Read notices have no receipt of their own: those of late are told again, but not to whom we blocked when we read.
TEST_F(SessionTest, ChangedIncarnationRepeatsReadNotices) {
  log_in(8, 100);
  give(wire::Deliver{kBob, kBobDevice, 1, 3, 4, text_bytes("read")});
  db.mark_read(bob, now.wall);
  session.outbox_changed(now);
  ASSERT_EQ(said_only<wire::Send>().size(), 1U);
  give(wire::Accepted{{{1, 1}}});
  db.set_blocked(bob, true);
  give(wire::Deliver{kBob, kBobDevice, 2, 3, 4, text_bytes("read while blocked")});
  db.mark_read(bob, now.wall);
  db.set_blocked(bob, false);
  lose();
  log_in(8, 100);
  EXPECT_TRUE(said_only<wire::Send>().empty());
  lose();
  log_in(8, 101);
  const auto sends = said_only<wire::Send>();
  ASSERT_EQ(sends.size(), 1U);
  EXPECT_EQ(sends[0].kind, wire::SendKind::read);
  EXPECT_EQ(sends[0].ranges, (std::vector<SeqRange>{{1, 1}}));
}

TEST_F(SessionTest, AcknowledgesOnceABatchAndCountsRepeats) {
  log_in();
  said();
  std::string bytes;
  const wire::Deliver first{kBob, kBobDevice, 1, 3, 4, text_bytes("hello")};
  wire::append(bytes, first);
  wire::append(bytes, first);
  wire::append(bytes, wire::Deliver{kBob, kBobDevice, 2, 3, 4, text_bytes("world")});
  session.received(bytes, now);
  const auto acks = said_only<wire::Ack>();
  ASSERT_EQ(acks.size(), 1U);
  EXPECT_EQ(acks[0].up_to, 3U);
  EXPECT_EQ(db.history(bob, 10).size(), 2U);
}

TEST_F(SessionTest, SaysNothingThatRestsOnAFailedCommit) {
  FullDisk disk(db);
  Session mine(disk, "test", 1);
  std::string bytes;
  const auto give_mine = [&](const auto& frame) {
    bytes.clear();
    wire::append(bytes, frame);
    mine.received(bytes, now);
  };
  mine.connecting(now);
  mine.connected(now);
  disk.full = true;
  EXPECT_THROW(give_mine(wire::Challenge{{9}, 0, 1, 1, ""}), std::runtime_error);
  EXPECT_TRUE(mine.output().empty());  // a login number that is not stored would be used twice
  disk.full = false;
  mine.disconnected("", now);
  pass(seconds(60));
  mine.connecting(now);
  mine.connected(now);
  give_mine(wire::Challenge{{9}, 0, 1, 1, ""});
  give_mine(wire::Welcome{kMe, kMyDevice, 0, 8, 128, 60'000, 20'000, 30'000, 0, 1});
  mine.output().clear();
  disk.full = true;
  EXPECT_THROW(give_mine(wire::Deliver{kBob, kBobDevice, 1, 3, 4, text_bytes("x")}), std::runtime_error);
  EXPECT_TRUE(mine.output().empty());
  EXPECT_TRUE(db.history(bob, 10).empty());
  disk.full = false;  // room again: but an Ack on this connection would cover the one that was lost
  give_mine(wire::Deliver{kBob, kBobDevice, 2, 3, 4, text_bytes("y")});
  EXPECT_TRUE(mine.output().empty());
  EXPECT_TRUE(mine.wants_close());
}

TEST_F(SessionTest, TellsOnceWhatWasReadAsRanges) {
  log_in();
  for (const std::uint64_t seq : {5, 6, 9}) give(wire::Deliver{kBob, kBobDevice, seq, 3, 4, text_bytes("x")});
  said();
  EXPECT_EQ(db.mark_read(bob, now.wall), 3U);
  session.outbox_changed(now);
  const auto sends = said_only<wire::Send>();
  ASSERT_EQ(sends.size(), 1U);
  EXPECT_EQ(sends[0].kind, wire::SendKind::read);
  EXPECT_EQ(sends[0].to.device, kBobDevice);
  EXPECT_EQ(sends[0].ranges, (std::vector<SeqRange>{{5, 2}, {9, 1}}));
  give(wire::Accepted{{{sends[0].seq, 1}}});
  EXPECT_EQ(db.mark_read(bob, now.wall), 0U);
  lose();
  log_in();
  EXPECT_TRUE(said_only<wire::Send>().empty());
}

TEST_F(SessionTest, AsksForAStrangersDevicesBeforeTellingThemWhatWasRead) {
  log_in();
  give(wire::Deliver{kCarol, kCarolDevice, 1, 3, 4, text_bytes("hi")});
  const PeerId carol = db.find_peer("user:0000000000000003")->id;
  db.mark_read(carol, now.wall);
  said();
  session.outbox_changed(now);
  const auto requests = said_only<wire::Request>();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(std::get<wire::DevicesOf>(requests[0].body).user, kCarol);
  give(wire::Response{requests[0].id, wire::Contacts{{{"", kCarol, {{kCarol, kCarolDevice, 5}}}}}});
  EXPECT_EQ(said_only<wire::Send>().at(0).to.tag, 5U);
}

TEST_F(SessionTest, AGoneDeviceIsReplacedUnderTheSameNumberOnANewConnection) {
  log_in();
  const auto a = write("a");
  write("b");
  said();
  give(wire::Accepted{{{2, 1}}});
  give(wire::Refused{1, wire::Code::recipient_gone, 0, ""});
  const auto requests = said_only<wire::Request>();
  ASSERT_EQ(requests.size(), 1U);
  give(wire::Response{requests[0].id, wire::Contacts{{{"", kBob, {{kBob, kBobNewDevice, 8}}}}}});
  EXPECT_TRUE(session.wants_close());  // numbers only grow within a connection
  session.disconnected("", now);
  EXPECT_TRUE(session.wants_connection(now.steady));  // at once
  log_in();
  const auto sends = said_only<wire::Send>();
  ASSERT_EQ(seqs(sends), (Seqs{1}));
  EXPECT_EQ(sends[0].to, (wire::Address{kBob, kBobNewDevice, 8}));
  EXPECT_EQ(state(a), State::sent);
}

TEST_F(SessionTest, ACopyIsMovedABoundedNumberOfTimes) {
  log_in();
  const auto a = write("a");
  said();
  for (int move = 0; move <= Store::kMovesMax; ++move) {
    EXPECT_NE(state(a), State::failed);
    give(wire::Receipt{wire::ReceiptKind::failed, kBob, kBobDevice, {{1, 1}}, 5, wire::Code::recipient_gone});
    const auto requests = said_only<wire::Request>();
    if (requests.empty()) break;
    give(wire::Response{requests[0].id,
                        wire::Contacts{{{"", kBob, {{kBob, DeviceId(100U + static_cast<unsigned>(move)), 8}}}}}});
    session.disconnected("", now);
    pass(seconds(60));
    log_in();
    said();
  }
  EXPECT_EQ(state(a), State::failed);
  EXPECT_EQ(db.message(a)->reason, wire::Code::recipient_gone);
}

TEST_F(SessionTest, LooksAnUnknownNumberUpAndThenSends) {
  const Peer dora = db.ensure_phone("+491513333333");
  const auto a = write("a", dora.id);
  log_in();
  const auto requests = said_only<wire::Request>();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(std::get<wire::Lookup>(requests[0].body).phones, std::vector<std::string>{"+491513333333"});
  give(wire::Response{requests[0].id, wire::Contacts{{{"+491513333333", UserId(4), {{UserId(4), DeviceId(41), 1}}}}}});
  EXPECT_EQ(said_only<wire::Send>().at(0).to.user, UserId(4));
  EXPECT_EQ(state(a), State::sent);
}

TEST_F(SessionTest, AMessageToANumberThatNobodyHasFails) {
  const auto a = write("a", db.ensure_phone("+491513333333").id);
  log_in();
  give(wire::Response{said_only<wire::Request>().at(0).id, wire::Contacts{}});
  EXPECT_EQ(state(a), State::failed);
  EXPECT_EQ(db.message(a)->reason, wire::Code::not_found);
}

TEST_F(SessionTest, ADirectoryThatIsDownIsAskedAgainLater) {
  const auto a = write("a", db.ensure_phone("+491513333333").id);
  log_in();
  give(wire::Response{said_only<wire::Request>().at(0).id, wire::Error{wire::Code::unavailable, 0, ""}});
  EXPECT_TRUE(said_only<wire::Request>().empty());
  EXPECT_EQ(state(a), State::queued);
  pass(Session::kResolveRetry);
  session.tick(now);
  EXPECT_EQ(said_only<wire::Request>().size(), 1U);
}

TEST_F(SessionTest, AStaleNumberIsRaisedBeyondWhatTheServerSays) {
  connect();
  give(wire::Challenge{{9}, 0, 1, 1, ""});
  said();
  give(wire::Error{wire::Code::session_stale, 0, "highest is 4711"});
  EXPECT_TRUE(session.wants_close());
  session.disconnected("", now);
  connect();
  give(wire::Challenge{{9}, 0, 1, 1, ""});
  EXPECT_EQ(said_only<wire::Login>().at(0).session_no, SessionNo(4712));
}

TEST_F(SessionTest, ARevokedDeviceStopsForGood) {
  log_in();
  give(wire::Error{wire::Code::device_revoked, 0, ""});
  EXPECT_TRUE(session.stopped());
  EXPECT_TRUE(has_event([](const Event& e) { return std::holds_alternative<event::Stopped>(e); }));
  session.disconnected("", now);
  pass(std::chrono::hours(24));
  EXPECT_FALSE(session.wants_connection(now.steady));
}

TEST_F(SessionTest, HonoursTheTimeThatAClosingServerAsksFor) {
  log_in();
  give(wire::Error{wire::Code::going_away, 7'000, ""});
  session.disconnected("", now);
  pass(milliseconds(6'999));
  EXPECT_FALSE(session.wants_connection(now.steady));
  pass(Backoff::kFirst);
  EXPECT_TRUE(session.wants_connection(now.steady));
}

TEST_F(SessionTest, PingsWhenIdleAndGivesUpOnSilence) {
  log_in();
  said();
  pass(seconds(20));
  EXPECT_LE(session.deadline(), now.steady);
  session.tick(now);
  EXPECT_EQ(said_only<wire::Ping>().size(), 1U);
  EXPECT_FALSE(session.wants_close());
  pass(seconds(9));
  give(wire::Pong{1});
  pass(seconds(29));
  session.tick(now);
  EXPECT_FALSE(session.wants_close());
  pass(seconds(1));
  session.tick(now);
  EXPECT_TRUE(session.wants_close());
}

TEST_F(SessionTest, WaitsLongerAfterEachFailureButNeverBeyondTheMost) {
  milliseconds longest{0};
  for (int i = 0; i < 200; ++i) {
    session.connecting(now);
    session.disconnected("refused", now);
    const auto wait = std::chrono::ceil<milliseconds>(session.deadline() - now.steady);
    if (i == 0) {
      EXPECT_LE(wait, Backoff::kFirst);
    }
    longest = std::max(longest, wait);
    EXPECT_LE(wait, Backoff::kMost);
    now.steady = session.deadline();
  }
  EXPECT_GT(longest, Backoff::kMost / 2);
}

TEST_F(SessionTest, ACallIsAnsweredAlsoWhenTheConnectionIsLost) {
  log_in();
  const auto id = session.call(wire::ListDevices{}, now);
  EXPECT_EQ(said_only<wire::Request>().at(0).id, id);
  session.disconnected("", now);
  EXPECT_TRUE(has_event([&](const Event& e) {
    const auto* answer = std::get_if<event::Answer>(&e);
    return answer != nullptr && answer->call == id && std::holds_alternative<wire::Error>(answer->response.body);
  }));
}

TEST_F(SessionTest, GarbageClosesTheConnectionAndUnknownFramesAreSkipped) {
  log_in();
  session.received(std::string("\x01\x63\x00\x01\x00", 5), now);  // type 99: a newer server
  EXPECT_FALSE(session.wants_close());
  session.received(std::string("\x01\x07\x00\x02\xff\xff", 6), now);
  EXPECT_TRUE(session.wants_close());
}

}  // namespace
}  // namespace barid::client::test
