// From the stream of groups to the partitions of their members.
#include "tests/unit/fanout_bench.h"

namespace barid::fanout {
namespace {

using wire::Code;
using wire::GroupEventKind;
using Messages = Bench;
using Changes = Bench;
using Snapshots = Bench;
using ReadNotices = Bench;

std::set<std::uint64_t> set(std::initializer_list<std::uint64_t> devices) { return devices; }

TEST_F(Messages, GoToEveryDeviceOfEveryMemberButTheAuthorsOwn) {
  know(3, {10, 11, 20, 30, 31});
  const Envelope m = message(1);
  const StreamSeq batch = give({m});
  EXPECT_EQ(devices_that_get(m), set({11, 20, 30, 31}));
  for (const Published& p : published) {
    EXPECT_EQ(p.group, kGroup);
    EXPECT_EQ(p.from_device, DeviceId(10));
    EXPECT_EQ(p.seq, 1U);
  }
  EXPECT_TRUE(acknowledged.empty());
  everything_is_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

TEST_F(Messages, OneEnvelopeAPartitionAndTheFrameOnceInEach) {
  std::vector<std::uint64_t> devices;
  for (std::uint64_t u = 1; u <= 200; ++u) devices.push_back(10 * u);
  know(3, devices);
  give({message(1)});
  EXPECT_EQ(published.size(), 4U);
}

TEST_F(Messages, MoreRecipientsThanAnEnvelopeTakesAreSplit) {
  config.partitions = 1;
  start();
  std::vector<std::uint64_t> devices;
  for (std::uint64_t u = 1; u <= limits::kEnvelopeRecipientsMax + 10; ++u) devices.push_back(10 * u);
  know(3, devices);
  const Envelope m = message(1);
  give({m});
  EXPECT_EQ(published.size(), 2U);
  EXPECT_EQ(devices_that_get(m).size(), devices.size() - 1);
}

TEST_F(Messages, ABatchIsAcknowledgedWhenTheLastOfItsExpansionsIsDurable) {
  know(3, {10, 20, 30, 40, 50, 60});
  const StreamSeq batch = give({message(1), message(2)});
  while (under_way.size() > 1) {
    core->on_durable(under_way.back(), wall);
    under_way.pop_back();
    EXPECT_TRUE(acknowledged.empty());
  }
  everything_is_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Messages, OfAStrangerAreRefusedAndReachNobody) {
  know(3, {10, 20});
  const Envelope m = message(7, DeviceId(50));
  const StreamSeq batch = give({m});
  EXPECT_TRUE(devices_that_get(m).empty());
  ASSERT_EQ(refusals().size(), 1U);
  EXPECT_EQ(refusals()[0].kind, wire::ReceiptKind::failed);
  EXPECT_EQ(refusals()[0].reason, Code::not_member);
  EXPECT_EQ(refusals()[0].peer_user, UserId(kGroup.value));
  EXPECT_EQ(refusals()[0].peer_device, DeviceId());
  EXPECT_EQ(refusals()[0].ranges, (std::vector<SeqRange>{{7, 1}}));
  EXPECT_EQ(published[0].to, partition_of(UserId(5), 4));
  EXPECT_EQ(published[0].to_device, DeviceId(50));
  EXPECT_TRUE(acknowledged.empty());
  everything_is_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
}

TEST_F(Messages, WhereOnlyAdminsSendAMembersAreRefused) {
  give({message(1)});
  auto s = snapshot(3, {10, 20});
  s.only_admins_send = true;
  s.members[1].role = wire::GroupRole::admin;
  answer(s);
  ASSERT_EQ(refusals().size(), 1U);
  EXPECT_EQ(refusals()[0].reason, Code::not_allowed);
  const Envelope m = message(1, DeviceId(20));
  give({m});
  EXPECT_EQ(devices_that_get(m), set({10}));
}

TEST_F(Messages, ToAGroupThatDoesNotExistAreRefused) {
  give({message(1)});
  answer({});
  ASSERT_EQ(refusals().size(), 1U);
  EXPECT_EQ(refusals()[0].reason, Code::not_member);
}

TEST_F(Messages, ARepeatIsDroppedAndItsBatchAcknowledged) {
  know(3, {10, 20});
  give({message(1)});
  const std::size_t before = published.size();
  const StreamSeq repeat = give({message(1)});
  EXPECT_EQ(published.size(), before);
  EXPECT_EQ(acknowledged, std::vector{repeat});
}

TEST_F(Messages, ABatchGivenAgainWhileInHandIsNeitherRepeatedNorAcknowledged) {
  know(3, {10, 20});
  const Envelope m = message(1);
  const StreamSeq batch = give({m});
  give_again(batch, {m});
  EXPECT_EQ(devices_that_get(m), set({20}));
  EXPECT_TRUE(acknowledged.empty());
  everything_is_durable();
  give_again(batch, {m});  // the broker has not heard
  EXPECT_EQ(acknowledged, (std::vector{batch, batch}));
}

TEST_F(Messages, AnUnreadableBatchIsBuriedAndThenAcknowledged) {
  core->on_unreadable_batch(StreamSeq(1), "garbage");
  EXPECT_EQ(buried, std::vector<std::string>{"garbage"});
  EXPECT_TRUE(acknowledged.empty());
  everything_is_durable();
  EXPECT_EQ(acknowledged, std::vector{StreamSeq(1)});
}

TEST_F(Messages, WhatIsUnderWayIsBoundedAndTheRestFollowsInOrder) {
  config.expanded_bytes_max = 100;
  start();
  know(3, {10, 20});
  std::vector<Envelope> all;
  for (std::uint64_t seq = 1; seq <= 50; ++seq) all.push_back(message(seq));
  give(all);
  EXPECT_LT(published.size(), 10U);
  everything_is_durable();
  ASSERT_EQ(published.size(), 50U);
  for (std::uint64_t seq = 1; seq <= 50; ++seq) EXPECT_EQ(published[seq - 1].seq, seq);
  EXPECT_TRUE(core->quiet());
}

// ---- changes of the group

TEST_F(Changes, WhoIsAddedGetsTheEventAndWhatFollowsButNothingFromBefore) {
  know(3, {10, 20});
  const Envelope before = message(1), after = message(2);
  const Envelope added = event(change(4, GroupEventKind::members_added, {3}, {30, 31}));
  give({before}), give({added}), give({after});
  EXPECT_EQ(devices_that_get(before), set({20}));
  EXPECT_EQ(devices_that_get(added), set({10, 20, 30, 31}));
  EXPECT_EQ(devices_that_get(after), set({20, 30, 31}));
  EXPECT_TRUE(asked.empty());
}

TEST_F(Changes, WhoIsRemovedGetsTheEventAndNothingAfter) {
  know(3, {10, 20, 30});
  const Envelope removed = event(change(4, GroupEventKind::members_removed, {3}));
  const Envelope after = message(1), of_the_removed = message(1, DeviceId(30));
  give({removed}), give({after, of_the_removed});
  EXPECT_EQ(devices_that_get(removed), set({10, 20, 30}));
  EXPECT_EQ(devices_that_get(after), set({20}));
  EXPECT_TRUE(devices_that_get(of_the_removed).empty());
  EXPECT_EQ(refusals().size(), 1U);
}

TEST_F(Changes, WhoLeavesTheRoleAndTheSettingsCountFromTheirPlaceOn) {
  know(3, {10, 20, 30});
  wire::GroupEvent left = change(4, GroupEventKind::member_left);
  left.actor = UserId(2);
  wire::GroupEvent announcements = change(5, GroupEventKind::edited);
  announcements.settings.only_admins_send = true;
  wire::GroupEvent promoted = change(6, GroupEventKind::role_changed, {3});
  promoted.role = wire::GroupRole::admin;
  give({event(left)});
  const Envelope allowed = message(1), refused = message(2), by_admin = message(1, DeviceId(30));
  give({allowed}), give({event(announcements)}), give({refused}), give({event(promoted)}), give({by_admin});
  EXPECT_EQ(devices_that_get(allowed), set({30}));
  EXPECT_TRUE(devices_that_get(refused).empty());
  EXPECT_EQ(devices_that_get(by_admin), set({10}));
}

TEST_F(Changes, ANewDeviceTakesThePlaceOfTheOldOne) {
  know(3, {10, 20});
  const Envelope changed = event(change(4, GroupEventKind::devices_changed, {2}, {21}));
  const Envelope after = message(1);
  give({changed}), give({after});
  EXPECT_EQ(devices_that_get(changed), set({10, 21}));
  EXPECT_EQ(devices_that_get(after), set({21}));
}

TEST_F(Changes, ADeletedGroupHasNoMembers) {
  know(3, {10, 20});
  const Envelope deleted = event(change(4, GroupEventKind::deleted));
  give({deleted});
  EXPECT_EQ(devices_that_get(deleted), set({10, 20}));
  give({message(1)});
  EXPECT_EQ(refusals().size(), 1U);
}

TEST_F(Changes, AnEventIsNamedByGroupAndVersionAndLivesAsLongAsMessages) {
  know(3, {10, 20});
  Envelope e = event(change(4, GroupEventKind::edited));
  e.from_device = DeviceId(10), e.seq = 77, e.expires_at = WallMs{0};
  give({e});
  ASSERT_FALSE(published.empty());
  for (const Published& p : published) {
    EXPECT_EQ(p.kind, envelope::Kind::event);
    EXPECT_EQ(p.group, kGroup);
    EXPECT_EQ(p.from_device, DeviceId(kGroup.value));
    EXPECT_EQ(p.seq, 4U);
    EXPECT_GT(p.expires_at, wall);
  }
}

TEST_F(Changes, AnEventThatWasAppliedIsNotAppliedAgain) {
  know(3, {10, 20});
  give({event(change(4, GroupEventKind::members_removed, {2}))});
  give({event(change(5, GroupEventKind::members_added, {2}, {20}))});
  const std::size_t before = published.size();
  give({event(change(4, GroupEventKind::members_removed, {2}))});
  EXPECT_EQ(published.size(), before);
  const Envelope m = message(1);
  give({m});
  EXPECT_EQ(devices_that_get(m), set({20}));
}

TEST_F(Changes, AnEventIsAcknowledgedAfterAllThatCameBeforeIt) {
  know(3, {10, 20});
  const StreamSeq before = give({message(1)});
  const Tag first = under_way.front();
  under_way.clear();
  const StreamSeq changed = give({event(change(4, GroupEventKind::edited))});
  const StreamSeq after = give({message(2)});
  everything_is_durable();
  EXPECT_EQ(acknowledged, std::vector{after});
  core->on_durable(first, wall);
  EXPECT_EQ(acknowledged, (std::vector{after, before, changed}));
  EXPECT_TRUE(core->quiet());
}

TEST_F(Changes, AGapIsFilledByTheSnapshotOfThatPlace) {
  know(3, {10, 20});
  const Envelope six = event(change(6, GroupEventKind::members_removed, {4})), after = message(1);
  const StreamSeq place = give({six});
  give({after});
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].before, place);
  EXPECT_TRUE(devices_that_get(six).empty());
  answer(snapshot(5, {10, 20, 30, 40}));
  EXPECT_EQ(devices_that_get(six), set({10, 20, 30, 40}));
  EXPECT_EQ(devices_that_get(after), set({20, 30}));
}

TEST_F(Changes, WhatAnEventDoesNotSayIsAskedForAsOfThePlaceBehindIt) {
  know(3, {10, 20});
  wire::GroupEvent many = change(4, GroupEventKind::members_added, {3});
  many.devices_left_out = true;
  const Envelope added = event(many), before = message(1), after = message(2);
  give({before});
  const StreamSeq place = give({added});
  give({after});
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].before, StreamSeq(place.value + 1));
  EXPECT_TRUE(devices_that_get(added).empty());
  answer(snapshot(4, {10, 20, 30}));
  EXPECT_EQ(devices_that_get(added), set({10, 20, 30}));
  EXPECT_EQ(devices_that_get(after), set({20, 30}));
}

TEST_F(Changes, AnEventThatIsNotInForceAtItsPlaceWaitsForItsNextCopy) {
  know(3, {10, 20});
  wire::GroupEvent many = change(4, GroupEventKind::members_added, {3}, {30});
  many.devices_left_out = true;
  give({event(many)});
  answer(snapshot(3, {10, 20}));
  const Envelope between = message(1);
  give({between});
  EXPECT_EQ(devices_that_get(between), set({20}));
  const Envelope again = event(change(4, GroupEventKind::members_added, {3}, {30}));
  give({again});
  EXPECT_EQ(devices_that_get(again), set({10, 20, 30}));
}

TEST_F(Changes, AnUnreadableEventIsPassedOver) {
  know(3, {10, 20});
  Envelope broken = message(0);
  broken.kind = envelope::Kind::event;
  const StreamSeq batch = give({broken});
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_EQ(core->stats().unreadable, 1U);
}

// ---- snapshots

TEST_F(Snapshots, AnUnknownGroupsMessagesWaitInOrderAndNoOtherGroups) {
  know(3, {10, 20});
  const Envelope first = message(1, DeviceId(10), kOther), second = message(2, DeviceId(10), kOther);
  const StreamSeq place = give({first});
  give({second});
  const Envelope known = message(3);
  give({known});
  EXPECT_EQ(devices_that_get(known), set({20}));
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].group, kOther);
  EXPECT_EQ(asked[0].before, place);
  published.clear();
  answer(snapshot(1, {10, 20}));
  ASSERT_EQ(published.size(), 2U);
  EXPECT_EQ(published[0].seq, 1U);
  EXPECT_EQ(published[1].seq, 2U);
}

TEST_F(Snapshots, AreAskedForAgainForEverAndEverMoreSlowly) {
  const Envelope m = message(1);
  give({m});
  milliseconds waited{0};
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(asked.size(), 1U) << i;
    EXPECT_EQ(asked[0].before, StreamSeq(1));
    fail_ask();
    EXPECT_TRUE(asked.empty());
    const TimePoint failed = now;
    while (asked.empty()) {
      now += milliseconds(50);
      core->on_tick(now);
    }
    const auto wait = std::chrono::duration_cast<milliseconds>(now - failed);
    EXPECT_GE(wait, waited);
    EXPECT_LE(wait, config.ask_again_max + milliseconds(50));
    waited = wait;
  }
  answer(snapshot(1, {10, 20}));
  EXPECT_EQ(devices_that_get(m), set({20}));
}

TEST_F(Snapshots, ALateAnswerToAnEarlierAskIsIgnored) {
  give({message(1)});
  const Asked first = asked.front();
  fail_ask();
  core->on_snapshot(first.group, first.number, snapshot(1, {10, 20}), wall);
  EXPECT_TRUE(published.empty());
  now += config.ask_again_max;
  core->on_tick(now);
  answer(snapshot(1, {10, 20}));
  EXPECT_EQ(published.size(), 1U);
}

TEST_F(Snapshots, OnlySoManyAreUnderWayAndEachGroupGetsItsTurn) {
  config.asks_max = 3;
  start();
  for (std::uint64_t g = 1; g <= 10; ++g) give({message(g, DeviceId(10), GroupId(g))});
  std::set<GroupId> served;
  while (!asked.empty()) {
    EXPECT_LE(asked.size(), 3U);
    served.insert(asked.front().group);
    answer(snapshot(1, {10, 20}));
  }
  EXPECT_EQ(served.size(), 10U);
  everything_is_durable();
  EXPECT_TRUE(core->quiet());
}

TEST_F(Snapshots, TheGroupNotUsedForLongestIsForgotten) {
  config.groups_max = 2;
  start();
  know(1, {10, 20}, GroupId(1));
  know(1, {10, 20}, GroupId(2));
  give({message(1, DeviceId(10), GroupId(1))});
  know(1, {10, 20}, GroupId(3));
  EXPECT_EQ(core->groups(), 2U);
  give({message(2, DeviceId(10), GroupId(1))});
  EXPECT_TRUE(asked.empty());
  give({message(3, DeviceId(10), GroupId(2))});
  EXPECT_EQ(asked.size(), 1U);
}

TEST_F(Snapshots, ManyDevicesCountAsWellAsManyGroups) {
  config.devices_max = 5;
  start();
  know(1, {10, 20, 30}, GroupId(1));
  know(1, {10, 20, 30}, GroupId(2));
  EXPECT_EQ(core->groups(), 1U);
}

// ---- read notices

TEST_F(ReadNotices, TellTheAuthorsDeviceWhoReadWhatAndTheBatchWaitsForIt) {
  know(3, {10, 20, 30});
  const StreamSeq batch = give({read_notice(1, DeviceId(20), DeviceId(10), {{5, 2}})});
  EXPECT_TRUE(acknowledged.empty());
  turn();
  ASSERT_EQ(group_receipts().size(), 1U);
  const wire::GroupReceipt receipt = group_receipts()[0];
  EXPECT_EQ(receipt.kind, wire::ReceiptKind::read);
  EXPECT_EQ(receipt.group, kGroup);
  ASSERT_EQ(receipt.parts.size(), 1U);
  EXPECT_EQ(receipt.parts[0].users, std::vector{UserId(2)});
  EXPECT_EQ(receipt.parts[0].ranges, (std::vector<SeqRange>{{5, 2}}));
  EXPECT_EQ(published[0].to, partition_of(UserId(1), 4));
  EXPECT_EQ(published[0].to_user, UserId(1));
  EXPECT_EQ(published[0].to_device, DeviceId(10));
  EXPECT_TRUE(published[0].recipients.empty());
  EXPECT_TRUE(acknowledged.empty());
  everything_is_durable();
  EXPECT_EQ(acknowledged, std::vector{batch});
  EXPECT_TRUE(core->quiet());
}

TEST_F(ReadNotices, OfManyMembersLeaveTogether) {
  config.hands_max = 1'000;
  start();
  std::vector<std::uint64_t> devices;
  for (std::uint64_t u = 1; u <= 300; ++u) devices.push_back(10 * u);
  know(3, devices);
  for (std::uint64_t u = 2; u <= 300; ++u) {
    give({read_notice(1, DeviceId(10 * u), DeviceId(10), {{5, 1}})});
    turn();
  }
  EXPECT_EQ(group_receipts().size(), 1U);
  turn(kReadReceiptHold);
  EXPECT_EQ(group_receipts().size(), 2U);
  std::set<UserId> readers;
  for (const auto& receipt : group_receipts())
    for (const auto& part : receipt.parts) readers.insert(part.users.begin(), part.users.end());
  EXPECT_EQ(readers.size(), 299U);
  everything_is_durable();
  EXPECT_EQ(acknowledged.size(), 299U);
}

TEST_F(ReadNotices, UnderPressureAreNotHeld) {
  config.hands_max = 4;
  start();
  know(3, {10, 20, 30});
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    give({read_notice(seq, DeviceId(20), DeviceId(10), {{seq, 1}})});
    turn();
  }
  EXPECT_EQ(group_receipts().size(), 2U);  // the first at once, and when the third was taken the two that waited
  everything_is_durable();
  EXPECT_TRUE(core->quiet());
}

TEST_F(ReadNotices, OfStrangersAndForStrangersSayNothing) {
  know(3, {10, 20});
  give({read_notice(1, DeviceId(50), DeviceId(10), {{5, 1}}), read_notice(1, DeviceId(20), DeviceId(50), {{5, 1}}),
        read_notice(1, DeviceId(10), DeviceId(10), {{5, 1}})});
  turn();
  EXPECT_TRUE(published.empty());
  EXPECT_EQ(acknowledged.size(), 1U);
}

}  // namespace
}  // namespace barid::fanout
