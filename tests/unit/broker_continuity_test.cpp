#include "broker/continuity.h"

#include <gtest/gtest.h>

#include <thread>

namespace barid::broker {
namespace {

using Verdict = HighWater::Verdict;

std::string info(std::uint64_t last, const std::string& created = "2026-01-01T00:00:00Z") {
  return R"({"type":"io.nats.jetstream.api.v1.stream_info_response","config":{"name":"INGRESS_0"},"created":")" +
         created + R"(","state":{"messages":0,"bytes":0,"first_seq":1,"last_seq":)" + std::to_string(last) + "}}";
}

TEST(HighWater, AStreamThatGoesOnIsNoted) {
  HighWater marks({"INGRESS_0", "FANOUT"});
  EXPECT_FALSE(marks.knows(0));
  EXPECT_EQ(marks.judge(0, marks.last(0), info(7)), Verdict::continues);
  EXPECT_EQ(marks.last(0), StreamSeq(7));
  EXPECT_TRUE(marks.knows(0));
  EXPECT_FALSE(marks.knows(1));
  EXPECT_EQ(marks.judge(0, marks.last(0), info(7)), Verdict::continues);
}

TEST(HighWater, AStreamThatEndsBeforeWhatItAcknowledgedHasLostSomething) {
  HighWater marks({"INGRESS_0"});
  marks.note(0, StreamSeq(100));
  EXPECT_EQ(marks.judge(0, marks.last(0), info(99)), Verdict::behind);
  EXPECT_EQ(marks.last(0), StreamSeq(100)) << "a loss is not forgotten by looking at it";
  marks.forget();
  EXPECT_EQ(marks.judge(0, marks.last(0), info(99)), Verdict::continues);
}

// While the question was on its way more was acknowledged: the answer is older than the mark, and that is no loss.
TEST(HighWater, WhatWasAcknowledgedAfterTheQuestionDoesNotCount) {
  HighWater marks({"INGRESS_0"});
  marks.note(0, StreamSeq(100));
  const StreamSeq before = marks.last(0);
  marks.note(0, StreamSeq(120));
  EXPECT_EQ(marks.judge(0, before, info(105)), Verdict::continues);
  EXPECT_EQ(marks.last(0), StreamSeq(120));
}

TEST(HighWater, AStreamMadeAnewIsAnotherOneHoweverFarItIs) {
  HighWater marks({"INGRESS_0"});
  EXPECT_EQ(marks.judge(0, marks.last(0), info(7)), Verdict::continues);
  EXPECT_EQ(marks.judge(0, marks.last(0), info(70, "2026-02-02T00:00:00Z")), Verdict::behind);
}

TEST(HighWater, ABrokerThatDoesNotSayIsAskedAgain) {
  HighWater marks({"INGRESS_0"});
  marks.note(0, StreamSeq(5));
  EXPECT_EQ(
      marks.judge(0, marks.last(0), R"({"error":{"code":404,"err_code":10059,"description":"stream not found"}})"),
      Verdict::gone);
  for (const char* text : {R"({"error":{"code":503,"err_code":10008}})", "", "[]", "{}", R"({"created":1,"state":{}})",
                           R"({"created":"x","state":7})", R"({"error":"x"})"})
    EXPECT_EQ(marks.judge(0, marks.last(0), text), Verdict::unknown) << text;
}

TEST(HighWater, WhatWasSavedIsRememberedAndStrangersAreNot) {
  HighWater before({"INGRESS_0", "FANOUT"}), after({"FANOUT"});
  before.note(1, StreamSeq(9));
  ASSERT_EQ(before.marks().size(), 1U);
  for (const StreamMark& mark : before.marks()) after.remember(mark);
  after.remember({"INGRESS_0", "", StreamSeq(1000)});
  EXPECT_EQ(after.judge(0, after.last(0), info(8)), Verdict::behind);
}

TEST(HighWater, ManyThreadsNoteTheHighest) {
  HighWater marks({"INGRESS_0"});
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&marks, t] {
      for (std::uint64_t i = 0; i < 10'000; ++i) marks.note(0, StreamSeq(4 * i + t));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(marks.last(0), StreamSeq(39'999));
}

}  // namespace
}  // namespace barid::broker
