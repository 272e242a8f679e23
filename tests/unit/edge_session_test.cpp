#include "edge/session.h"

#include <gtest/gtest.h>

#include "base/partition.h"
#include "schemas/token.h"

namespace barid::edge {
namespace {

using std::chrono::seconds;
using wire::Code;

constexpr WallMs kWall{1'700'000'000'000};

class EdgeSession : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto::init_crypto();
    directory_ = crypto::key_pair_from_seed({1});
    device_key_ = crypto::key_pair_from_seed({2});
    config_.name = "edge-test";
    rules_.partitions = 4;
    rules_.incarnation = 77;
    rules_.message_ttl = seconds(1000);
    rules_.address_key = {9, 9, 9};
    rules_.wall = kWall;
    verifier_ = std::make_unique<LoginVerifier>(directory_.public_key);
    session_ = greet(rules_, now_, now_ + limits::kLoginDeadline, effects_);
    const auto frames = take();
    nonce_ = std::get<wire::Challenge>(frames.at(0)).nonce;
  }

  std::vector<wire::Frame> take() {
    std::vector<wire::Frame> frames;
    std::string_view left = effects_.out;
    while (const auto raw = wire::split(left)) {
      frames.push_back(wire::decode(*raw).value());
      left.remove_prefix(raw->bytes);
    }
    EXPECT_TRUE(left.empty());
    return frames;
  }
  template <class F>
  std::vector<wire::Frame> feed(const F& frame) {
    std::string bytes;
    wire::append(bytes, frame);
    return feed_raw(bytes);
  }
  std::vector<wire::Frame> feed_raw(const std::string& bytes) {
    effects_.clear();
    step(session_, *wire::split(bytes), rules_, *verifier_, now_, effects_);
    return take();
  }
  template <class F>
  static F only(const std::vector<wire::Frame>& frames) {
    EXPECT_EQ(frames.size(), 1U);
    if (frames.size() != 1 || !std::holds_alternative<F>(frames[0])) {
      ADD_FAILURE() << "another answer than expected";
      return {};
    }
    return std::get<F>(frames[0]);
  }
  token::Token token_for(std::uint64_t device, std::int64_t expires_s = kWall.value / 1000 + 60) const {
    return {UserId(11), DeviceId(device), device_key_.public_key, 0, expires_s};
  }
  wire::Login login(const token::Token& token) const {
    wire::Login login{token::seal(token, directory_.secret_key), {}, SessionNo(5), "test"};
    login.signature = std::string(
        crypto::view(crypto::sign(wire::login_message(nonce_, login.session_no, login.token), device_key_.secret_key)));
    return login;
  }
  void log_in() {
    only<wire::Welcome>(feed(login(token_for(12))));
    ASSERT_TRUE(effects_.logged_in);
  }
  wire::Send to_group(std::uint64_t seq) const {
    wire::Send send = message(seq);
    send.kind = wire::SendKind::group;
    send.to = {UserId(77), DeviceId(), token::address_tag(UserId(77), DeviceId(), rules_.address_key)};
    return send;
  }
  wire::Send message(std::uint64_t seq, std::string content = "hello") const {
    wire::Send send;
    send.seq = seq;
    send.to = {UserId(21), DeviceId(22), token::address_tag(UserId(21), DeviceId(22), rules_.address_key)};
    send.sent_at_ms = 5;
    send.content = std::move(content);
    return send;
  }
  Online& online() { return *session_.online(); }
  bool taken(std::uint64_t seq) {
    const auto frames = feed(message(seq));
    EXPECT_TRUE(frames.empty());
    if (effects_.enqueue) note_enqueued(online());
    return effects_.enqueue;
  }

  EdgeConfig config_;
  Rules rules_{config_};
  crypto::KeyPair directory_, device_key_;
  std::unique_ptr<LoginVerifier> verifier_;
  TimePoint now_ = TimePoint(seconds(1000));
  Effects effects_;
  Session session_;
  std::array<std::uint8_t, 32> nonce_{};
};

// ---- login

TEST_F(EdgeSession, AGenuineLoginIsWelcomedWithTheLimits) {
  const auto welcome = only<wire::Welcome>(feed(login(token_for(12))));
  EXPECT_EQ(welcome.user, UserId(11));
  EXPECT_EQ(welcome.device, DeviceId(12));
  EXPECT_EQ(welcome.incarnation, 77U);
  EXPECT_EQ(welcome.heartbeat_ms, 20'000U);
  EXPECT_EQ(welcome.half_open_ms, 30'000U);
  EXPECT_EQ(welcome.message_ttl_s, 1000U);
  EXPECT_TRUE(effects_.logged_in);
  EXPECT_EQ(online().session_no, SessionNo(5));
}

TEST_F(EdgeSession, ATokenOfAnotherDirectoryIsRefused) {
  wire::Login forged = login(token_for(12));
  forged.token = token::seal(token_for(12), crypto::key_pair_from_seed({3}).secret_key);
  EXPECT_EQ(only<wire::Error>(feed(forged)).code, Code::bad_token);
  EXPECT_TRUE(session_.ended());
}

TEST_F(EdgeSession, AStolenTokenWithoutTheDevicesKeyIsRefused) {
  wire::Login stolen = login(token_for(12));
  stolen.signature[10] = static_cast<char>(stolen.signature[10] ^ 1);
  EXPECT_EQ(only<wire::Error>(feed(stolen)).code, Code::bad_signature);
}

TEST_F(EdgeSession, AReplayedLoginIsRefusedByTheNextChallenge) {
  const wire::Login seen = login(token_for(12));
  effects_.clear();
  session_ = greet(rules_, now_, now_ + limits::kLoginDeadline, effects_);
  EXPECT_EQ(only<wire::Error>(feed(seen)).code, Code::bad_signature);
}

TEST_F(EdgeSession, AnotherSessionNumberThanWasSignedIsRefused) {
  wire::Login changed = login(token_for(12));
  changed.session_no = SessionNo(6);
  EXPECT_EQ(only<wire::Error>(feed(changed)).code, Code::bad_signature);
}

TEST_F(EdgeSession, AnExpiredTokenAndARevokedDeviceAreRefused) {
  EXPECT_EQ(only<wire::Error>(feed(login(token_for(12, kWall.value / 1000)))).code, Code::token_expired);
  effects_.clear();
  session_ = greet(rules_, now_, now_ + limits::kLoginDeadline, effects_);
  nonce_ = std::get<wire::Challenge>(take().at(0)).nonce;
  rules_.revoked.insert(DeviceId(12));
  EXPECT_EQ(only<wire::Error>(feed(login(token_for(12)))).code, Code::device_revoked);
}

TEST_F(EdgeSession, ATokenSeenBeforeIsNotVerifiedAgain) {
  log_in();
  EXPECT_EQ(verifier_->tokens_opened(), 1U);
  effects_.clear();
  session_ = greet(rules_, now_, now_ + limits::kLoginDeadline, effects_);
  nonce_ = std::get<wire::Challenge>(take().at(0)).nonce;
  log_in();
  EXPECT_EQ(verifier_->tokens_opened(), 1U);
}

TEST_F(EdgeSession, OnlyRegistrationAndPingsAreServedBeforeLogin) {
  EXPECT_EQ(only<wire::Pong>(feed(wire::Ping{42})).token, 42U);
  EXPECT_TRUE(feed(wire::Request{7, wire::RequestCode{"+4915112345678"}}).empty());
  ASSERT_TRUE(effects_.request);
  EXPECT_EQ(effects_.request->id, 7U);
  EXPECT_FALSE(session_.ended());
  EXPECT_EQ(only<wire::Error>(feed(wire::Request{8, wire::Lookup{{"+4915112345678"}}})).code, Code::not_logged_in);
  EXPECT_TRUE(session_.ended());
  EXPECT_TRUE(feed(wire::Ping{1}).empty()) << "an ended session says nothing";
}

TEST_F(EdgeSession, ASendBeforeLoginEndsTheSession) {
  EXPECT_EQ(only<wire::Error>(feed(message(1))).code, Code::not_logged_in);
  EXPECT_EQ(effects_.ended, Code::not_logged_in);
  EXPECT_FALSE(effects_.enqueue);
}

TEST_F(EdgeSession, ASecondLoginAndServerFramesAreViolations) {
  log_in();
  EXPECT_EQ(only<wire::Error>(feed(login(token_for(12)))).code, Code::protocol_violation);
  effects_.clear();
  session_ = greet(rules_, now_, now_ + limits::kLoginDeadline, effects_);
  EXPECT_EQ(only<wire::Error>(feed(wire::Welcome{})).code, Code::protocol_violation);
}

// ---- sends

TEST_F(EdgeSession, ASendBecomesTheFrameThatTheRecipientWillGet) {
  log_in();
  EXPECT_TRUE(feed(message(1, "grüße")).empty());
  ASSERT_TRUE(effects_.enqueue);
  const auto& e = effects_.envelope;
  EXPECT_EQ(e.from_device, DeviceId(12));
  EXPECT_EQ(e.seq, 1U);
  EXPECT_EQ(e.to_device, DeviceId(22));
  EXPECT_EQ(e.kind, envelope::Kind::message);
  EXPECT_EQ(e.accepted_at, kWall);
  EXPECT_EQ(e.expires_at.value, kWall.value + 1'000'000);
  EXPECT_EQ(effects_.partition, partition_of(UserId(21), 4));
  const auto deliver = std::get<wire::Deliver>(wire::decode(*wire::split(effects_.frame)).value());
  EXPECT_EQ(deliver.content, "grüße");
  EXPECT_EQ(deliver.from_user, UserId(11));
  EXPECT_EQ(deliver.sent_at_ms, 5);
  EXPECT_EQ(deliver.accepted_at_ms, kWall.value);
}

TEST_F(EdgeSession, TheLifetimeIsTheShorterOfTheSendersAndTheDefault) {
  log_in();
  wire::Send send = message(1);
  send.ttl_s = 10;
  feed(send);
  EXPECT_EQ(effects_.envelope.expires_at.value, kWall.value + 10'000);
  send = message(2);
  send.ttl_s = 999'999;
  feed(send);
  EXPECT_EQ(effects_.envelope.expires_at.value, kWall.value + 1'000'000);
}

TEST_F(EdgeSession, AReadNoticeTravelsAsAReceipt) {
  log_in();
  wire::Send read = message(1, "");
  read.kind = wire::SendKind::read;
  read.ranges = {{3, 2}};
  EXPECT_TRUE(feed(read).empty());
  ASSERT_TRUE(effects_.enqueue);
  EXPECT_EQ(effects_.envelope.kind, envelope::Kind::receipt);
  const auto receipt = std::get<wire::Receipt>(wire::decode(*wire::split(effects_.frame)).value());
  EXPECT_EQ(receipt.kind, wire::ReceiptKind::read);
  EXPECT_EQ(receipt.peer_device, DeviceId(12));
  EXPECT_EQ(receipt.ranges, (std::vector<SeqRange>{{3, 2}}));
}

TEST_F(EdgeSession, ASendToAGroupBecomesTheFrameThatItsMembersWillGet) {
  log_in();
  EXPECT_TRUE(feed(to_group(1)).empty());
  ASSERT_TRUE(effects_.enqueue);
  const auto& e = effects_.envelope;
  EXPECT_EQ(e.group, GroupId(77));
  EXPECT_EQ(e.to_user, UserId(77));
  EXPECT_EQ(e.to_device, DeviceId());
  EXPECT_EQ(e.kind, envelope::Kind::message);
  EXPECT_EQ(effects_.partition, partition_of(UserId(77), 4));
  const auto deliver = std::get<wire::Deliver>(wire::decode(*wire::split(effects_.frame)).value());
  EXPECT_EQ(deliver.group, GroupId(77));
  EXPECT_EQ(deliver.content, "hello");
  EXPECT_EQ(deliver.from_device, DeviceId(12));
  feed(message(2));
  EXPECT_EQ(effects_.envelope.group, GroupId());
}

TEST_F(EdgeSession, AReadNoticeToAGroupNamesTheAuthorsDevice) {
  log_in();
  wire::Send read = to_group(1);
  read.kind = wire::SendKind::group_read;
  read.content.clear();
  read.author = DeviceId(33);
  read.ranges = {{3, 2}};
  EXPECT_TRUE(feed(read).empty());
  ASSERT_TRUE(effects_.enqueue);
  EXPECT_EQ(effects_.envelope.kind, envelope::Kind::receipt);
  EXPECT_EQ(effects_.envelope.group, GroupId(77));
  EXPECT_EQ(effects_.envelope.to_user, UserId(77));
  EXPECT_EQ(effects_.envelope.to_device, DeviceId(33));
  const auto receipt = std::get<wire::GroupReceipt>(wire::decode(*wire::split(effects_.frame)).value());
  EXPECT_EQ(receipt.group, GroupId(77));
  EXPECT_EQ(receipt.kind, wire::ReceiptKind::read);
  ASSERT_EQ(receipt.parts.size(), 1U);
  EXPECT_EQ(receipt.parts[0].users, std::vector{UserId(11)});
  EXPECT_EQ(receipt.parts[0].ranges, (std::vector<SeqRange>{{3, 2}}));
}

TEST_F(EdgeSession, AGroupsAddressIsCheckedAndGoodForNothingElse) {
  log_in();
  wire::Send invented = to_group(1);
  invented.to.tag ^= 1;
  EXPECT_EQ(only<wire::Refused>(feed(invented)).code, Code::unknown_recipient);
  wire::Send as_device = to_group(2);
  as_device.kind = wire::SendKind::message;
  EXPECT_EQ(only<wire::Refused>(feed(as_device)).code, Code::invalid_argument);
  wire::Send as_group = message(3);
  as_group.kind = wire::SendKind::group;
  EXPECT_EQ(only<wire::Refused>(feed(as_group)).code, Code::invalid_argument);
  wire::Send nobodys = to_group(4);
  nobodys.kind = wire::SendKind::group_read;
  nobodys.content.clear();
  nobodys.ranges = {{1, 1}};
  EXPECT_EQ(only<wire::Refused>(feed(nobodys)).code, Code::invalid_argument);
  wire::Send empty = to_group(5);
  empty.content.clear();
  EXPECT_EQ(only<wire::Refused>(feed(empty)).code, Code::invalid_argument);
  EXPECT_TRUE(taken(6)) << "none of these starts go-back-N";
}

TEST_F(EdgeSession, GoBackNHoldsAcrossGroupsAndDevices) {
  log_in();
  config_.sends_per_device = {10, 1};
  EXPECT_TRUE(taken(1));
  EXPECT_EQ(only<wire::Refused>(feed(to_group(2))).code, Code::rate_limited);
  now_ += seconds(1);
  EXPECT_FALSE(taken(3)) << "it may not overtake 2";
  EXPECT_TRUE(feed(to_group(2)).empty());
  EXPECT_TRUE(effects_.enqueue);
}

TEST_F(EdgeSession, NumbersMustGrowWithinAConnection) {
  log_in();
  EXPECT_TRUE(taken(5));
  EXPECT_TRUE(taken(9));
  EXPECT_EQ(only<wire::Error>(feed(message(9))).code, Code::protocol_violation);
}

TEST_F(EdgeSession, NumberZeroIsAViolation) {
  log_in();
  EXPECT_EQ(only<wire::Error>(feed(message(0))).code, Code::protocol_violation);
}

TEST_F(EdgeSession, AnInventedRecipientIsRefusedForGoodAndTheNextSendIsTaken) {
  log_in();
  wire::Send send = message(1);
  send.to.tag ^= 1;
  const auto refused = only<wire::Refused>(feed(send));
  EXPECT_EQ(refused.seq, 1U);
  EXPECT_EQ(refused.code, Code::unknown_recipient);
  EXPECT_EQ(refused.retry_after_ms, 0U);
  EXPECT_TRUE(taken(2)) << "a permanent refusal does not start go-back-N";
}

TEST_F(EdgeSession, ARevokedRecipientIsGone) {
  log_in();
  rules_.revoked.insert(DeviceId(22));
  EXPECT_EQ(only<wire::Refused>(feed(message(1))).code, Code::recipient_gone);
}

TEST_F(EdgeSession, EmptyMessagesAndReadNoticesWithoutRangesAreRefused) {
  log_in();
  EXPECT_EQ(only<wire::Refused>(feed(message(1, ""))).code, Code::invalid_argument);
  wire::Send read = message(2, "");
  read.kind = wire::SendKind::read;
  EXPECT_EQ(only<wire::Refused>(feed(read)).code, Code::invalid_argument);
  EXPECT_TRUE(taken(3));
}

TEST_F(EdgeSession, TooMuchContentIsRefusedByItsNumber) {
  log_in();
  std::string bytes;
  wire::append(bytes, message(1, std::string(limits::kContentBytesMax + 1, 'x')));
  const auto refused = only<wire::Refused>(feed_raw(bytes));
  EXPECT_EQ(refused.seq, 1U);
  EXPECT_EQ(refused.code, Code::content_too_large);
  EXPECT_EQ(refused.retry_after_ms, 0U);
  EXPECT_TRUE(taken(2));
}

TEST_F(EdgeSession, OverTheRateItGoesBackToTheRefusedNumber) {
  log_in();
  config_.sends_per_device = {10, 2};
  EXPECT_TRUE(taken(1));
  EXPECT_TRUE(taken(2));
  const auto refused = only<wire::Refused>(feed(message(3)));
  EXPECT_EQ(refused.seq, 3U);
  EXPECT_EQ(refused.code, Code::rate_limited);
  EXPECT_EQ(refused.retry_after_ms, 100U);
  EXPECT_EQ(refused.text, "sends per device");
  EXPECT_FALSE(taken(4)) << "it may not overtake 3";
  EXPECT_FALSE(taken(5));
  now_ += seconds(1);
  EXPECT_FALSE(taken(6)) << "time alone does not lift it";
  EXPECT_TRUE(taken(3));
  EXPECT_TRUE(taken(4));
}

TEST_F(EdgeSession, ABrokerRefusalGoesBackToTheLowestNumber) {
  log_in();
  for (std::uint64_t seq = 1; seq <= 5; ++seq) EXPECT_TRUE(taken(seq));
  effects_.clear();
  for (const std::uint64_t seq : {2, 4}) {
    note_settled(online(), 1);
    refuse_send(online(), seq, Code::broker_full, Rules::kBrokerFullRetryMs, "full", effects_);
  }
  const auto refused = only<wire::Refused>(take());
  EXPECT_EQ(refused.seq, 2U);
  EXPECT_EQ(refused.retry_after_ms, 1000U);
  effects_.clear();
  refuse_send(online(), 1, Code::broker_full, Rules::kBrokerFullRetryMs, "full", effects_);  // another lane's
  EXPECT_EQ(only<wire::Refused>(take()).seq, 1U);
  EXPECT_FALSE(taken(6));
  EXPECT_FALSE(taken(2));
  EXPECT_TRUE(taken(1));
  EXPECT_TRUE(taken(2));
  EXPECT_EQ(online().unaccepted, 5U);
}

TEST_F(EdgeSession, WithoutTheBrokerSendsAreRefusedForAWhile) {
  log_in();
  rules_.broker_away = true;
  const auto refused = only<wire::Refused>(feed(message(1)));
  EXPECT_EQ(refused.code, Code::unavailable);
  EXPECT_GT(refused.retry_after_ms, 0U);
  rules_.broker_away = false;
  EXPECT_FALSE(taken(2));
  EXPECT_TRUE(taken(1));
}

TEST_F(EdgeSession, TheWindowIsFullAfterItsSizeAndOpensWithEachAcceptance) {
  log_in();
  for (std::uint64_t seq = 1; seq <= limits::kSendWindow; ++seq) {
    EXPECT_FALSE(window_full(online()));
    EXPECT_TRUE(taken(seq));
  }
  EXPECT_TRUE(window_full(online()));
  note_settled(online(), 1);
  EXPECT_FALSE(window_full(online()));
}

// ---- acknowledgements

TEST_F(EdgeSession, AcknowledgementsCountFromTheLastOpening) {
  log_in();
  note_opened(online(), Epoch(3));
  online().written = 4;
  feed(wire::Ack{3});
  EXPECT_EQ(effects_.acked, 3U);
  note_opened(online(), Epoch(4));  // a new owner: it has delivered nothing yet
  feed(wire::Ack{4});
  EXPECT_FALSE(effects_.acked) << "a frame of the previous epoch";
  online().written = 6;
  feed(wire::Ack{6});
  EXPECT_EQ(effects_.acked, 2U);
  feed(wire::Ack{5});
  EXPECT_FALSE(effects_.acked) << "never backwards";
}

TEST_F(EdgeSession, AcknowledgingWhatWasNotDeliveredIsAViolation) {
  log_in();
  note_opened(online(), Epoch(3));
  online().written = 2;
  EXPECT_EQ(only<wire::Error>(feed(wire::Ack{3})).code, Code::protocol_violation);
  EXPECT_FALSE(effects_.acked);
}

// ---- requests

TEST_F(EdgeSession, RequestsUnderWayAndPerSecondAreBounded) {
  log_in();
  for (std::uint32_t id = 1; id <= limits::kRequestsInFlight; ++id) {
    EXPECT_TRUE(feed(wire::Request{id, wire::ListDevices{}}).empty());
    EXPECT_TRUE(effects_.request);
  }
  const auto busy = only<wire::Response>(feed(wire::Request{99, wire::ListDevices{}}));
  EXPECT_EQ(busy.id, 99U);
  EXPECT_EQ(std::get<wire::Error>(busy.body).code, Code::rate_limited);
  EXPECT_GT(std::get<wire::Error>(busy.body).retry_after_ms, 0U);
  session_.requests = 0;
  config_.requests_per_device = {1, 1};
  online().requests = {};
  feed(wire::Request{100, wire::ListDevices{}});
  EXPECT_TRUE(effects_.request);
  const auto fast = only<wire::Response>(feed(wire::Request{101, wire::ListDevices{}}));
  EXPECT_EQ(std::get<wire::Error>(fast.body).retry_after_ms, 1000U);
  EXPECT_FALSE(session_.ended());
}

TEST_F(EdgeSession, InvalidTextInARequestCostsOnlyTheRequest) {
  log_in();
  std::string bytes;
  wire::append(bytes, wire::Request{31, wire::Lookup{{"\xff\xfe"}}});
  const auto response = only<wire::Response>(feed_raw(bytes));
  EXPECT_EQ(response.id, 31U);
  EXPECT_EQ(std::get<wire::Error>(response.body).code, Code::invalid_text);
  EXPECT_FALSE(session_.ended());
}

// ---- malformed frames

std::string raw(std::uint8_t version, std::uint8_t type, std::string_view payload) {
  std::string bytes{static_cast<char>(version), static_cast<char>(type), static_cast<char>(payload.size() >> 8),
                    static_cast<char>(payload.size() & 0xff)};
  return bytes.append(payload);
}

TEST_F(EdgeSession, UnknownVersionsAndTypesAndGarbageEndTheSessionWithTheirCode) {
  const struct {
    std::string bytes;
    Code code;
  } cases[] = {
      {raw(9, 10, ""), Code::unsupported_version}, {raw(1, 200, "x"), Code::unknown_frame},
      {raw(1, 0, "x"), Code::unknown_frame},       {raw(1, 4, std::string(300, '\xff')), Code::malformed},
      {raw(1, 2, "\x01"), Code::malformed},
  };
  for (const auto& c : cases) {
    effects_.clear();
    session_ = greet(rules_, now_, now_ + limits::kLoginDeadline, effects_);
    EXPECT_EQ(only<wire::Error>(feed_raw(c.bytes)).code, c.code);
    EXPECT_TRUE(session_.ended());
  }
}

// ---- time

TEST_F(EdgeSession, NoLoginWithinTheDeadlineEndsTheSession) {
  effects_.clear();
  EXPECT_EQ(step_time(session_, rules_, now_ + seconds(9), effects_), now_ + limits::kLoginDeadline);
  EXPECT_FALSE(session_.ended());
  step_time(session_, rules_, now_ + limits::kLoginDeadline, effects_);
  EXPECT_EQ(effects_.ended, Code::login_timeout);
}

TEST_F(EdgeSession, SilenceIsAnsweredWithAPingAtHalfTimeAndAnEndAtTheDeadline) {
  log_in();
  effects_.clear();
  session_.heard = now_;
  EXPECT_EQ(step_time(session_, rules_, now_ + seconds(14), effects_), now_ + seconds(15));
  EXPECT_TRUE(effects_.out.empty());
  EXPECT_EQ(step_time(session_, rules_, now_ + seconds(15), effects_), now_ + seconds(30));
  only<wire::Ping>(take());
  effects_.clear();
  step_time(session_, rules_, now_ + seconds(20), effects_);
  EXPECT_TRUE(effects_.out.empty()) << "one ping for one silence";
  step_time(session_, rules_, now_ + seconds(30), effects_);
  EXPECT_EQ(only<wire::Error>(take()).code, Code::heartbeat_timeout);
  EXPECT_TRUE(session_.ended());
}

TEST_F(EdgeSession, AnEndedSessionRemembersWhomToTellTheOwnerAbout) {
  log_in();
  effects_.clear();
  end(session_, Code::session_replaced, 0, "", effects_);
  const auto& ended = std::get<Ended>(session_.state);
  ASSERT_TRUE(ended.was);
  EXPECT_EQ(ended.was->device, DeviceId(12));
}

}  // namespace
}  // namespace barid::edge
