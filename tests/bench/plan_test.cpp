// What a server could do wrong, done to a plan of pairs by hand: each of it must show in the verdict.
#include <gtest/gtest.h>

#include "tests/bench/pair_plan.h"

namespace barid::bench {
namespace {

struct Sent {
  std::uint32_t sender;
  std::uint64_t seq;
  std::string content;
};

class RecordingDialect final : public Dialect {
 public:
  bool has_receipts() const override { return true; }
  bool says_accepted() const override { return true; }
  void greet(Client&) override {}
  std::size_t receive(Client&, std::string_view, Events&) override { return 0; }
  void end_of_read(Client&) override {}
  void send(Client& client, std::uint64_t seq, const Recipient&, std::string_view content) override {
    sent.push_back({client.name, seq, std::string(content)});
  }
  void ping(Client&) override {}
  std::vector<Sent> sent;
};

// Two clients who are online at once and write four messages each; no socket is opened.
class BenchPairs : public testing::Test {
 protected:
  explicit BenchPairs(double rate = 0) : plan(options(), control, 0, 2, rate, {}) {
    plan.attach(crowd);
    plan.on_online(crowd.at(0));
    plan.on_online(crowd.at(1));
    control.stage = Stage::send;
  }
  static Options options() {
    Options o;
    o.clients = 2;
    o.in_flight = 4;
    return o;
  }
  void send_all() {
    plan.on_turn(now_ns());
    control.stage = Stage::settle;
    ASSERT_EQ(dialect.sent.size(), 8U);
  }
  void arrive(const Sent& s) { plan.on_message(crowd.at(s.sender ^ 1U), {0, s.sender, 0}, s.seq, s.content); }
  void answer(const Sent& s) {
    plan.on_accepted(crowd.at(s.sender), s.seq, 1);
    plan.on_delivered(crowd.at(s.sender), s.seq, 1);
  }

  Control control;
  RecordingDialect dialect;
  PairPlan plan;
  Crowd crowd{{{1}, Transport::tcp, nullptr}, dialect, plan};
};

TEST_F(BenchPairs, APerfectRunIsGood) {
  send_all();
  for (const Sent& s : dialect.sent) arrive(s), answer(s);
  const Verdict v = plan.judge();
  EXPECT_TRUE(v.good());
  EXPECT_EQ(v.sent, 8U);
  EXPECT_EQ(v.delivered, 8U);
}

TEST_F(BenchPairs, AnAcceptedMessageThatNeverComesIsLost) {
  send_all();
  for (const Sent& s : dialect.sent) answer(s);
  for (std::size_t i = 1; i < 8; ++i) arrive(dialect.sent[i]);
  const Verdict v = plan.judge();
  EXPECT_EQ(v.lost, 1U);
  EXPECT_FALSE(v.good());
}

TEST_F(BenchPairs, AMessageThatComesTwiceIsDoubled) {
  send_all();
  for (const Sent& s : dialect.sent) arrive(s), answer(s);
  arrive(dialect.sent[3]);
  EXPECT_EQ(plan.judge().doubled, 1U);
  EXPECT_FALSE(plan.judge().good());
}

TEST_F(BenchPairs, AMessageThatIsOvertakenIsReordered) {
  send_all();
  std::swap(dialect.sent[1], dialect.sent[2]);
  for (const Sent& s : dialect.sent) arrive(s), answer(s);
  const Verdict v = plan.judge();
  EXPECT_EQ(v.reordered, 1U);
  EXPECT_EQ(v.lost, 0U);
  EXPECT_FALSE(v.good());
}

TEST_F(BenchPairs, AChangedByteIsCorruptedAndCountsAsLost) {
  send_all();
  dialect.sent[0].content[100] ^= 1;
  for (const Sent& s : dialect.sent) arrive(s), answer(s);
  EXPECT_EQ(plan.judge().corrupted, 1U);
  EXPECT_EQ(plan.judge().lost, 1U);
}

TEST_F(BenchPairs, AMessageInAnothersNameIsCorrupted) {
  send_all();
  for (const Sent& s : dialect.sent) arrive(s), answer(s);
  const Sent& s = dialect.sent[0];
  plan.on_message(crowd.at(s.sender), {0, s.sender, 0}, s.seq, s.content);  // to its own sender
  EXPECT_EQ(plan.judge().corrupted, 1U);
}

TEST_F(BenchPairs, AMissingReceiptIsNoticed) {
  send_all();
  for (const Sent& s : dialect.sent) arrive(s);
  for (std::size_t i = 0; i < 8; ++i) {
    if (i != 5) answer(dialect.sent[i]);
  }
  EXPECT_EQ(plan.judge().receipts_missing, 1U);
  EXPECT_EQ(plan.judge().unaccepted, 1U);
  EXPECT_FALSE(plan.judge().good());
}

TEST_F(BenchPairs, ARetryableRefusalIsSentAgainFromThereOnInOrder) {
  send_all();
  plan.on_accepted(crowd.at(0), 1, 1);
  plan.on_refused(crowd.at(0), 2, 1, "brokerFull");
  dialect.sent.clear();
  plan.on_turn(now_ns() + 1'000'000'000);
  ASSERT_EQ(dialect.sent.size(), 3U);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(dialect.sent[i].seq, i + 2);
}

class BenchOpenLoop : public BenchPairs {
 protected:
  BenchOpenLoop() : BenchPairs(1'000) {}
};

TEST_F(BenchOpenLoop, TimeCountsFromTheScheduleHoweverLateAMessageLeaves) {
  const std::int64_t start = now_ns() - 1'000'000'000;  // the generator itself stalled for a second
  plan.on_turn(start);
  plan.on_turn(now_ns());
  crowd.turn(now_ns(), 0);
  ASSERT_EQ(dialect.sent.size(), 2 * PairPlan::kSendWindow);  // 1,000 are due; the window holds the rest back
  arrive(dialect.sent.front());
  Histogram::Counts counts{};
  plan.tally.latency.add_to(counts);
  EXPECT_GE(percentile_ms(counts, 1.0), 1'000);
}

TEST_F(BenchOpenLoop, WhatFellBehindIsSentAsSoonAsTheWindowOpens) {
  plan.on_turn(now_ns() - 1'000'000'000);
  plan.on_turn(now_ns());
  dialect.sent.clear();
  plan.on_accepted(crowd.at(0), 1, 10);
  plan.on_turn(now_ns());
  ASSERT_EQ(dialect.sent.size(), 10U);
  for (const Sent& s : dialect.sent) EXPECT_EQ(s.sender, 0U);
}

}  // namespace
}  // namespace barid::bench
