// Who may do what in a group, as a table.
#include <gtest/gtest.h>

#include "storage/group_rules.h"

namespace barid::storage {
namespace {

using Role = GroupRole;

TEST(GroupRules, OwnersSetEveryRoleAndAdminsThoseBelow) {
  for (const Role target : {Role::member, Role::admin, Role::owner})
    for (const Role wanted : {Role::member, Role::admin, Role::owner}) {
      EXPECT_EQ(objection_to_role(Role::owner, target, wanted, 2), std::nullopt);
      EXPECT_EQ(objection_to_role(Role::member, target, wanted, 2), GroupErrc::not_allowed);
      const bool below = target != Role::owner && wanted != Role::owner;
      EXPECT_EQ(objection_to_role(Role::admin, target, wanted, 2).has_value(), !below);
    }
  EXPECT_EQ(objection_to_role(Role::owner, Role::none, Role::admin, 1), GroupErrc::no_such_member);
  EXPECT_EQ(objection_to_role(Role::owner, Role::member, Role::none, 1), GroupErrc::invalid);
  EXPECT_EQ(objection_to_role(Role::owner, Role::member, static_cast<Role>(9), 1), GroupErrc::invalid);
}

TEST(GroupRules, TheLastOwnerStaysOne) {
  EXPECT_EQ(objection_to_role(Role::owner, Role::owner, Role::admin, 1), GroupErrc::last_owner);
  EXPECT_EQ(objection_to_role(Role::owner, Role::owner, Role::owner, 1), std::nullopt);
  EXPECT_EQ(objection_to_leaving(Role::owner, 1, 2, false), GroupErrc::last_owner);
  EXPECT_EQ(objection_to_leaving(Role::owner, 1, 2, true), std::nullopt);
  EXPECT_EQ(objection_to_leaving(Role::owner, 2, 2, false), std::nullopt);
  EXPECT_EQ(objection_to_leaving(Role::owner, 1, 1, false), std::nullopt);  // alone
  EXPECT_EQ(objection_to_leaving(Role::admin, 1, 2, false), std::nullopt);
  EXPECT_EQ(objection_to_leaving(Role::admin, 1, 2, true), GroupErrc::not_allowed);
  EXPECT_EQ(objection_to_leaving(Role::none, 1, 2, false), GroupErrc::not_member);
}

TEST(GroupRules, NobodyRemovesSomebodyAbove) {
  EXPECT_FALSE(may_remove(Role::member, Role::member));
  EXPECT_TRUE(may_remove(Role::admin, Role::member));
  EXPECT_TRUE(may_remove(Role::admin, Role::admin));
  EXPECT_FALSE(may_remove(Role::admin, Role::owner));
  EXPECT_TRUE(may_remove(Role::owner, Role::owner));
}

TEST(GroupRules, EditingIsForAllUnlessTheGroupSaysOtherwise) {
  EXPECT_TRUE(may_edit_info(Role::member, {}));
  EXPECT_FALSE(may_edit_info(Role::member, {false, true, false}));
  EXPECT_TRUE(may_edit_info(Role::admin, {false, true, false}));
  EXPECT_FALSE(may_edit_info(Role::none, {}));
}

TEST(GroupRules, ANameIsOneLineOfAtMostAHundredCharacters) {
  EXPECT_EQ(objection_to_name("Chœur"), "");
  EXPECT_NE(objection_to_name(""), "");
  EXPECT_NE(objection_to_name("   "), "");
  EXPECT_NE(objection_to_name("two\nlines"), "");
  EXPECT_NE(objection_to_name("\x7f"), "");
  std::string hundred;
  for (int i = 0; i < 100; ++i) hundred += "é";
  EXPECT_EQ(objection_to_name(hundred), "");
  EXPECT_NE(objection_to_name(hundred + "e"), "");
}

}  // namespace
}  // namespace barid::storage
