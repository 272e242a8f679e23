// Presence of one partition on a bench: virtual time, the directory's answers are the test's.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "edge/watching.h"
#include "workers/delivery/presence.h"

namespace barid::delivery {
namespace {

using namespace std::chrono_literals;
using control::PresencePair;
using control::PresenceRights;
using wire::PresenceEntry;
using wire::PresenceState;
using wire::TypingState;

constexpr UserId kAlice{1}, kBob{2}, kCarol{3};
constexpr GroupId kChoir{77};

struct Told {
  EdgeRef edge;
  ConnId conn;
  PresenceEntry entry;
  TimePoint at;
};

class PresenceBench : public PresencePort {
 public:
  // ---- the port
  void tell(EdgeRef edge, ConnId conn, const PresenceEntry& entry) override {
    told.push_back({edge, conn, entry, now});
  }
  void ask_rights(std::uint64_t ask, const std::vector<PresencePair>& pairs) override { asks.emplace_back(ask, pairs); }
  void ask_members(GroupId group) override { member_asks.push_back(group); }
  void write_last_seen(const std::vector<control::LastSeen>& seen) override { written.push_back(seen); }

  // ---- the world
  void start() { core = std::make_unique<Presence>(PresenceConfig{}, directory, *this, now); }
  void session(UserId user, bool open) { core->on_session(user, open, now, wall); }
  void watch(UserId watcher, ConnId conn, std::vector<UserId> users, std::vector<GroupId> groups = {}) {
    core->on_watch(0, {Partition(0), watcher, DeviceId(watcher.value * 10), conn, std::move(users), std::move(groups)},
                   now);
  }
  void answer(std::optional<PresenceRights> with) {
    for (const auto& [ask, pairs] : std::exchange(asks, {}))
      core->on_rights(ask, with ? std::optional(std::vector<PresenceRights>(pairs.size(), *with)) : std::nullopt, now);
  }
  // Turns and ticks; whatever is asked is answered when there are rights to answer with.
  void pass(milliseconds time, bool loaded = false) {
    for (const TimePoint until = now + time; now < until; now += 100ms, wall.value += 100) {
      if ((now.time_since_epoch() / 1ms) % 500 == 0) core->on_tick(now);
      core->end_turn(now, loaded);
      if (rights) answer(rights);
    }
    core->on_tick(now);
    core->end_turn(now, loaded);
    if (rights) answer(rights), core->end_turn(now, loaded);
  }
  std::vector<PresenceEntry> heard(ConnId conn) {
    std::vector<PresenceEntry> all;
    for (const Told& t : std::exchange(told, {}))
      if (t.conn == conn) all.push_back(t.entry);
    return all;
  }

  Directory directory;
  TimePoint now{1h};
  WallMs wall{1'000'000};
  std::optional<PresenceRights> rights = PresenceRights{false, true, true, 500};
  std::vector<Told> told;
  std::vector<std::pair<std::uint64_t, std::vector<PresencePair>>> asks;
  std::vector<GroupId> member_asks;
  std::vector<std::vector<control::LastSeen>> written;
  std::unique_ptr<Presence> core;
};

class PresenceCore : public ::testing::Test, public PresenceBench {
 protected:
  void SetUp() override {
    start();
    pass(11s);  // all edges have spoken
  }
};

PresenceEntry entry(PresenceState state, std::int64_t seen = 0, TypingState typing = TypingState::stopped) {
  return {kAlice, {}, state, typing, seen};
}

TEST_F(PresenceCore, TellsAWatcherTheStateAndThenWhatChanges) {
  session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  pass(1s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
  const std::int64_t left = wall.value;
  session(kAlice, false);
  pass(20s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::offline, left)});
  session(kAlice, true);
  pass(1s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
  watch(kBob, ConnId(5), {});
  session(kAlice, false);
  pass(20s);
  EXPECT_TRUE(heard(ConnId(5)).empty());
  EXPECT_EQ(core->watches(), 0U);
}

TEST_F(PresenceCore, AReconnectWithinTheGraceCausesNoUpdate) {
  session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  pass(1s);
  heard(ConnId(5));
  for (int i = 0; i < 20; ++i) {
    session(kAlice, false);
    pass(9s);
    session(kAlice, true);
    pass(1s);
  }
  EXPECT_TRUE(told.empty());
  EXPECT_TRUE(written.empty());
}

TEST_F(PresenceCore, OneOfSeveralDevicesIsEnoughToBeOnline) {
  session(kAlice, true), session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  pass(1s);
  session(kAlice, false);
  pass(30s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
}

TEST_F(PresenceCore, ANewOwnerSaysNothingOfAbsentUsersUntilEdgesHaveSpoken) {
  start();
  watch(kBob, ConnId(5), {kAlice});
  pass(5s);
  EXPECT_TRUE(told.empty());
  session(kAlice, true);
  pass(20s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
}

TEST_F(PresenceCore, WithoutAnAnswerEverythingIsHiddenAndAskedAgain) {
  rights.reset();
  session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  core->on_typing({kAlice, kBob, {}, TypingState::typing}, now);
  pass(1s);
  ASSERT_EQ(asks.size(), 1U);
  answer(std::nullopt);
  pass(1s);
  EXPECT_TRUE(asks.empty());
  pass(2s);
  EXPECT_EQ(asks.size(), 1U);
  EXPECT_TRUE(told.empty());
  answer(PresenceRights{false, true, true, 0});
  pass(1s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
  // The directory falls silent: what was known runs out.
  for (int i = 0; i < 80; ++i) answer(std::nullopt), pass(1s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::hidden)});
}

TEST_F(PresenceCore, ShowsOnlyWhatTheRightsAllow) {
  session(kAlice, true);
  rights = PresenceRights{false, false, true, 500};
  watch(kBob, ConnId(5), {kAlice});
  pass(1s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::hidden, 500)});
  rights = PresenceRights{false, true, false, 0};
  core->on_rights_changed(kAlice);
  pass(2s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
  session(kAlice, false);
  pass(15s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::offline)});
  rights = PresenceRights{true, false, false, 0};
  core->on_rights_changed(kBob);  // the one who watches
  pass(2s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::hidden)});
}

TEST_F(PresenceCore, ABlockHidesAtOnceAndDropsTyping) {
  session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  pass(1s);
  heard(ConnId(5));
  rights.reset();  // the directory need not answer
  directory.blocked_by[kAlice].insert(kBob);
  core->on_rights_changed(kAlice);
  pass(2s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::hidden)});
  core->on_typing({kAlice, kBob, {}, TypingState::typing}, now);
  directory.blocked_by.clear();
  core->on_rights_changed(kAlice);
  pass(2s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
}

TEST_F(PresenceCore, TypingIsToldToWhomItIsMeantForAndEndsByItself) {
  session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  watch(kCarol, ConnId(6), {kAlice});
  pass(2s);
  told.clear();
  for (int i = 0; i < 4; ++i) {
    core->on_typing({kAlice, kBob, {}, TypingState::typing}, now);
    pass(3s);
  }
  EXPECT_EQ(told.size(), 1U);  // not repeated, and not to Carol
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online, 0, TypingState::typing)});
  pass(8s);
  EXPECT_EQ(heard(ConnId(5)), std::vector{entry(PresenceState::online)});
}

TEST_F(PresenceCore, TypingInAGroupIsAmongItsMembers) {
  watch(kBob, ConnId(5), {}, {kChoir});
  watch(kCarol, ConnId(6), {}, {kChoir});
  pass(1s);
  ASSERT_EQ(member_asks.size(), 1U);
  core->on_typing({kAlice, {}, kChoir, TypingState::typing}, now);
  pass(1s);
  EXPECT_TRUE(told.empty());  // the members are not known yet
  core->on_members(kChoir, std::vector{kAlice, kBob}, now);
  core->on_typing({kAlice, {}, kChoir, TypingState::recording}, now);
  core->on_typing({UserId(9), {}, kChoir, TypingState::typing}, now);  // a stranger
  pass(1s);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].conn, ConnId(5));
  EXPECT_EQ(told[0].entry, (PresenceEntry{kAlice, kChoir, PresenceState::hidden, TypingState::recording, 0}));
  told.clear();
  pass(10s);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].entry.typing, TypingState::stopped);
}

TEST_F(PresenceCore, UnderLoadTypingIsDroppedAndEntriesWait) {
  session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  pass(1s);
  heard(ConnId(5));
  pass(1s, true);
  told.clear();
  core->on_typing({kAlice, kBob, {}, TypingState::typing}, now);
  EXPECT_EQ(core->stats().typings_shed, 1U);
  session(kAlice, false);
  pass(12s, true);
  session(kAlice, true);
  pass(3s, true);
  session(kAlice, false);
  pass(30s, true);
  for (std::size_t i = 1; i < told.size(); ++i) EXPECT_GE(told[i].at - told[i - 1].at, 5s);
  EXPECT_EQ(heard(ConnId(5)).back().state, PresenceState::offline);
}

TEST_F(PresenceCore, LastSeenIsWrittenInBatchesAndKeptUntilItIsWritten) {
  for (std::uint64_t u = 100; u < 150; ++u) session(UserId(u), true), session(UserId(u), false);
  pass(25s);
  ASSERT_EQ(written.size(), 1U);
  EXPECT_EQ(written[0].size(), 50U);
  core->on_last_seen_written(false);
  pass(15s);
  ASSERT_EQ(written.size(), 2U);
  EXPECT_EQ(written[1].size(), 50U);
  core->on_last_seen_written(true);
  pass(25s);
  EXPECT_EQ(written.size(), 2U);
  session(UserId(100), true), session(UserId(100), false);  // within its grace when the owner leaves
  const auto rest = core->take_last_seen();
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].at_ms, wall.value);
}

TEST_F(PresenceCore, WhatIsOfferedAgainIsToldAgainAndAnEdgeThatIsGoneWatchesNothing) {
  session(kAlice, true);
  watch(kBob, ConnId(5), {kAlice});
  pass(1s);
  watch(kBob, ConnId(5), {kAlice});
  pass(2s);
  EXPECT_EQ(heard(ConnId(5)), (std::vector{entry(PresenceState::online), entry(PresenceState::online)}));
  core->on_edge_gone(0);
  EXPECT_EQ(core->watches(), 0U);
  session(kAlice, false);
  pass(20s);
  EXPECT_TRUE(told.empty());
}

TEST_F(PresenceCore, TheTablesAreBounded) {
  for (std::uint64_t c = 0; c < Presence::kWatchersPerUserMax + 10; ++c) watch(UserId(1'000 + c), ConnId(c), {kAlice});
  EXPECT_EQ(core->watches(), Presence::kWatchersPerUserMax);
  EXPECT_EQ(core->stats().watches_refused, 10U);
}

// Everybody comes, goes, types, watches, and is blocked at random, with answers that fail: no pair is told more than
// once a second, nobody is told what they may not know, and in the end everybody knows the truth.
class PresenceChurn : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Seeds, PresenceChurn, ::testing::Range(1U, 31U));

TEST_P(PresenceChurn, NoPairIsToldMoreThanOnceASecondAndTheLastWordIsTrue) {
  PresenceBench b;
  b.rights.reset();
  b.start();
  std::mt19937 random(GetParam());
  const auto pick = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
  constexpr unsigned kUsers = 12;
  std::map<unsigned, unsigned> sessions;
  const auto may_see = [](UserId watched, UserId watcher) { return (watched.value + watcher.value) % 3 != 0; };
  const auto answer = [&](bool fail) {
    for (const auto& [ask, pairs] : std::exchange(b.asks, {})) {
      std::vector<PresenceRights> rights;
      for (const auto& p : pairs) rights.push_back({false, may_see(p.watched, p.watcher), false, 0});
      b.core->on_rights(ask, fail ? std::nullopt : std::optional(rights), b.now);
    }
  };
  for (unsigned watcher = 1; watcher <= kUsers; ++watcher) {
    std::vector<UserId> all;
    for (unsigned u = 1; u <= kUsers; ++u) all.emplace_back(u);
    b.watch(UserId(watcher), ConnId(watcher), all);
  }
  std::map<std::pair<UserId, ConnId>, TimePoint> last;
  std::map<std::pair<UserId, ConnId>, PresenceEntry> known;
  const auto check = [&] {
    for (const Told& t : std::exchange(b.told, {})) {
      const std::pair key{t.entry.user, t.conn};
      if (last.contains(key)) {
        EXPECT_GE(t.at - last[key], 1s) << "seed " << GetParam();
      }
      last[key] = t.at, known[key] = t.entry;
      if (!may_see(t.entry.user, UserId(t.conn.value))) {
        EXPECT_EQ(t.entry.state, PresenceState::hidden);
      }
    }
  };
  for (int step = 0; step < 6'000; ++step) {
    const unsigned user = 1 + pick(kUsers);
    switch (pick(4)) {
      case 0:
        if (sessions[user] < 3) ++sessions[user], b.session(UserId(user), true);
        break;
      case 1:
        if (sessions[user] > 0) --sessions[user], b.session(UserId(user), false);
        break;
      case 2:
        b.core->on_typing({UserId(user), UserId(1 + pick(kUsers)), {}, static_cast<TypingState>(pick(3))}, b.now);
        break;
      default:
        b.core->on_rights_changed(UserId(user));
    }
    b.now += milliseconds(pick(200));
    b.wall.value += 100;
    if (pick(4) == 0) b.core->on_tick(b.now);
    b.core->end_turn(b.now, pick(200) == 0);
    if (pick(3) == 0) answer(pick(10) == 0);
    check();
  }
  for (int i = 0; i < 60; ++i) {
    b.now += 500ms;
    b.core->on_tick(b.now);
    b.core->end_turn(b.now, false);
    answer(false);
    check();
  }
  for (unsigned user = 1; user <= kUsers; ++user)
    for (unsigned watcher = 1; watcher <= kUsers; ++watcher) {
      const PresenceEntry& e = known[{UserId(user), ConnId(watcher)}];
      const bool shown = may_see(UserId(user), UserId(watcher));
      EXPECT_EQ(e.state, !shown               ? PresenceState::hidden
                         : sessions[user] > 0 ? PresenceState::online
                                              : PresenceState::offline)
          << "seed " << GetParam();
      EXPECT_EQ(e.typing, TypingState::stopped);
    }
}

// The owner's core and the edges' side of 10,000 connections, all lost and back at once, several times; each watches
// some chats, as a client does after it has logged in again.
TEST(PresenceStorm, TenThousandClientsReconnectingAtOnceGetAtMostOneFrameASecondEach) {
  constexpr std::uint64_t kClients = 10'000, kChats = 8;
  PresenceBench b;
  b.start();
  const auto chats = [](std::uint64_t user) {
    std::vector<UserId> all;
    for (std::uint64_t i = 1; i <= kChats; ++i) all.emplace_back(1 + (user + i * 977) % kClients);
    return all;
  };
  std::vector<std::unique_ptr<edge::Watching>> edges(kClients + 1);
  std::map<ConnId, TimePoint> last;
  std::size_t frames = 0;
  ConnId base(0);
  const auto connect = [&] {
    for (std::uint64_t u = 1; u <= kClients; ++u) {
      b.session(UserId(u), true);
      edges[u] = std::make_unique<edge::Watching>();
      ASSERT_TRUE(edges[u]->watch({chats(u), {}}, b.now));
      edges[u]->offered({Partition(0)}, b.now);
      b.watch(UserId(u), ConnId(base.value + u), chats(u));
    }
  };
  const auto lose = [&] {
    for (std::uint64_t u = 1; u <= kClients; ++u) {
      b.session(UserId(u), false);
      b.watch(UserId(u), ConnId(base.value + u), {});
    }
    base.value += kClients;
  };
  const auto run = [&](int seconds) {
    for (int i = 0; i < seconds * 10; ++i) {
      b.pass(100ms);
      for (const Told& t : std::exchange(b.told, {}))
        if (t.conn.value > base.value) edges[t.conn.value - base.value]->add(t.entry);
      for (std::uint64_t u = 1; u <= kClients; ++u) {
        if (!edges[u]->frame_due(b.now, false)) continue;
        edges[u]->take(b.now);
        ++frames;
        const ConnId conn(base.value + u);
        if (last.contains(conn)) {
          ASSERT_GE(b.now - last[conn], 1s);
        }
        last[conn] = b.now;
      }
    }
  };
  connect();
  run(15);
  for (int round = 0; round < 3; ++round) {
    frames = 0;
    lose();
    b.pass(2s);
    connect();
    run(6);
    EXPECT_GE(frames, kClients);      // each knows again …
    EXPECT_LE(frames, 3 * kClients);  // … and nothing storms: nobody was seen to leave
    frames = 0;
    run(12);
    EXPECT_EQ(frames, 0U);
  }
}

}  // namespace
}  // namespace barid::delivery
