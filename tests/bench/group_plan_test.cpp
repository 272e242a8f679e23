// What a server could do wrong with a group's messages, done by hand: each of it must show.
#include <gtest/gtest.h>

#include "tests/bench/group_plan.h"

namespace barid::bench {
namespace {

TEST(BenchGroupOrder, OneOrderIsGoodWhoeverIsAheadAndAuthorsDoNotSeeTheirOwn) {
  GroupOrder order(4, 2, false);  // members 0 and 1 write; true order: 0/1, 1/1, 0/2
  order.take(0, 1, 1);            // an author is ahead of all readers
  order.take(1, 0, 1);
  order.take(1, 0, 2);
  for (const std::uint32_t reader : {2U, 3U})
    order.take(reader, 0, 1), order.take(reader, 1, 1), order.take(reader, 0, 2);
  order.catch_up();
  EXPECT_EQ(order.misplaced(), 0U);
}

TEST(BenchGroupOrder, AReaderWhoSeesTwoAuthorsTheOtherWayRoundIsNoticed) {
  GroupOrder order(4, 2, false);
  order.take(2, 0, 1), order.take(2, 1, 1);
  order.take(3, 1, 1), order.take(3, 0, 1);
  EXPECT_EQ(order.misplaced(), 1U);
}

TEST(BenchGroupOrder, AnAuthorWhoSeesTwoOthersTheOtherWayRoundIsNoticed) {
  GroupOrder order(4, 3, false);
  order.take(0, 2, 1), order.take(0, 1, 1);
  order.take(3, 1, 1), order.take(3, 2, 1);
  order.catch_up();
  EXPECT_EQ(order.misplaced(), 1U);
}

TEST(BenchGroupOrder, AMissingCopyIsNotMisplacedUnlessItComesLater) {
  GroupOrder order(3, 1, false);
  for (std::uint64_t n = 1; n <= 3; ++n) order.take(1, 0, n);
  order.take(2, 0, 1), order.take(2, 0, 3);
  EXPECT_EQ(order.misplaced(), 0U);
  order.take(2, 0, 2);
  EXPECT_EQ(order.misplaced(), 1U);
}

struct Sent {
  std::uint32_t sender;
  std::uint64_t seq;
  std::string content;
};
class RoomDialect final : public Dialect {  // a peer's: no receipts, no acceptance, no identities
 public:
  bool has_receipts() const override { return false; }
  bool says_accepted() const override { return false; }
  void greet(Client&) override {}
  std::size_t receive(Client&, std::string_view, Events&) override { return 0; }
  void end_of_read(Client&) override {}
  void send(Client&, std::uint64_t, const Recipient&, std::string_view) override {}
  void send_group(Client& client, std::uint64_t seq, const Recipient&, std::string_view content) override {
    sent.push_back({client.name, seq, std::string(content)});
  }
  void ping(Client&) override {}
  std::vector<Sent> sent;
};

// One group of four; two members write two messages each, all at once; no socket is opened.
class BenchGroups : public testing::Test {
 protected:
  BenchGroups() : plan(options(), control, shape(), 0, {}) {
    plan.attach(crowd);
    for (std::uint32_t i = 0; i < 4; ++i) plan.on_online(crowd.at(i)), plan.on_joined(crowd.at(i));
    plan.on_turn(now_ns());
    control.stage = Stage::send;
    plan.on_turn(now_ns());
    control.stage = Stage::settle;
  }
  static Options options() {
    Options o;
    o.size = 64;
    return o;
  }
  static GroupPlan::Shape shape() { return {1, 4, 2, 4, 2, 0, 0, false}; }
  void arrive(std::uint32_t member, const Sent& s) {
    plan.on_message(crowd.at(member), {0, s.sender, 0}, s.seq, s.content);
  }
  void all_arrive(const Sent& s) {
    for (std::uint32_t m = 0; m < 4; ++m)
      if (m != s.sender) arrive(m, s);
  }

  Control control;
  RoomDialect dialect;
  GroupPlan plan;
  Crowd crowd{{{1}, Transport::tcp, nullptr}, dialect, plan};
};

TEST_F(BenchGroups, APerfectRunIsGood) {
  ASSERT_EQ(dialect.sent.size(), 4U);
  for (const Sent& s : dialect.sent) all_arrive(s);
  const Verdict v = plan.judge();
  EXPECT_TRUE(v.good());
  EXPECT_EQ(v.sent, 4U);
  EXPECT_EQ(v.delivered, 12U);
}

TEST_F(BenchGroups, ACopyThatNeverComesIsLost) {
  for (const Sent& s : dialect.sent) arrive(2, s), arrive(s.sender ^ 1U, s);
  for (std::size_t i = 1; i < 4; ++i) arrive(3, dialect.sent[i]);
  EXPECT_EQ(plan.judge().lost, 1U);
}

TEST_F(BenchGroups, ACopyThatComesTwiceIsDoubled) {
  for (const Sent& s : dialect.sent) all_arrive(s);
  arrive(3, dialect.sent[1]);
  EXPECT_EQ(plan.judge().doubled, 1U);
}

TEST_F(BenchGroups, MembersWhoSeeDifferentOrdersAreNoticed) {
  for (const Sent& s : dialect.sent) arrive(2, s), arrive(s.sender ^ 1U, s);
  std::swap(dialect.sent[1], dialect.sent[2]);  // of two authors: each one's own order holds
  for (const Sent& s : dialect.sent) arrive(3, s);
  EXPECT_EQ(plan.judge().reordered, 1U);
  EXPECT_EQ(plan.judge().lost, 0U);
}

TEST_F(BenchGroups, AnAuthorsOwnCopyIsCorrupted) {
  for (const Sent& s : dialect.sent) all_arrive(s);
  arrive(dialect.sent[0].sender, dialect.sent[0]);
  EXPECT_EQ(plan.judge().corrupted, 1U);
}

}  // namespace
}  // namespace barid::bench
