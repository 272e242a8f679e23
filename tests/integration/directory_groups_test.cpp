// The verbs of groups on a real Postgres: who may do what, also when two do it at once.
#include <nlohmann/json.hpp>
#include <pqxx/pqxx>
#include <thread>

#include "schemas/token.h"
#include "storage/groups.h"
#include "tests/integration/directory_harness.h"
#include "workers/directory/group_frames.h"

namespace barid::directory {
namespace {

using wire::Code;
using wire::GroupRole;

class Groups : public DirectoryTest {
 protected:
  Groups() {
    config.code_resend = std::chrono::seconds(0);
    config.invite_failures_per_user = {1.0 / 3'600, 3};
  }
  struct Person {
    UserId user;
    DeviceId device;
  };
  Person person(const std::string& last_digits) {
    const auto r = register_phone("+49151234567" + last_digits);
    return {r.user, r.device};
  }
  template <class Expected>
  Expected as(const Person& who, decltype(wire::Request::body) body) {
    return ask<Expected>(call(std::move(body), who.user, who.device));
  }
  Code refused(const Person& who, decltype(wire::Request::body) body) {
    return as<wire::Error>(who, std::move(body)).code;
  }
  static GroupId id_of(const wire::Group& group) { return GroupId(group.address.user.value); }
  wire::Group create(const Person& who, std::vector<UserId> members, std::uint64_t key = crypto::random_u64() | 1,
                     wire::GroupSettings settings = {}) {
    return as<wire::Group>(who, wire::CreateGroup{key, "Choir", "", "", settings, std::move(members)});
  }
  wire::Group info(const Person& who, GroupId group) { return as<wire::Group>(who, wire::GetGroup{group}); }
  GroupRole role(const Person& asks, GroupId group, UserId user) {
    for (const auto& m : info(asks, group).members)
      if (m.user == user) return m.role;
    return GroupRole::none;
  }
  // Every event of the group that is not published, decoded, in order.
  std::vector<wire::GroupEvent> events(GroupId group) {
    storage::Groups groups = make_groups(*pool, config);
    std::vector<wire::GroupEvent> all;
    for (const auto& e : groups.unpublished(group, 100)) {
      const auto frame = wire::decode(*wire::split(e.frame));
      EXPECT_TRUE(frame);
      all.push_back(std::get<wire::GroupEvent>(*frame));
      EXPECT_EQ(all.back().version, e.version);
    }
    return all;
  }

  // Runs both at once, until each has had its answer.
  template <class A, class B>
  static void at_once(A a, B b) {
    std::thread other(b);
    a();
    other.join();
  }

  Person alice, bob, carol, dora;
  void SetUp() override {
    DirectoryTest::SetUp();
    alice = person("80"), bob = person("81"), carol = person("82"), dora = person("83");
  }
};

TEST_F(Groups, ANewGroupHasAnAddressAnOwnerAndItsMembers) {
  const auto group = create(alice, {bob.user, carol.user});
  EXPECT_EQ(group.version, 1U);
  EXPECT_EQ(group.address.device, DeviceId(0));
  EXPECT_EQ(group.address.tag, token::address_tag(group.address.user, DeviceId(0), secrets.address));
  EXPECT_EQ(group.members.size(), 3U);
  EXPECT_EQ(role(bob, id_of(group), alice.user), GroupRole::owner);
  EXPECT_EQ(role(bob, id_of(group), bob.user), GroupRole::member);
  const auto told = events(id_of(group));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, wire::GroupEventKind::created);
  EXPECT_EQ(told[0].actor, alice.user);
  EXPECT_EQ(told[0].users, (std::vector{alice.user, bob.user, carol.user}));
  EXPECT_EQ(told[0].devices.size(), 3U);
  EXPECT_EQ(told[0].name, "Choir");
}

TEST_F(Groups, TheSameRequestAgainGivesTheSameGroup) {
  const auto first = create(alice, {bob.user}, 7), again = create(alice, {bob.user}, 7), other = create(bob, {}, 7);
  EXPECT_EQ(first.address.user, again.address.user);
  EXPECT_NE(first.address.user, other.address.user);
  EXPECT_EQ(events(id_of(first)).size(), 1U);
  EXPECT_EQ(refused(alice, wire::CreateGroup{0, "Choir", "", "", {}, {}}), Code::invalid_argument);
}

TEST_F(Groups, CreatedTwiceAtOnceThereIsOne) {
  wire::Group a, b;
  at_once([&] { a = create(alice, {bob.user}, 9); }, [&] { b = create(alice, {bob.user}, 9); });
  EXPECT_EQ(a.address.user, b.address.user);
  EXPECT_EQ(as<wire::GroupList>(alice, wire::ListGroups{}).groups.size(), 1U);
}

TEST_F(Groups, NobodyOutsideLearnsAnythingOfAGroup) {
  const GroupId group = id_of(create(alice, {bob.user}));
  const GroupId nowhere(12'345);
  for (const GroupId g : {group, nowhere}) {
    EXPECT_EQ(refused(carol, wire::GetGroup{g}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::AddMembers{g, {carol.user}}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::RemoveMembers{g, {bob.user}}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::SetRole{g, carol.user, GroupRole::owner}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::EditGroup{g, 0, "Mine", {}, {}, {}}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::LeaveGroup{g, {}}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::DeleteGroup{g}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::GroupInvite{g, wire::InviteAction::create}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::ListJoinRequests{g}), Code::not_member);
    EXPECT_EQ(refused(carol, wire::AnswerJoinRequest{g, carol.user, true}), Code::not_member);
  }
  EXPECT_EQ(refused({}, wire::GetGroup{group}), Code::not_allowed);  // not logged in
  EXPECT_EQ(events(group).size(), 1U);
}

TEST_F(Groups, MembersMayNotWhatAdminsMay) {
  const GroupId group = id_of(create(alice, {bob.user, carol.user}));
  EXPECT_EQ(refused(bob, wire::AddMembers{group, {dora.user}}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::RemoveMembers{group, {carol.user}}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::SetRole{group, bob.user, GroupRole::admin}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::DeleteGroup{group}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::GroupInvite{group, wire::InviteAction::create}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::GroupInvite{group, wire::InviteAction::show}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::EditGroup{group, 0, {}, {}, {}, wire::GroupSettings{true, true, true}}),
            Code::not_allowed);
  as<wire::GroupChanged>(bob, wire::EditGroup{group, 0, "Choir 2", {}, {}, {}});
  as<wire::GroupChanged>(alice, wire::EditGroup{group, 0, {}, {}, {}, wire::GroupSettings{false, true, false}});
  EXPECT_EQ(refused(bob, wire::EditGroup{group, 0, "Choir 3", {}, {}, {}}), Code::not_allowed);
  EXPECT_EQ(info(bob, group).name, "Choir 2");
}

TEST_F(Groups, AdminsStayBelowOwners) {
  const GroupId group = id_of(create(alice, {bob.user, carol.user}));
  as<wire::GroupChanged>(alice, wire::SetRole{group, bob.user, GroupRole::admin});
  EXPECT_EQ(refused(bob, wire::SetRole{group, alice.user, GroupRole::member}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::SetRole{group, bob.user, GroupRole::owner}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::RemoveMembers{group, {alice.user}}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::RemoveMembers{group, {carol.user, alice.user}}), Code::not_allowed);
  EXPECT_EQ(role(alice, group, carol.user), GroupRole::member);  // all or nobody
  EXPECT_EQ(refused(bob, wire::SetRole{group, dora.user, GroupRole::admin}), Code::not_found);
  EXPECT_EQ(refused(alice, wire::SetRole{group, bob.user, GroupRole::none}), Code::invalid_argument);
  as<wire::GroupChanged>(bob, wire::SetRole{group, carol.user, GroupRole::admin});
  as<wire::GroupChanged>(bob, wire::RemoveMembers{group, {carol.user}});
}

TEST_F(Groups, TheLastOwnerNeedsASuccessor) {
  const GroupId group = id_of(create(alice, {bob.user}));
  EXPECT_EQ(refused(alice, wire::SetRole{group, alice.user, GroupRole::member}), Code::not_allowed);
  EXPECT_EQ(refused(alice, wire::LeaveGroup{group, {}}), Code::not_allowed);
  EXPECT_EQ(refused(alice, wire::LeaveGroup{group, carol.user}), Code::not_found);
  EXPECT_EQ(refused(alice, wire::LeaveGroup{group, alice.user}), Code::not_found);
  EXPECT_EQ(refused(bob, wire::LeaveGroup{group, alice.user}), Code::not_allowed);  // names nobody
  const auto left = as<wire::GroupChanged>(alice, wire::LeaveGroup{group, bob.user});
  EXPECT_EQ(left.version, 3U);
  EXPECT_EQ(role(bob, group, bob.user), GroupRole::owner);
  EXPECT_EQ(refused(alice, wire::GetGroup{group}), Code::not_member);
  EXPECT_EQ(as<wire::GroupChanged>(alice, wire::LeaveGroup{group, {}}).version, 3U);  // again is fine
  const auto told = events(group);
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[1].kind, wire::GroupEventKind::role_changed);
  EXPECT_EQ(told[2].kind, wire::GroupEventKind::member_left);
}

TEST_F(Groups, TheLastWhoLeavesEndsTheGroup) {
  const GroupId group = id_of(create(alice, {}));
  as<wire::GroupChanged>(alice, wire::LeaveGroup{group, {}});
  EXPECT_EQ(events(group).back().kind, wire::GroupEventKind::deleted);
  EXPECT_EQ(refused(alice, wire::GetGroup{group}), Code::not_member);
}

TEST_F(Groups, TwoAdminsWhoDemoteEachOtherLeaveOne) {
  for (std::uint64_t round = 1; round <= 10; ++round) {
    const GroupId group = id_of(create(alice, {bob.user, carol.user}, round));
    as<wire::GroupChanged>(alice, wire::SetRole{group, bob.user, GroupRole::admin});
    as<wire::GroupChanged>(alice, wire::SetRole{group, carol.user, GroupRole::admin});
    wire::Response one, two;
    at_once(
        [&] {
          one = directory->answer(call(wire::SetRole{group, carol.user, GroupRole::member}, bob.user, bob.device));
        },
        [&] {
          two = directory->answer(call(wire::SetRole{group, bob.user, GroupRole::member}, carol.user, carol.device));
        });
    const bool first = std::holds_alternative<wire::GroupChanged>(one.body);
    EXPECT_NE(first, std::holds_alternative<wire::GroupChanged>(two.body));
    EXPECT_EQ(std::get<wire::Error>(first ? two.body : one.body).code, Code::not_allowed);
    EXPECT_EQ(role(alice, group, first ? bob.user : carol.user), GroupRole::admin);
  }
}

TEST_F(Groups, TwoOwnersWhoDemoteEachOtherLeaveOne) {
  for (std::uint64_t round = 1; round <= 10; ++round) {
    const GroupId group = id_of(create(alice, {bob.user, carol.user}, round));
    as<wire::GroupChanged>(alice, wire::SetRole{group, bob.user, GroupRole::owner});
    at_once(
        [&] {
          directory->answer(call(wire::SetRole{group, bob.user, GroupRole::member}, alice.user, alice.device));
        },
        [&] {
          directory->answer(call(wire::LeaveGroup{group, {}}, bob.user, bob.device));
        });
    std::size_t owners = 0;
    for (const auto& m : info(carol, group).members) owners += m.role == GroupRole::owner ? 1 : 0;
    EXPECT_EQ(owners, 1U);
  }
}

TEST_F(Groups, ConcurrentAddsAndRemovesMakeOneVersionEach) {
  const GroupId group = id_of(create(alice, {bob.user}));
  for (int round = 0; round < 10; ++round) {
    at_once(
        [&] {
          as<wire::GroupChanged>(alice, wire::AddMembers{group, {carol.user, dora.user}});
        },
        [&] {
          as<wire::GroupChanged>(alice, wire::AddMembers{group, {dora.user, carol.user}});
        });
    EXPECT_EQ(info(alice, group).members.size(), 4U);
    at_once(
        [&] {
          as<wire::GroupChanged>(alice, wire::RemoveMembers{group, {carol.user, dora.user}});
        },
        [&] {
          as<wire::GroupChanged>(alice, wire::RemoveMembers{group, {dora.user}});
        });
    EXPECT_EQ(info(alice, group).members.size(), 2U);
  }
  std::uint64_t version = 0;
  for (const auto& e : events(group)) EXPECT_EQ(e.version, ++version);
  EXPECT_EQ(info(alice, group).version, version);
  EXPECT_LE(version, 41U);
}

TEST_F(Groups, SomebodyWhoBlockedTheOneWhoAddsIsSkippedWithoutAReason) {
  as<wire::Done>(bob, wire::Block{alice.user});
  const auto group = create(alice, {bob.user, carol.user, UserId(404)});
  EXPECT_EQ(group.members.size(), 2U);
  const auto changed =
      as<wire::GroupChanged>(alice, wire::AddMembers{id_of(group), {bob.user, UserId(404), dora.user}});
  EXPECT_EQ(changed.skipped, (std::vector{bob.user, UserId(404)}));
  EXPECT_EQ(changed.version, 2U);
  const auto again = as<wire::GroupChanged>(alice, wire::AddMembers{id_of(group), {dora.user, bob.user}});
  EXPECT_EQ(again.version, 2U);
  EXPECT_EQ(again.skipped, std::vector{bob.user});
}

TEST_F(Groups, AFullGroupTakesNobodyAndAddsAllOrNobody) {
  config.group_members_max = 3;
  DirectoryTest::SetUp();
  alice = person("80"), bob = person("81"), carol = person("82"), dora = person("83");
  EXPECT_EQ(refused(alice, wire::CreateGroup{1, "Big", "", "", {}, {bob.user, carol.user, dora.user}}),
            Code::group_full);
  const GroupId group = id_of(create(alice, {bob.user}));
  const auto invite = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  EXPECT_EQ(refused(alice, wire::AddMembers{group, {carol.user, dora.user}}), Code::group_full);
  EXPECT_EQ(info(alice, group).members.size(), 2U);
  as<wire::GroupChanged>(alice, wire::AddMembers{group, {carol.user}});
  EXPECT_EQ(refused(dora, wire::JoinByInvite{invite.token}), Code::group_full);
  EXPECT_EQ(refused(alice, wire::AddMembers{group, {dora.user}}), Code::group_full);
}

TEST_F(Groups, OneMayBeInSoManyGroups) {
  config.groups_per_user = 2;
  DirectoryTest::SetUp();
  alice = person("80"), bob = person("81");
  const GroupId first = id_of(create(alice, {bob.user}));
  create(alice, {});
  EXPECT_EQ(refused(alice, wire::CreateGroup{3, "Third", "", "", {}, {}}), Code::quota_exceeded);
  as<wire::GroupChanged>(alice, wire::LeaveGroup{first, bob.user});
  create(alice, {});
}

TEST_F(Groups, AnEditForAnotherVersionIsAConflictAndTheSameEditAgainIsNot) {
  const GroupId group = id_of(create(alice, {bob.user}));
  EXPECT_EQ(as<wire::GroupChanged>(alice, wire::EditGroup{group, 1, "Choir 2", {}, {}, {}}).version, 2U);
  EXPECT_EQ(refused(bob, wire::EditGroup{group, 1, "Choir B", {}, {}, {}}), Code::version_conflict);
  EXPECT_EQ(as<wire::GroupChanged>(alice, wire::EditGroup{group, 1, "Choir 2", {}, {}, {}}).version, 2U);
  EXPECT_EQ(refused(alice, wire::EditGroup{group, 0, " ", {}, {}, {}}), Code::invalid_argument);
  EXPECT_EQ(refused(alice, wire::EditGroup{group, 0, "two\nlines", {}, {}, {}}), Code::invalid_argument);
}

TEST_F(Groups, AGroupDeletedInUseIsGoneForAll) {
  const GroupId group = id_of(create(alice, {bob.user, carol.user}));
  const auto invite = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  const auto ended = as<wire::GroupChanged>(alice, wire::DeleteGroup{group});
  EXPECT_EQ(as<wire::GroupChanged>(alice, wire::DeleteGroup{group}).version, ended.version);
  EXPECT_EQ(refused(bob, wire::GetGroup{group}), Code::not_member);
  EXPECT_EQ(refused(alice, wire::AddMembers{group, {dora.user}}), Code::not_member);
  EXPECT_EQ(refused(dora, wire::JoinByInvite{invite.token}), Code::not_found);
  EXPECT_TRUE(as<wire::GroupList>(bob, wire::ListGroups{}).groups.empty());
  EXPECT_EQ(events(group).back().kind, wire::GroupEventKind::deleted);
}

TEST_F(Groups, AnInviteLetsInUntilItIsRevokedOrReplaced) {
  const GroupId group = id_of(create(alice, {bob.user}));
  EXPECT_EQ(refused(alice, wire::GroupInvite{group, wire::InviteAction::show}), Code::not_found);
  const auto first = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  EXPECT_EQ(as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::show}).token, first.token);
  EXPECT_EQ(as<wire::Group>(carol, wire::JoinByInvite{first.token}).members.size(), 3U);
  EXPECT_EQ(as<wire::Group>(carol, wire::JoinByInvite{first.token}).members.size(), 3U);  // again is fine
  EXPECT_EQ(events(group).back().actor, carol.user);
  const auto second = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  EXPECT_NE(second.token, first.token);
  EXPECT_EQ(refused(dora, wire::JoinByInvite{first.token}), Code::not_found);
  as<wire::Done>(alice, wire::GroupInvite{group, wire::InviteAction::revoke});
  as<wire::Done>(alice, wire::GroupInvite{group, wire::InviteAction::revoke});
  EXPECT_EQ(refused(dora, wire::JoinByInvite{second.token}), Code::not_found);
}

TEST_F(Groups, GuessedInvitesAreThrottledAndRightOnesAreNot) {
  const GroupId group = id_of(create(alice, {}));
  const auto invite = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  for (int i = 0; i < 10; ++i) as<wire::Group>(bob, wire::JoinByInvite{invite.token});
  std::string guess = invite.token;
  guess.back() = guess.back() == 'A' ? 'B' : 'A';
  EXPECT_EQ(refused(carol, wire::JoinByInvite{guess}), Code::not_found);
  EXPECT_EQ(refused(carol, wire::JoinByInvite{"nonsense"}), Code::not_found);
  EXPECT_EQ(refused(carol, wire::JoinByInvite{""}), Code::not_found);
  const auto throttled = as<wire::Error>(carol, wire::JoinByInvite{invite.token});
  EXPECT_EQ(throttled.code, Code::rate_limited);
  EXPECT_GT(throttled.retry_after_ms, 0U);
  now.value += 3'600'000;
  as<wire::Group>(carol, wire::JoinByInvite{invite.token});
}

TEST_F(Groups, WhatIsStoredOfAnInviteIsNoInvite) {
  const GroupId group = id_of(create(alice, {}));
  const auto invite = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  pool->transact("look for the token", [&](pqxx::transaction_base& work) {
    const std::string all = work.exec_params1("SELECT row_to_json(g)::text FROM groups g WHERE group_id = $1",
                                              static_cast<std::int64_t>(group.value))[0]
                                .as<std::string>();
    EXPECT_EQ(all.find(invite.token), std::string::npos);
  });
  secrets = test_secrets();  // the same table, another server's keys
  EXPECT_EQ(refused(bob, wire::JoinByInvite{invite.token}), Code::not_found);
}

TEST_F(Groups, WithApprovalAnAdminDecides) {
  const GroupId group = id_of(create(alice, {bob.user}, 5, {false, false, true}));
  const auto invite = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  as<wire::Done>(carol, wire::JoinByInvite{invite.token});
  as<wire::Done>(carol, wire::JoinByInvite{invite.token});
  as<wire::Done>(dora, wire::JoinByInvite{invite.token});
  EXPECT_EQ(refused(carol, wire::GetGroup{group}), Code::not_member);
  EXPECT_EQ(refused(bob, wire::ListJoinRequests{group}), Code::not_allowed);
  EXPECT_EQ(refused(bob, wire::AnswerJoinRequest{group, carol.user, true}), Code::not_allowed);
  EXPECT_EQ(as<wire::JoinRequestList>(alice, wire::ListJoinRequests{group}).requests.size(), 2U);
  as<wire::GroupChanged>(alice, wire::AnswerJoinRequest{group, carol.user, true});
  as<wire::GroupChanged>(alice, wire::AnswerJoinRequest{group, carol.user, true});  // again is fine
  as<wire::GroupChanged>(alice, wire::AnswerJoinRequest{group, dora.user, false});
  EXPECT_EQ(refused(alice, wire::AnswerJoinRequest{group, dora.user, true}), Code::not_found);
  EXPECT_EQ(info(carol, group).members.size(), 3U);
  EXPECT_TRUE(as<wire::JoinRequestList>(alice, wire::ListJoinRequests{group}).requests.empty());
}

TEST_F(Groups, WhoWasRemovedComesBackOnlyWithAnAdmin) {
  const GroupId group = id_of(create(alice, {bob.user}));
  const auto invite = as<wire::Invite>(alice, wire::GroupInvite{group, wire::InviteAction::create});
  as<wire::GroupChanged>(alice, wire::RemoveMembers{group, {bob.user}});
  as<wire::Done>(bob, wire::JoinByInvite{invite.token});  // waits
  EXPECT_EQ(refused(bob, wire::GetGroup{group}), Code::not_member);
  as<wire::GroupChanged>(alice, wire::AnswerJoinRequest{group, bob.user, true});
  EXPECT_EQ(info(bob, group).members.size(), 2U);
}

TEST_F(Groups, ANewDeviceIsAChangeOfEveryGroupOfItsUser) {
  const GroupId first = id_of(create(alice, {bob.user})), second = id_of(create(alice, {bob.user})),
                other = id_of(create(alice, {carol.user}));
  const auto fresh = person("81");
  EXPECT_EQ(fresh.user, bob.user);
  for (const GroupId group : {first, second}) {
    const auto told = events(group);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[1].kind, wire::GroupEventKind::devices_changed);
    EXPECT_EQ(told[1].users, std::vector{bob.user});
    EXPECT_EQ(told[1].devices, (std::vector{wire::GroupDevice{bob.user, fresh.device}}));
  }
  EXPECT_EQ(events(other).size(), 1U);
  as<wire::Done>(fresh, wire::RevokeDevice{fresh.device});
  EXPECT_TRUE(events(first).back().devices.empty());
  EXPECT_EQ(events(first).back().version, 3U);
}

TEST_F(Groups, AnAnswerWaitsForTheEventAndTheChangeIsNotLost) {
  publish = [](GroupId) { throw std::runtime_error("the broker is away"); };
  const auto error = as<wire::Error>(alice, wire::CreateGroup{11, "Choir", "", "", {}, {bob.user}});
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_GT(error.retry_after_ms, 0U);
  publish = [](GroupId) {};
  const auto group = create(alice, {bob.user}, 11);
  EXPECT_EQ(group.version, 1U);
  EXPECT_EQ(as<wire::GroupList>(alice, wire::ListGroups{}).groups.size(), 1U);
}

TEST_F(Groups, AreListedInPages) {
  std::vector<std::uint64_t> made;
  for (std::size_t i = 0; i < limits::kGroupsPageMax + 2; ++i) made.push_back(create(alice, {}).address.user.value);
  std::sort(made.begin(), made.end());
  const auto page = as<wire::GroupList>(alice, wire::ListGroups{});
  ASSERT_EQ(page.groups.size(), limits::kGroupsPageMax);
  EXPECT_TRUE(page.more);
  const auto rest = as<wire::GroupList>(alice, wire::ListGroups{GroupId(page.groups.back().address.user.value)});
  EXPECT_EQ(rest.groups.size(), 2U);
  EXPECT_FALSE(rest.more);
  for (std::size_t i = 0; i < made.size(); ++i)
    EXPECT_EQ((i < page.groups.size() ? page.groups[i] : rest.groups[i - page.groups.size()]).address.user.value,
              made[i]);
}

TEST_F(Groups, EveryQuestionThatIsAskedOftenHasAnIndex) {
  pool->transact("explain", [&](pqxx::transaction_base& work) {
    work.exec("SET LOCAL enable_seqscan = off");
    for (const char* query :
         {"SELECT role FROM group_members WHERE group_id = 1 AND user_id = 2 AND left_version IS NULL",
          "SELECT group_id FROM group_members WHERE user_id = 2 AND left_version IS NULL AND group_id > 7",
          "SELECT version FROM group_events WHERE group_id = 1 AND published_seq IS NULL ORDER BY version",
          "SELECT DISTINCT group_id FROM group_events WHERE published_seq IS NULL ORDER BY group_id LIMIT 5",
          "SELECT version FROM group_events WHERE group_id = 1 AND published_seq IS NOT NULL ORDER BY version DESC "
          "LIMIT 1",
          "SELECT 1 FROM group_events WHERE at_ms < 5 AND published_seq IS NOT NULL",
          "SELECT group_id FROM groups WHERE creator_id = 1 AND creator_key = 2",
          "SELECT user_id FROM group_join_requests WHERE group_id = 1",
          "SELECT group_id FROM group_device_changes WHERE user_id = 1"}) {
      std::string plan;
      for (const auto& row : work.exec(std::string("EXPLAIN ") + query)) plan += row[0].as<std::string>() + "\n";
      EXPECT_EQ(plan.find("Seq Scan"), std::string::npos) << query << "\n" << plan;
    }
  });
}

}  // namespace
}  // namespace barid::directory
