// The judge can say no: for each kind of violation, records that hold it.
#include "tests/torture/judge.h"

#include <gtest/gtest.h>

#include "tests/torture/letter.h"

namespace barid::torture {
namespace {

using client::State;

// Ann writes two letters to Bob and one to the group; all of it arrives and is read. Times grow by the order of events.
class Judged : public testing::Test {
 protected:
  Judge judge_{{{"#choir", {"ann", "bob", "cid"}}}};

  void out(const std::string& who, const std::string& to, std::uint64_t number, State state, std::int64_t observed_ms,
           std::uint32_t got = 0, std::uint32_t seen = 0) {
    const bool group = to.starts_with("#");
    judge_.add(who, Outgoing{static_cast<std::int64_t>(number + (group ? 100 : 0)), to, number, state, got, seen, 1,
                             observed_ms});
  }
  void in(const std::string& who, std::int64_t row, const std::string& conversation, std::uint64_t number,
          std::int64_t taken_ms, std::int64_t read_ms = 0) {
    judge_.add(who, Incoming{row, conversation, "ann", number, taken_ms, read_ms, true});
  }
  void all_well() {
    for (const std::uint64_t number : {1, 2}) {
      out("ann", "@bob", number, State::queued, 10);
      out("ann", "@bob", number, State::accepted, 20);
      in("bob", static_cast<std::int64_t>(number), "@bob", number, 30);
      out("ann", "@bob", number, State::delivered, 40);
    }
    in("bob", 1, "@bob", 1, 30, 50);
    out("ann", "@bob", 1, State::read, 60);
    out("ann", "#choir", 1, State::accepted, 20);
    in("bob", 3, "#choir", 1, 30);
    out("ann", "#choir", 1, State::accepted, 40, 1, 0);
    in("cid", 1, "#choir", 1, 50, 60);
    out("ann", "#choir", 1, State::delivered, 70, 2, 1);
  }
};

TEST_F(Judged, FindsNothingWhenAllIsWell) {
  all_well();
  const Verdict v = judge_.verdict();
  EXPECT_TRUE(v.well()) << (v.examples.empty() ? "" : v.examples.front());
  EXPECT_EQ(v.written, 3U);
  EXPECT_EQ(v.accepted, 3U);
  EXPECT_EQ(v.shown, 4U);
}

TEST_F(Judged, TakesARepeatedRecordForTheSameThing) {
  all_well();
  in("bob", 1, "@bob", 1, 30, 50);
  in("cid", 1, "#choir", 1, 50, 60);
  out("ann", "@bob", 1, State::read, 99);
  out("ann", "#choir", 1, State::delivered, 99, 2, 1);
  EXPECT_TRUE(judge_.verdict().well());
  EXPECT_EQ(judge_.verdict().shown, 4U);
}

TEST_F(Judged, FindsALostMessage) {
  all_well();
  out("ann", "@bob", 3, State::accepted, 90);
  EXPECT_EQ(judge_.verdict().lost, 1U);
  EXPECT_FALSE(judge_.verdict().well());
  EXPECT_FALSE(judge_.verdict().broken());  // it may still come
}

TEST_F(Judged, FindsAMessageThatOneMemberLacks) {
  all_well();
  out("ann", "#choir", 2, State::accepted, 90, 1, 0);
  in("bob", 4, "#choir", 2, 85);
  EXPECT_EQ(judge_.verdict().lost, 1U);
}

TEST_F(Judged, FindsADoubledMessage) {
  all_well();
  in("bob", 9, "@bob", 1, 80);
  const Verdict v = judge_.verdict();
  EXPECT_EQ(v.doubled, 1U);
  EXPECT_EQ(v.reordered, 0U);
  EXPECT_TRUE(v.broken());
}

TEST_F(Judged, FindsMessagesThatChangedPlaces) {
  all_well();
  for (const std::uint64_t number : {3, 4}) out("ann", "@bob", number, State::delivered, 99);
  in("bob", 10, "@bob", 4, 90), in("bob", 11, "@bob", 3, 91);
  EXPECT_EQ(judge_.verdict().reordered, 1U);
  EXPECT_EQ(judge_.verdict().doubled, 0U);
}

TEST_F(Judged, FindsOtherBytes) {
  all_well();
  judge_.add("bob", Incoming{1, "@bob", "ann", 1, 30, 50, false});
  EXPECT_EQ(judge_.verdict().corrupted, 1U);
}

TEST_F(Judged, FindsAMessageInThePlaceOfAnother) {
  all_well();
  in("bob", 1, "@bob", 2, 30);
  EXPECT_GE(judge_.verdict().corrupted, 1U);
}

TEST_F(Judged, FindsWhatNobodyWroteAndWhatWasForSomebodyElse) {
  all_well();
  in("bob", 20, "@bob", 77, 90);
  in("cid", 20, "@bob", 1, 90);
  EXPECT_EQ(judge_.verdict().invented, 2U);
}

TEST_F(Judged, FindsAFailedMessage) {
  all_well();
  out("ann", "@bob", 3, State::accepted, 90);
  out("ann", "@bob", 3, State::failed, 91);
  EXPECT_EQ(judge_.verdict().failed, 1U);
  EXPECT_TRUE(judge_.verdict().broken());
}

TEST_F(Judged, FindsADeliveredThatCameBeforeTheMessage) {
  out("ann", "@bob", 1, State::delivered, 29);
  in("bob", 1, "@bob", 1, 30);
  EXPECT_EQ(judge_.verdict().early, 1U);
}

TEST_F(Judged, FindsAMemberThatWasCountedBeforeItHadTheMessage) {
  out("ann", "#choir", 1, State::delivered, 40, 2, 0);
  in("bob", 1, "#choir", 1, 30), in("cid", 1, "#choir", 1, 50);
  EXPECT_EQ(judge_.verdict().early, 1U);
}

TEST_F(Judged, FindsAReadThatCameBeforeTheReading) {
  in("bob", 1, "@bob", 1, 30);
  out("ann", "@bob", 1, State::read, 60);
  EXPECT_EQ(judge_.verdict().early, 1U);
}

TEST_F(Judged, FindsAStateThatWentBack) {
  all_well();
  out("ann", "@bob", 1, State::delivered, 99);
  EXPECT_EQ(judge_.verdict().backwards, 1U);
}

TEST_F(Judged, FindsAMissingReceipt) {
  out("ann", "@bob", 1, State::accepted, 20);
  in("bob", 1, "@bob", 1, 30);
  EXPECT_EQ(judge_.verdict().receipts_missing, 1U);
  out("ann", "@bob", 1, State::delivered, 40);
  EXPECT_EQ(judge_.verdict().receipts_missing, 0U);
  in("bob", 1, "@bob", 1, 30, 50);
  EXPECT_EQ(judge_.verdict().receipts_missing, 1U);
}

TEST_F(Judged, FindsWhatIsNeitherAcceptedNorFailed) {
  out("ann", "@bob", 1, State::sent, 20);
  EXPECT_EQ(judge_.verdict().unsettled, 1U);
  EXPECT_FALSE(judge_.verdict().well());
}

TEST(Records, SurviveTheFileAndTornOnesAreNone) {
  const Outgoing out{7, "#g1", 12, State::delivered, 3, 1, 1111, 2222};
  const auto again = from_line(to_line(out).substr(0, to_line(out).size() - 1));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(to_line(*again), to_line(out));
  const Incoming in{8, "@c1", "c0", 5, 1, 0, false};
  EXPECT_EQ(to_line(*from_line("in 8 @c1 c0 5 1 0 0")), to_line(in));
  for (const char* torn :
       {"", "out 7 #g1 12 deliv", "out 7 #g1 12 delivered 3 1", "in 8 @c1", "in 8 @c1 c0 5 1 0 0 out 9"})
    EXPECT_FALSE(from_line(torn).has_value()) << torn;
}

TEST(Letters, AreCheckedToTheLastByte) {
  for (const std::uint64_t number : {1, 2, 3, 50, 999}) {
    const std::string text = text_of({"c0", "@c1", number});
    const auto letter = letter_of(text);
    ASSERT_TRUE(letter.has_value());
    EXPECT_EQ(letter->number, number);
    EXPECT_TRUE(letter->intact);
    EXPECT_FALSE(letter_of(text + "x")->intact);
  }
  EXPECT_FALSE(letter_of("hello").has_value());
}

}  // namespace
}  // namespace barid::torture
