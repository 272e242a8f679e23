// Groups in the local store and in a session: events once and in order, gaps, sends, gathered receipts.
#include <set>

#include "client_fixture.h"

namespace barid::client::test {
namespace {

using Kind = wire::GroupEventKind;
using Role = wire::GroupRole;
constexpr GroupId kChoir{500};
constexpr wire::Address kChoirAddress{UserId(500), DeviceId(0), 99};

wire::GroupEvent event(std::uint64_t version, Kind kind, UserId actor = kBob, std::vector<UserId> users = {}) {
  wire::GroupEvent e;
  e.group = kChoir, e.version = version, e.kind = kind, e.actor = actor, e.users = std::move(users);
  e.at_ms = static_cast<std::int64_t>(version);
  if (kind == Kind::created || kind == Kind::edited || kind == Kind::members_added) e.name = "Choir";
  return e;
}
wire::Group as_directory_says(std::uint64_t version, std::vector<UserId> members) {
  wire::Group g;
  g.address = kChoirAddress, g.version = version, g.name = "Choir";
  for (const UserId user : members) g.members.push_back({user, user == kBob ? Role::owner : Role::member});
  return g;
}

class GroupSession : public SessionTest {
 protected:
  // The group is known and whole: Bob, Carol and we.
  void know_choir(std::uint64_t version = 3) { db.set_group(as_directory_says(version, {kMe, kBob, kCarol})); }
  GroupState choir() { return db.group(kChoir).value(); }
  MessageRow write_to_choir(const std::string& text) { return write(text, choir().peer); }
  void gathered(wire::ReceiptKind kind, std::vector<UserId> users, std::vector<SeqRange> ranges) {
    give(wire::GroupReceipt{kChoir, kind, 7, {{std::move(users), std::move(ranges)}}});
  }
  std::vector<wire::Request> asked() { return said_only<wire::Request>(); }
};

TEST_F(GroupSession, AnEventIsAppliedOnceAndAcknowledgedEachTime) {
  know_choir();
  log_in();
  said();
  give(event(4, Kind::members_removed, kBob, {kCarol}));
  EXPECT_EQ(said_only<wire::Ack>().at(0).up_to, 1U);
  EXPECT_EQ(choir().version, 4U);
  EXPECT_EQ(choir().members.size(), 2U);
  give(event(5, Kind::members_added, kBob, {kCarol}));
  give(event(4, Kind::members_removed, kBob, {kCarol}));  // again, late
  EXPECT_EQ(said_only<wire::Ack>().back().up_to, 3U);
  EXPECT_EQ(choir().version, 5U);
  EXPECT_EQ(choir().members.size(), 3U);
  EXPECT_EQ(db.notes_of(kChoir, 10).size(), 2U);
}

// docs/adr/0013: events, read notices and membership may have been lost with the broker's store.
TEST_F(GroupSession, AnotherIncarnationAsksForTheGroupsAndFetchesTheChangedOnes) {
  const GroupId quiet(501), left(502);
  know_choir(3);
  for (const GroupId id : {quiet, left}) {
    auto g = as_directory_says(1, {kMe, kBob});
    g.address.user = UserId(id.value);
    db.set_group(g);
  }
  log_in(8, 100);
  for (const auto& request : asked()) EXPECT_FALSE(std::holds_alternative<wire::ListGroups>(request.body));
  lose();
  log_in(8, 101);
  auto requests = asked();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(std::get<wire::ListGroups>(requests[0].body).after, GroupId(0));
  wire::GroupList page{{{kChoirAddress, 5, "Choir", Role::member, 3}}, true};
  give(wire::Response{requests[0].id, page});
  requests = asked();  // the next page, and the choir, which has changed
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(std::get<wire::ListGroups>(requests[0].body).after, kChoir);
  EXPECT_EQ(std::get<wire::GetGroup>(requests[1].body).group, kChoir);
  page = {{{{UserId(quiet.value), DeviceId(0), 1}, 1, "Choir", Role::member, 2},
           {{UserId(600), DeviceId(0), 1}, 4, "New to us", Role::member, 2}},
          false};
  give(wire::Response{requests[0].id, page});
  requests = asked();  // the one that we did not know, and the one that we are perhaps not in any more
  std::set<std::uint64_t> fetched;
  for (const auto& request : requests) fetched.insert(std::get<wire::GetGroup>(request.body).group.value);
  EXPECT_EQ(fetched, (std::set<std::uint64_t>{502, 600}));
  lose();
  log_in(8, 101);
  for (const auto& request : asked()) EXPECT_FALSE(std::holds_alternative<wire::ListGroups>(request.body));
}

TEST_F(GroupSession, EveryKindOfEventChangesWhatItSays) {
  know_choir();
  log_in();
  auto roles = event(4, Kind::role_changed, kBob, {kMe});
  roles.role = Role::admin;
  give(roles);
  EXPECT_EQ(choir().role, Role::admin);
  auto edited = event(5, Kind::edited);
  edited.name = "Chœur", edited.description = "Mardi", edited.settings.only_admins_send = true;
  give(edited);
  EXPECT_EQ(choir().name, "Chœur");
  EXPECT_EQ(choir().description, "Mardi");
  EXPECT_TRUE(choir().settings.only_admins_send);
  give(event(6, Kind::member_left, kCarol));
  give(event(7, Kind::invite_changed));
  give(event(8, Kind::join_requested, kCarol));
  give(event(9, Kind::devices_changed, kBob, {kBob}));
  EXPECT_EQ(choir().version, 9U);
  EXPECT_EQ(choir().members.size(), 2U);
  give(event(10, Kind::deleted));
  EXPECT_EQ(choir().role, Role::none);
  EXPECT_TRUE(db.groups().empty());
  EXPECT_TRUE(asked().empty());  // nothing was missing
}

TEST_F(GroupSession, AGapIsClosedByAskingTheDirectory) {
  know_choir();
  log_in();
  said();
  give(event(6, Kind::members_added, kBob, {UserId(77)}));
  const auto requests = asked();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(std::get<wire::GetGroup>(requests[0].body).group, kChoir);
  give(wire::Response{requests[0].id, as_directory_says(6, {kMe, kBob, UserId(77)})});
  EXPECT_EQ(choir().version, 6U);
  EXPECT_EQ(choir().members.size(), 3U);
  give(event(7, Kind::member_left, UserId(77)));
  EXPECT_EQ(choir().members.size(), 2U);
  EXPECT_TRUE(asked().empty());
}

TEST_F(GroupSession, AnAnswerThatEventsHaveOvertakenIsAskedForAgain) {
  log_in();
  give(event(1, Kind::created, kBob, {kBob, kMe}));
  auto requests = asked();
  ASSERT_EQ(requests.size(), 1U);
  give(event(2, Kind::members_added, kBob, {kCarol}));
  EXPECT_TRUE(asked().empty());  // under way
  give(wire::Response{requests[0].id, as_directory_says(1, {kBob, kMe})});
  requests = asked();
  ASSERT_EQ(requests.size(), 1U);
  give(wire::Response{requests[0].id, as_directory_says(2, {kBob, kMe, kCarol})});
  EXPECT_TRUE(asked().empty());
  EXPECT_EQ(choir().members.size(), 3U);
}

TEST_F(GroupSession, RemovedMeansOutWhateverIsMissingAndAddedAgainMeansIn) {
  know_choir();
  log_in();
  give(event(9, Kind::members_removed, kBob, {kMe}));
  EXPECT_EQ(choir().role, Role::none);
  EXPECT_TRUE(asked().empty());
  give(event(12, Kind::members_added, kBob, {kMe}));
  const auto requests = asked();
  ASSERT_EQ(requests.size(), 1U);
  give(wire::Response{requests[0].id, as_directory_says(12, {kBob, kMe})});
  EXPECT_EQ(choir().role, Role::member);
  give(event(9, Kind::members_removed, kBob, {kMe}));  // repeated, late
  EXPECT_EQ(choir().role, Role::member);
}

TEST_F(GroupSession, AGroupThatTheDirectoryDoesNotShowUsIsLostAndNotAskedForAgain) {
  log_in();
  give(wire::Deliver{kBob, kBobDevice, 1, 1, 2, text_bytes("x"), kChoir});
  const auto row = write_to_choir("hello?");
  auto requests = asked();
  ASSERT_EQ(requests.size(), 1U);
  give(wire::Response{requests[0].id, wire::Error{wire::Code::not_member, 0, ""}});
  EXPECT_EQ(state(row), State::failed);
  EXPECT_EQ(db.message(row)->reason, wire::Code::not_member);
  EXPECT_TRUE(asked().empty());
}

TEST_F(GroupSession, AMessageIsOneSendToTheGroupsAddress) {
  know_choir();
  write_to_choir("before the session"), write("to Bob");
  log_in();
  const auto sends = said_only<wire::Send>();
  ASSERT_EQ(sends.size(), 2U);
  EXPECT_EQ(sends[0].kind, wire::SendKind::group);
  EXPECT_EQ(sends[0].to, kChoirAddress);
  EXPECT_EQ(sends[1].kind, wire::SendKind::message);
  EXPECT_EQ(seqs(sends), (std::vector<std::uint64_t>{1, 2}));
}

TEST_F(GroupSession, GoesBackAndResendsAsOneToOneDoes) {
  know_choir();
  log_in();
  const auto row = write_to_choir("a");
  write("b"), said();
  give(wire::Refused{1, wire::Code::broker_full, 1000, ""});
  pass(std::chrono::seconds(2));
  session.tick(now);
  EXPECT_EQ(seqs(said_only<wire::Send>()), (std::vector<std::uint64_t>{1, 2}));
  lose();
  log_in();
  EXPECT_EQ(seqs(said_only<wire::Send>()), (std::vector<std::uint64_t>{1, 2}));
  give(wire::Accepted{{{1, 2}}});
  EXPECT_EQ(state(row), State::accepted);
  lose();
  log_in(8, 2);  // the server's storage was replaced
  EXPECT_EQ(seqs(said_only<wire::Send>()), (std::vector<std::uint64_t>{1, 2}));
}

TEST_F(GroupSession, AMessageWaitsUntilItsGroupIsKnown) {
  log_in();
  give(event(1, Kind::created, kBob, {kBob, kMe}));
  const auto row = write_to_choir("hello");
  const auto requests = asked();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(state(row), State::queued);
  give(wire::Response{requests[0].id, as_directory_says(1, {kBob, kMe})});
  EXPECT_EQ(said_only<wire::Send>().at(0).to, kChoirAddress);
}

TEST_F(GroupSession, ReceiptsAreCountedByMember) {
  know_choir();
  log_in();
  const auto row = write_to_choir("a");
  give(wire::Accepted{{{1, 1}}});
  EXPECT_EQ(db.message(row)->recipients, 2U);
  gathered(wire::ReceiptKind::delivered, {kBob}, {{1, 1}});
  EXPECT_EQ(db.message(row)->got, 1U);
  EXPECT_EQ(state(row), State::accepted);
  gathered(wire::ReceiptKind::delivered, {kBob, kMe}, {{1, 1}});  // again, and our own other device
  EXPECT_EQ(db.message(row)->got, 1U);
  gathered(wire::ReceiptKind::read, {kCarol}, {{1, 1}});
  EXPECT_EQ(db.message(row)->got, 2U);
  EXPECT_EQ(db.message(row)->seen, 1U);
  EXPECT_EQ(state(row), State::delivered);
  gathered(wire::ReceiptKind::read, {kBob}, {{1, 1}});
  EXPECT_EQ(state(row), State::read);
  const auto marks = db.marks(row);
  ASSERT_EQ(marks.size(), 2U);
  EXPECT_TRUE(marks[0].read_ms != 0 && marks[1].read_ms != 0);
}

TEST_F(GroupSession, AReceiptNamesOnlyWhatWasSentToThatGroup) {
  know_choir();
  log_in();
  const auto one = write("to Bob");
  const auto row = write_to_choir("a");
  said();
  give(wire::GroupReceipt{GroupId(501), wire::ReceiptKind::read, 7, {{{kBob, kCarol}, {{1, 100}}}}});
  gathered(wire::ReceiptKind::read, {kBob, kCarol}, {{1, 1}});
  gathered(wire::ReceiptKind::read, {kBob, kCarol}, {{~0ULL - 5, 5}});
  EXPECT_EQ(state(row), State::sent);
  EXPECT_EQ(state(one), State::sent);
  EXPECT_EQ(said_only<wire::Ack>().back().up_to, 3U);
  gathered(wire::ReceiptKind::delivered, {kBob, kCarol}, {{1, 1'000'000'000}});
  EXPECT_EQ(state(row), State::delivered);
  EXPECT_EQ(state(one), State::sent);
}

TEST_F(GroupSession, WhoIsGoneIsNotWaitedForAndWhoCameLaterIsNotCounted) {
  know_choir();
  log_in();
  const auto row = write_to_choir("a");
  gathered(wire::ReceiptKind::delivered, {kBob}, {{1, 1}});
  give(event(4, Kind::members_added, kBob, {UserId(77)}));
  EXPECT_EQ(db.message(row)->recipients, 2U);
  give(event(5, Kind::member_left, kCarol));
  EXPECT_EQ(db.message(row)->recipients, 1U);
  EXPECT_EQ(state(row), State::delivered);
}

TEST_F(GroupSession, AGroupThatRefusesFailsTheMessage) {
  know_choir();
  log_in();
  const auto row = write_to_choir("a");
  give(wire::Accepted{{{1, 1}}});
  give(wire::Receipt{wire::ReceiptKind::failed, kChoirAddress.user, DeviceId(0), {{1, 1}}, 5, wire::Code::not_allowed});
  EXPECT_EQ(state(row), State::failed);
  EXPECT_EQ(db.message(row)->reason, wire::Code::not_allowed);
}

TEST_F(GroupSession, WhatWasReadIsToldToTheGroupForEachAuthor) {
  know_choir();
  log_in();
  give(wire::Deliver{kBob, kBobDevice, 4, 1, 2, text_bytes("x"), kChoir});
  give(wire::Deliver{kBob, kBobDevice, 5, 1, 2, text_bytes("y"), kChoir});
  give(wire::Deliver{kCarol, kCarolDevice, 9, 1, 2, text_bytes("z"), kChoir});
  give(wire::Deliver{kBob, kBobDevice, 6, 1, 2, text_bytes("for you alone")});
  const auto messages = db.history(choir().peer, 10);
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0].author, kBob);
  EXPECT_EQ(messages[2].author, kCarol);
  EXPECT_EQ(db.history(bob, 10).size(), 1U);
  said();
  db.mark_read(choir().peer, now.wall);
  session.outbox_changed(now);
  auto sends = said_only<wire::Send>();
  ASSERT_EQ(sends.size(), 2U);
  for (const auto& send : sends) {
    EXPECT_EQ(send.kind, wire::SendKind::group_read);
    EXPECT_EQ(send.to, kChoirAddress);
    EXPECT_TRUE(send.content.empty());
    EXPECT_EQ(send.ranges,
              send.author == kBobDevice ? (std::vector<SeqRange>{{4, 2}}) : (std::vector<SeqRange>{{9, 1}}));
  }
  EXPECT_NE(sends[0].author, sends[1].author);
  give(wire::Accepted{{{1, 2}}});
  lose();
  log_in();
  EXPECT_TRUE(said_only<wire::Send>().empty());  // told once
}

TEST_F(GroupSession, IsFoundByNameAndNotAmongTheContacts) {
  know_choir();
  EXPECT_EQ(db.find_groups("choir").size(), 1U);
  EXPECT_EQ(db.find_groups("group:00000000000001f4").size(), 1U);
  EXPECT_TRUE(db.find_groups("Chor").empty());
  EXPECT_FALSE(db.find_peer("Choir"));
  EXPECT_EQ(db.peers().size(), 1U);
  EXPECT_EQ(db.peer(choir().peer)->name, "Choir");
  EXPECT_EQ(db.peer(choir().peer)->group, kChoir);
}

TEST_F(GroupSession, WhatIsNotStoredIsNotAcknowledged) {
  know_choir();
  FullDisk disk(db);
  Session other(disk, "test", 1);
  const auto hear = [&](const auto& frame) {
    std::string bytes;
    wire::append(bytes, frame);
    other.received(bytes, now);
  };
  other.connecting(now), other.connected(now);
  hear(wire::Challenge{{9}, now.wall.value, 1, 1, "edge"});
  hear(wire::Welcome{kMe, kMyDevice, now.wall.value, 8, 128, 60'000, 20'000, 30'000, 0, 1});
  other.output().clear();
  disk.full = true;
  EXPECT_THROW(hear(event(4, Kind::member_left, kCarol)), std::runtime_error);
  EXPECT_TRUE(other.output().empty());
  EXPECT_TRUE(other.wants_close());
  EXPECT_EQ(choir().version, 3U);
}

}  // namespace
}  // namespace barid::client::test
