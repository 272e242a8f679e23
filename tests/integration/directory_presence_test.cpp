// Who may see whom, on a real Postgres.
#include <random>

#include "storage/presence.h"
#include "tests/integration/directory_harness.h"

namespace barid::directory {
namespace {

using storage::ProjectionKind;
using wire::Audience;
using wire::Code;

class DirectoryPresence : public DirectoryTest {
 protected:
  void SetUp() override {
    DirectoryTest::SetUp();
    alice = register_phone("+4915112345601"), bob = register_phone("+4915112345602");
    projected.clear();
  }
  storage::PresenceRights rights(const wire::Registered& watched, const wire::Registered& watcher) {
    return storage::Presence(*pool).rights({{watched.user, watcher.user}}).at(0);
  }
  void set(const wire::Registered& who, Audience last_seen, Audience online) {
    ask<wire::Done>(call(wire::SetPrivacy{{last_seen, online}}, who.user, who.device));
  }
  void contact(const wire::Registered& of, const wire::Registered& who, bool is) {
    wire::EditContacts edit;
    (is ? edit.add : edit.remove).push_back(who.user);
    ask<wire::Done>(call(edit, of.user, of.device));
  }
  wire::Registered alice, bob;
};

TEST_F(DirectoryPresence, SettingsAreEveryoneAtFirstAndStayAsTheyAreSet) {
  EXPECT_EQ(ask<wire::Privacy>(call(wire::GetPrivacy{}, alice.user, alice.device)), wire::Privacy{});
  set(alice, Audience::contacts, Audience::nobody);
  EXPECT_EQ(ask<wire::Privacy>(call(wire::GetPrivacy{}, alice.user, alice.device)),
            (wire::Privacy{Audience::contacts, Audience::nobody}));
  ASSERT_EQ(projected.size(), 1U);
  EXPECT_EQ(projected[0], (storage::Change{ProjectionKind::presence, alice.user.value}));
  EXPECT_EQ(refusal(call(wire::GetPrivacy{})).code, Code::not_allowed);
}

TEST_F(DirectoryPresence, OneSeesWhatOneShows) {
  EXPECT_TRUE(rights(alice, bob).online && rights(alice, bob).last_seen);
  set(alice, Audience::everyone, Audience::nobody);
  EXPECT_FALSE(rights(alice, bob).online);
  EXPECT_FALSE(rights(bob, alice).online);
  EXPECT_TRUE(rights(alice, bob).last_seen && rights(bob, alice).last_seen);
  set(alice, Audience::nobody, Audience::everyone);
  EXPECT_TRUE(rights(alice, bob).online);
  EXPECT_FALSE(rights(alice, bob).last_seen || rights(bob, alice).last_seen);
}

TEST_F(DirectoryPresence, ContactsAreThoseOfTheOneWhoIsSeen) {
  set(alice, Audience::contacts, Audience::contacts);
  EXPECT_FALSE(rights(alice, bob).online);
  contact(bob, alice, true);  // that Bob knows Alice does not let him see her
  EXPECT_FALSE(rights(alice, bob).online);
  contact(alice, bob, true), contact(alice, bob, true);
  EXPECT_TRUE(rights(alice, bob).online && rights(alice, bob).last_seen && rights(bob, alice).online);
  contact(alice, bob, false), contact(alice, bob, false);
  EXPECT_FALSE(rights(alice, bob).online);
  ask<wire::Done>(call(wire::EditContacts{{UserId(12345)}, {}}, alice.user, alice.device));  // nobody: left out
}

TEST_F(DirectoryPresence, BlocksHideBothWaysAndUnknownUsersAreHidden) {
  ask<wire::Done>(call(wire::Block{bob.user}, alice.user, alice.device));
  for (const auto& r : {rights(alice, bob), rights(bob, alice)}) {
    EXPECT_TRUE(r.blocked);
    EXPECT_FALSE(r.online || r.last_seen);
  }
  ask<wire::Done>(call(wire::Unblock{bob.user}, alice.user, alice.device));
  EXPECT_FALSE(rights(alice, bob).blocked);
  wire::Registered nobody;
  nobody.user = UserId(12345);
  EXPECT_FALSE(rights(nobody, bob).online);
}

TEST_F(DirectoryPresence, ABatchOfLastSeenTimesIsOneStatementAndTheLaterTimeStands) {
  storage::Presence presence(*pool);
  presence.write_last_seen(
      {{alice.user, WallMs{50}}, {bob.user, WallMs{60}}, {alice.user, WallMs{70}}, {UserId(12345), WallMs{80}}});
  presence.write_last_seen({{alice.user, WallMs{65}}});
  EXPECT_EQ(rights(alice, bob).last_seen_ms, 70);
  EXPECT_EQ(rights(bob, alice).last_seen_ms, 60);
  set(alice, Audience::nobody, Audience::everyone);
  EXPECT_EQ(rights(alice, bob).last_seen_ms, 0);
}

TEST_F(DirectoryPresence, ManyPairsAreAnsweredInTheirOrder) {
  set(alice, Audience::everyone, Audience::nobody);
  std::vector<storage::Presence::Pair> pairs;
  for (std::size_t i = 0; i < limits::kPresencePairsMax; ++i)
    pairs.push_back(i % 3 == 0 ? storage::Presence::Pair{alice.user, bob.user}
                               : storage::Presence::Pair{bob.user, UserId(i + 1)});
  const auto all = storage::Presence(*pool).rights(pairs);
  ASSERT_EQ(all.size(), pairs.size());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].online, i % 3 != 0);
}

}  // namespace
}  // namespace barid::directory
