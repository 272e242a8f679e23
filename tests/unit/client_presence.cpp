// Presence in the client's session: what is watched, what is typed, what is heard.
#include "tests/unit/client_fixture.h"

namespace barid::client {
namespace {

using namespace test;
using wire::TypingState;

TEST_F(SessionTest, AWatchIsSentAtOnceAndWithEveryNewConnection) {
  session.watch({{kBob}, {}}, now);
  EXPECT_TRUE(session.output().empty());  // offline: with the login
  log_in();
  const auto first = said_only<wire::Watch>();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].users, std::vector{kBob});
  session.watch({{kBob, kCarol}, {GroupId(7)}}, now);
  const auto second = said_only<wire::Watch>();
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].users, (std::vector{kBob, kCarol}));
  EXPECT_EQ(second[0].groups, std::vector{GroupId(7)});
  lose();
  connect();
  give(wire::Challenge{{9}, now.wall.value, 1, 1, "edge"});
  said();
  give(wire::Welcome{kMe, kMyDevice, now.wall.value, 8, 128, 60'000, 20'000, 30'000, 0, 1});
  const auto again = said_only<wire::Watch>();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].users, (std::vector{kBob, kCarol}));
}

TEST_F(SessionTest, AWatchIsCutToWhatAFrameHolds) {
  log_in();
  said();
  session.watch({std::vector<UserId>(1'000, kBob), std::vector<GroupId>(1'000, GroupId(7))}, now);
  const auto watches = said_only<wire::Watch>();
  ASSERT_EQ(watches.size(), 1U);
  EXPECT_EQ(watches[0].users.size(), limits::kWatchUsersMax);
  EXPECT_EQ(watches[0].groups.size(), limits::kWatchGroupsMax);
}

TEST_F(SessionTest, TypingIsToldWhenItIsNewsAndRepeatedInMeasure) {
  session.typing({kBob, {}, TypingState::typing}, now);
  log_in();
  EXPECT_TRUE(said_only<wire::Typing>().empty());  // offline it is forgotten
  session.typing({kBob, {}, TypingState::stopped}, now);
  EXPECT_TRUE(said_only<wire::Typing>().empty());  // nothing was going on
  for (int i = 0; i < 60; ++i) {
    session.typing({kBob, {}, TypingState::typing}, now);
    pass(milliseconds(100));
  }
  EXPECT_EQ(said_only<wire::Typing>().size(), 2U);
  session.typing({kBob, {}, TypingState::stopped}, now);
  session.typing({kBob, {}, TypingState::stopped}, now);
  const auto last = said_only<wire::Typing>();
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].state, TypingState::stopped);
}

TEST_F(SessionTest, PresenceIsAnEventAndIsNotAcknowledged) {
  log_in();
  said();
  session.take_events();
  const wire::PresenceEntry entry{kBob, {}, wire::PresenceState::online, TypingState::typing, 5};
  give(wire::Presence{{entry}});
  EXPECT_TRUE(said_only<wire::Ack>().empty());
  EXPECT_TRUE(has_event([&](const Event& e) {
    const auto* presence = std::get_if<event::Presence>(&e);
    return presence != nullptr && presence->entries == std::vector{entry};
  }));
}

}  // namespace
}  // namespace barid::client
