// What people read about groups.
#include "client/cli/groups.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "client/cli/chat_view.h"
#include "client/cli/render.h"
#include "schemas/content.h"

namespace barid::cli {
namespace {

constexpr UserId kMe{1}, kBob{2}, kStranger{3};
constexpr GroupId kChoir{500};

class GroupText : public testing::Test {
 protected:
  GroupText() : store(":memory:") {
    crypto::init_crypto();
    client::Account me;
    me.user = kMe;
    store.save_account(me);
    store.learn(store.add_contact("Bob", "+491512222222")->id, {"+491512222222", kBob, {}});
    choir = known_group(kChoir, "Choir");
  }
  client::PeerId known_group(GroupId id, const std::string& name) {
    wire::Group g;
    g.address = {UserId(id.value), DeviceId(0), 9};
    g.version = 1, g.name = name;
    g.members = {{kMe, wire::GroupRole::owner}, {kBob, wire::GroupRole::member}};
    store.set_group(g);
    return store.group(id)->peer;
  }
  std::string said(wire::GroupEventKind kind, UserId actor, std::vector<UserId> users = {},
                   wire::GroupRole role = wire::GroupRole::none) {
    return note_text(store, {1, kChoir, 2, kind, role, actor, std::move(users), 3});
  }
  std::string failure(const std::function<void()>& run) {
    try {
      run();
    } catch (const Failure& f) {
      return f.what();
    }
    return "nothing failed";
  }
  client::SqliteStore store;
  client::PeerId choir;
};

TEST_F(GroupText, SaysWhoDidWhatToWhom) {
  using Kind = wire::GroupEventKind;
  const std::string stranger = "user:0000000000000003";
  EXPECT_EQ(said(Kind::created, kBob, {kBob, kMe}), "Bob created the group");
  EXPECT_EQ(said(Kind::members_added, kBob, {kMe, kStranger}), "Bob added you, " + stranger);
  EXPECT_EQ(said(Kind::members_added, kBob, {kBob}), "Bob joined");
  EXPECT_EQ(said(Kind::members_removed, kMe, {kBob}), "you removed Bob");
  EXPECT_EQ(said(Kind::role_changed, kBob, {kMe}, wire::GroupRole::admin), "Bob made you admin");
  EXPECT_EQ(said(Kind::member_left, kStranger), stranger + " left");
  EXPECT_EQ(said(Kind::members_added, kBob, std::vector<UserId>(7, kMe)),
            "Bob added you, you, you, you, you and 2 more");
}

TEST_F(GroupText, ANoteIsOneJsonObject) {
  const auto note = nlohmann::json::parse(
      note_json(store, {1, kChoir, 2, wire::GroupEventKind::members_removed, {}, kBob, {kStranger}, 3}));
  EXPECT_EQ(note["event"], "membersRemoved");
  EXPECT_EQ(note["name"], "Choir");
  EXPECT_EQ(note["users"][0], "0000000000000003");
}

TEST_F(GroupText, ProgressIsSaidOnceSomebodyHasIt) {
  client::Message m;
  EXPECT_EQ(progress_text(m), "");
  m.recipients = 5;
  EXPECT_EQ(progress_text(m), "");
  m.got = 3;
  EXPECT_EQ(progress_text(m), "delivered to 3 of 5");
  m.seen = 2;
  EXPECT_EQ(progress_text(m), "delivered to 3 of 5, read by 2 of 5");
  m.incoming = true;
  EXPECT_EQ(progress_text(m), "");
}

TEST_F(GroupText, AConversationIsFoundByItsName) {
  EXPECT_EQ(find_conversation(store, "bob", false).user, kBob);
  EXPECT_EQ(find_conversation(store, "choir", false).id, choir);
  EXPECT_EQ(find_conversation(store, "group:00000000000001f4", false).id, choir);
  EXPECT_NE(failure([&] { find_conversation(store, "Bob", true); }).find("no group \"Bob\""), std::string::npos);
  EXPECT_NE(failure([&] { find_conversation(store, "Nobody", false); }).find("no contact"), std::string::npos);
  const auto other = known_group(GroupId(501), "Bob");  // a group that is called like a contact
  EXPECT_EQ(find_conversation(store, "Bob", false).user, kBob);
  EXPECT_EQ(find_conversation(store, "Bob", true).id, other);
  known_group(GroupId(502), "choir");
  EXPECT_NE(failure([&] { find_group(store, "Choir"); }).find("there are 2 groups"), std::string::npos);
}

TEST_F(GroupText, TheChatNamesAuthorsAndCountsWhoHasIt) {
  client::Message m;
  m.content = content::encode(content::Text{"hello"}).value();
  m.incoming = true;
  EXPECT_NE(lay_message(m, 60, "Bob").front().find("Bob"), std::string::npos);
  EXPECT_EQ(lay_message(m, 60).front().find("Bob"), std::string::npos);
  m.incoming = false;
  m.recipients = 2, m.got = 1;
  EXPECT_NE(lay_message(m, 60).back().find("delivered to 1 of 2"), std::string::npos);
}

TEST_F(GroupText, JsonOfAGroupsMessageNamesGroupAndAuthor) {
  client::Message m;
  m.peer = choir, m.incoming = true, m.author = kBob;
  m.content = content::encode(content::Text{"hello"}).value();
  const auto json = nlohmann::json::parse(message_json(m, *store.peer(choir), store.account(), "Bob"));
  EXPECT_EQ(json["from"], "Bob");
  EXPECT_EQ(json["group"], "00000000000001f4");
  EXPECT_EQ(json["group_name"], "Choir");
  EXPECT_EQ(json["user"], "0000000000000002");
}

}  // namespace
}  // namespace barid::cli
