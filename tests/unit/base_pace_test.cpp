#include <gtest/gtest.h>

#include "base/pace.h"

namespace barid {
namespace {

using namespace std::chrono_literals;

// A loop that works for `busy` of every millisecond and moves `things` in it.
class PaceOfALoop : public ::testing::Test {
 protected:
  void run(int ms, std::chrono::microseconds busy, std::size_t things) {
    for (int i = 0; i < ms; ++i) {
      pace_.woke(now_);
      pace_.moved(things);
      hold_ = pace_.hold(now_ + busy);
      now_ += 1ms;
    }
  }
  Pace pace_{500us};
  TimePoint now_ = TimePoint() + 1h;
  Pace::nanoseconds hold_{};
};

TEST_F(PaceOfALoop, NeverWaitsWithTimeToSpare) {
  run(50, 50us, 1'000);
  EXPECT_FALSE(pace_.loaded());
  EXPECT_EQ(hold_, 0ns);
}

TEST_F(PaceOfALoop, NeverWaitsForALoneMessageHoweverDearItIs) {
  run(50, 900us, 3);
  EXPECT_FALSE(pace_.loaded());
  EXPECT_EQ(hold_, 0ns);
}

TEST_F(PaceOfALoop, UnderLoadATurnBeginsHalfAMillisecondAfterTheLast) {
  run(50, 300us, 40);
  EXPECT_TRUE(pace_.loaded());
  EXPECT_EQ(hold_, 200us);
}

TEST_F(PaceOfALoop, ALongTurnIsFollowedByTheNextAtOnceButNotForgotten) {
  run(50, 800us, 40);
  EXPECT_TRUE(pace_.loaded());
  EXPECT_EQ(hold_, 1ns) << "0 would let the loop sleep until something happens";
}

TEST_F(PaceOfALoop, LoadEndsAtHalfOfWhatBeganItAndNotBefore) {
  run(50, 300us, 40);
  run(50, 120us, 10);
  EXPECT_TRUE(pace_.loaded()) << "12 % busy and 5 things a turn: still more than half";
  run(50, 50us, 10);
  EXPECT_FALSE(pace_.loaded());
  run(50, 120us, 10);
  EXPECT_FALSE(pace_.loaded()) << "not enough to begin with";
}

}  // namespace
}  // namespace barid
