// Presence on the real edge and owner with the real nats-server. The directory's answers are the test's, so that it can
// say who sees whom, and be away.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.h"
#include "broker/topology.h"
#include "tests/integration/edge_fixture.h"

namespace barid::edge {
namespace {

using namespace std::chrono_literals;
using test::wait_until;
using wire::PresenceEntry;
using wire::PresenceState;
using wire::TypingState;

constexpr auto kPatience = 60s;
constexpr UserId kAlice{1}, kBob{2}, kCarol{3};
constexpr GroupId kChoir{7'000};

// Somebody with a connection, who reads when the test looks.
class Phone {
 public:
  Phone(EdgeProcess& edge, UserId user, std::uint64_t session = 1) : client_(edge.port()), since_(steady_now()) {
    edge.log_in(client_, user, DeviceId(user.value * 10), session);
  }
  void watch(std::vector<UserId> users, std::vector<GroupId> groups = {}) {
    client_.send(wire::Watch{std::move(users), std::move(groups)});
  }
  void type(UserId to, GroupId in, TypingState state) { client_.send(wire::Typing{to, in, state}); }
  template <class F>
  void send(const F& frame) {
    client_.send(frame);
  }
  // Until an entry of that user is such; false: none came in time.
  template <class Is>
  bool sees(UserId user, Is&& is) {
    const TimePoint until = steady_now() + kPatience;
    while (steady_now() < until) {
      const auto frame = client_.next();
      if (!frame) continue;
      const auto* presence = std::get_if<wire::Presence>(&*frame);
      if (presence == nullptr) continue;
      ++frames_;
      bool found = false;
      for (const PresenceEntry& e : presence->entries) {
        all_.push_back(e);
        found = found || (e.user == user && is(e));
      }
      // Never more than one a second, however late we look.
      EXPECT_LE(frames_, 1 + (steady_now() - since_) / 1s);
      if (found) return true;
    }
    return false;
  }
  bool sees(UserId user, PresenceState state) {
    return sees(user, [&](const PresenceEntry& e) { return e.state == state && e.group == GroupId(); });
  }
  const std::vector<PresenceEntry>& all() const { return all_; }  // that sees() has passed
  TestClient& client() { return client_; }

 private:
  TestClient client_;
  TimePoint since_;
  std::int64_t frames_ = 0;
  std::vector<PresenceEntry> all_;
};

class PresencePath : public testing::Test {
 protected:
  void SetUp() override {
    EdgeOptions options;
    options.worker_roles = "delivery";
    options.worker_lines = "presence_grace_s = 1\nlast_seen_every_s = 1";
    options.edge_lines =
        "heartbeat_s = 200\nhalf_open_deadline_s = 400\n"
        "connects_per_address = { per_second = 100000, burst = 100000 }";
    edge_ = std::make_unique<EdgeProcess>(options);
    NatsConfig config;
    config.url = edge_->nats.url();
    directory_ = std::make_unique<broker::Control>(config, "directory");
    directory_->serve(control::kPresenceSubject, control::kDirectoryQueue, 1, [this](std::string_view request) {
      const auto call = control::decode_presence_call(request);
      const std::lock_guard lock(mutex_);
      control::PresenceAnswer answer{!call || away_, {}};
      if (answer.unavailable) return control::encode(answer);
      for (const auto& seen : call->seen) seen_[seen.user] = seen.at_ms;
      for (const auto& pair : call->pairs) {
        const bool hidden = hides_.contains(pair.watched) || hides_.contains(pair.watcher);
        answer.rights.push_back({false, !hidden, !hidden, hidden ? 0 : seen_[pair.watched]});
      }
      return control::encode(answer);
    });
    directory_->serve(control::kGroupSubject, control::kDirectoryQueue, 1, [](std::string_view) {
      control::GroupSnapshot snapshot{true, false, 1, false, {}};
      for (const UserId user : {kAlice, kBob}) snapshot.members.push_back({user, wire::GroupRole::member, {}});
      return control::encode(snapshot);
    });
  }
  void TearDown() override { directory_.reset(); }
  void hide(UserId user, bool hides) {
    {
      const std::lock_guard lock(mutex_);
      hides ? (void)hides_.insert(user) : (void)hides_.erase(user);
    }
    directory_->tell(control::kPresenceChangedSubject, hex_id(user.value));
  }
  bool wrote_last_seen(UserId user) {
    return wait_until(
        [&] {
          const std::lock_guard lock(mutex_);
          return seen_[user] != 0;
        },
        kPatience);
  }

  std::unique_ptr<EdgeProcess> edge_;
  std::unique_ptr<broker::Control> directory_;
  std::mutex mutex_;
  std::set<UserId> hides_;
  std::map<UserId, std::int64_t> seen_;
  bool away_ = false;
};

TEST_F(PresencePath, AWatcherSeesAUserComeAndGoAndWhenTheyWereLastSeen) {
  Phone bob(*edge_, kBob);
  bob.watch({kAlice});
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::offline));
  {
    Phone alice(*edge_, kAlice);
    ASSERT_TRUE(bob.sees(kAlice, PresenceState::online));
  }
  ASSERT_TRUE(bob.sees(kAlice, [](const PresenceEntry& e) {
    return e.state == PresenceState::offline && e.last_seen_ms > wall_now().value - 600'000;
  }));
  EXPECT_TRUE(wrote_last_seen(kAlice));
}

TEST_F(PresencePath, TypingReachesTheOneItIsMeantForAndTheMembersOfAGroup) {
  Phone alice(*edge_, kAlice), bob(*edge_, kBob), carol(*edge_, kCarol);
  bob.watch({kAlice}, {kChoir});
  carol.watch({kAlice}, {kChoir});
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::online));
  ASSERT_TRUE(carol.sees(kAlice, PresenceState::online));
  alice.type(kBob, GroupId(), TypingState::recording);
  ASSERT_TRUE(bob.sees(kAlice, [](const PresenceEntry& e) { return e.typing == TypingState::recording; }));
  alice.type(kBob, GroupId(), TypingState::stopped);
  ASSERT_TRUE(bob.sees(kAlice, [](const PresenceEntry& e) { return e.typing == TypingState::stopped; }));
  alice.type(UserId(), kChoir, TypingState::typing);
  ASSERT_TRUE(
      bob.sees(kAlice, [](const PresenceEntry& e) { return e.group == kChoir && e.typing == TypingState::typing; }));
  ASSERT_TRUE(bob.sees(  // and it ends by itself
      kAlice, [](const PresenceEntry& e) { return e.group == kChoir && e.typing == TypingState::stopped; }));
  hide(kAlice, true);  // something that Carol hears of, after all that
  ASSERT_TRUE(carol.sees(kAlice, PresenceState::hidden));
  for (const PresenceEntry& e : carol.all()) {
    EXPECT_EQ(e.typing, TypingState::stopped);
    EXPECT_EQ(e.group, GroupId()) << "Carol is not a member";
  }
}

TEST_F(PresencePath, WhatIsHiddenIsNotShownAndWhoHidesSeesNobody) {
  hide(kAlice, true);
  Phone alice(*edge_, kAlice), bob(*edge_, kBob), carol(*edge_, kCarol);
  alice.watch({kBob});
  bob.watch({kAlice, kCarol});
  ASSERT_TRUE(bob.sees(kCarol, PresenceState::online));
  hide(kAlice, false);
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::online));
  EXPECT_EQ(bob.all().front().user, kCarol) << "nothing of Alice before she showed it";
  ASSERT_TRUE(alice.sees(kBob, PresenceState::online));
  hide(kAlice, true);
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::hidden));
  ASSERT_TRUE(alice.sees(kBob, PresenceState::hidden));
}

TEST_F(PresencePath, ABlockHidesBothWaysAndDropsTyping) {
  Phone alice(*edge_, kAlice), bob(*edge_, kBob);
  alice.watch({kBob});
  bob.watch({kAlice});
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::online));
  ASSERT_TRUE(alice.sees(kBob, PresenceState::online));
  edge_->control->put(broker::kBlocksBucket, hex_id(kBob.value), nlohmann::json{hex_id(kAlice.value)}.dump());
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::hidden));
  ASSERT_TRUE(alice.sees(kBob, PresenceState::hidden));
  alice.type(kBob, GroupId(), TypingState::typing);
  alice.watch({kBob});  // its answer comes after the owner has seen what was typed
  ASSERT_TRUE(alice.sees(kBob, PresenceState::hidden));
  edge_->control->put(broker::kBlocksBucket, hex_id(kBob.value), "[]");
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::online));
  for (const PresenceEntry& e : bob.all()) EXPECT_EQ(e.typing, TypingState::stopped);
}

TEST_F(PresencePath, AWatchSurvivesTheOwner) {
  Phone alice(*edge_, kAlice), bob(*edge_, kBob);
  bob.watch({kAlice});
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::online));
  edge_->worker->signal(SIGKILL);
  ASSERT_TRUE(edge_->worker->wait(kPatience).has_value());
  edge_->start_worker();
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::online)) << "told again by the next owner";
  for (const PresenceEntry& e : bob.all()) EXPECT_NE(e.state, PresenceState::offline);
}

TEST_F(PresencePath, ManyReconnectingAtOnceCauseNoStorm) {
  constexpr std::uint64_t kMany = 200;
  std::vector<std::unique_ptr<Phone>> phones;
  const auto connect = [&](std::uint64_t session) {
    phones.clear();
    for (std::uint64_t u = 1; u <= kMany; ++u) phones.push_back(std::make_unique<Phone>(*edge_, UserId(u), session));
    for (std::uint64_t u = 1; u <= kMany; ++u) {
      std::vector<UserId> others;
      for (std::uint64_t i = 1; i <= 20; ++i) others.emplace_back(1 + (u + 7 * i) % kMany);
      phones[u - 1]->watch(others);
    }
  };
  for (std::uint64_t session = 1; session <= 3; ++session) {
    connect(session);
    for (std::uint64_t u = 1; u <= kMany; ++u)
      ASSERT_TRUE(phones[u - 1]->sees(UserId(1 + (u + 7) % kMany), PresenceState::online));
  }
}

TEST_F(PresencePath, HostileWatchesAndTypingCostOnlyThemselves) {
  Phone alice(*edge_, kAlice), bob(*edge_, kBob);
  bob.watch({kAlice});
  ASSERT_TRUE(bob.sees(kAlice, PresenceState::online));
  for (int i = 0; i < 2'000; ++i) {
    std::vector<UserId> users;
    for (std::uint64_t u = 0; u < limits::kWatchUsersMax; ++u) users.emplace_back(1'000 + i * 64 + u);
    alice.watch(users, {kChoir});
    alice.type(UserId(5'000 + static_cast<std::uint64_t>(i)), GroupId(), TypingState::typing);
  }
  alice.watch({kBob});
  EXPECT_TRUE(alice.sees(kBob, PresenceState::online)) << "the last set counts";
  TestClient stranger(edge_->port());
  stranger.expect<wire::Challenge>();
  stranger.send(wire::Watch{{kAlice}, {}});
  EXPECT_EQ(stranger.expect<wire::Error>().code, wire::Code::not_logged_in);
  bob.send(wire::Presence{});
  std::optional<wire::Frame> last;
  while (auto frame = bob.client().next()) last = frame;
  ASSERT_TRUE(last && std::holds_alternative<wire::Error>(*last));
  EXPECT_EQ(std::get<wire::Error>(*last).code, wire::Code::protocol_violation);
}

}  // namespace
}  // namespace barid::edge
