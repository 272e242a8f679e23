#include "schemas/control.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "schemas/vectors/bridge.h"
#include "schemas_allocations.h"
#include "schemas_gen.h"

namespace barid::control {
namespace {

std::size_t some() { return *rc::gen::inRange<std::size_t>(0, 40); }

ToOwner random_to_owner() {
  ToOwner m;
  m.edge = Incarnation(gen::u64());
  for (auto n = some(); n > 0; --n)
    m.opens.push_back({UserId(gen::u64()), DeviceId(gen::u64()), ConnId(gen::u64()), SessionNo(gen::u64())});
  for (auto n = some(); n > 0; --n)
    m.acks.push_back({UserId(gen::u64()), DeviceId(gen::u64()), ConnId(gen::u64()), gen::u64()});
  for (auto n = some(); n > 0; --n) m.closes.push_back({UserId(gen::u64()), DeviceId(gen::u64()), ConnId(gen::u64())});
  for (auto n = some(); n > 0; --n) m.announced.push_back({Partition(gen::any<std::uint16_t>()), Epoch(gen::u64())});
  for (auto n = some(); n > 0; --n) {
    const wire::Watch watch = gen::watch();
    m.watches.push_back({Partition(gen::any<std::uint16_t>()), UserId(gen::u64()), DeviceId(gen::u64()),
                         ConnId(gen::u64()), watch.users, watch.groups});
  }
  for (auto n = some(); n > 0; --n)
    m.typings.push_back(
        {UserId(gen::u64()), UserId(gen::u64()), GroupId(gen::u64()), static_cast<wire::TypingState>(gen::pick(3))});
  return m;
}

RC_GTEST_PROP(ToOwner, SurvivesTheBus, ()) {
  const ToOwner m = random_to_owner();
  std::string bytes = "replaced";
  encode(bytes, m);
  const auto back = decode_to_owner(bytes);
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->edge == m.edge);
  RC_ASSERT(back->opens.size() == m.opens.size());
  for (std::size_t i = 0; i < m.opens.size(); ++i) {
    RC_ASSERT(back->opens[i].user == m.opens[i].user);
    RC_ASSERT(back->opens[i].device == m.opens[i].device);
    RC_ASSERT(back->opens[i].conn == m.opens[i].conn);
    RC_ASSERT(back->opens[i].session_no == m.opens[i].session_no);
  }
  RC_ASSERT(back->acks.size() == m.acks.size());
  for (std::size_t i = 0; i < m.acks.size(); ++i) {
    RC_ASSERT(back->acks[i].user == m.acks[i].user);
    RC_ASSERT(back->acks[i].device == m.acks[i].device);
    RC_ASSERT(back->acks[i].conn == m.acks[i].conn);
    RC_ASSERT(back->acks[i].up_to == m.acks[i].up_to);
  }
  RC_ASSERT(back->closes.size() == m.closes.size());
  for (std::size_t i = 0; i < m.closes.size(); ++i) {
    RC_ASSERT(back->closes[i].user == m.closes[i].user);
    RC_ASSERT(back->closes[i].device == m.closes[i].device);
    RC_ASSERT(back->closes[i].conn == m.closes[i].conn);
  }
  RC_ASSERT(back->announced.size() == m.announced.size());
  for (std::size_t i = 0; i < m.announced.size(); ++i) {
    RC_ASSERT(back->announced[i].partition == m.announced[i].partition);
    RC_ASSERT(back->announced[i].epoch == m.announced[i].epoch);
  }
  RC_ASSERT(back->watches.size() == m.watches.size());
  for (std::size_t i = 0; i < m.watches.size(); ++i) {
    RC_ASSERT(back->watches[i].partition == m.watches[i].partition);
    RC_ASSERT(back->watches[i].user == m.watches[i].user);
    RC_ASSERT(back->watches[i].device == m.watches[i].device);
    RC_ASSERT(back->watches[i].conn == m.watches[i].conn);
    RC_ASSERT(back->watches[i].users == m.watches[i].users);
    RC_ASSERT(back->watches[i].groups == m.watches[i].groups);
  }
  RC_ASSERT(back->typings.size() == m.typings.size());
  for (std::size_t i = 0; i < m.typings.size(); ++i) {
    RC_ASSERT(back->typings[i].user == m.typings[i].user);
    RC_ASSERT(back->typings[i].to_user == m.typings[i].to_user);
    RC_ASSERT(back->typings[i].to_group == m.typings[i].to_group);
    RC_ASSERT(back->typings[i].state == m.typings[i].state);
  }
}

RC_GTEST_PROP(ToEdge, SurvivesTheBus, ()) {
  ToEdge m;
  m.worker = Incarnation(gen::u64());
  std::vector<std::string> frames(some());
  for (std::string& frame : frames) {
    frame = gen::bytes(400);
    m.deliveries.push_back({Partition(gen::any<std::uint16_t>()), Epoch(gen::u64()), ConnId(gen::u64()), frame});
  }
  for (auto n = some(); n > 0; --n)
    m.kicks.push_back({Partition(gen::any<std::uint16_t>()), Epoch(gen::u64()), ConnId(gen::u64()), gen::code()});
  for (auto n = some(); n > 0; --n)
    m.presences.push_back(
        {Partition(gen::any<std::uint16_t>()), Epoch(gen::u64()), ConnId(gen::u64()), gen::presence_entry()});
  std::string bytes = "replaced";
  encode(bytes, m);
  ToEdge back;
  back.kicks.resize(3);  // whatever was there goes
  RC_ASSERT(decode_to_edge(bytes, back) == nullptr);
  RC_ASSERT(back.worker == m.worker);
  RC_ASSERT(back.deliveries.size() == m.deliveries.size());
  for (std::size_t i = 0; i < m.deliveries.size(); ++i) {
    RC_ASSERT(back.deliveries[i].partition == m.deliveries[i].partition);
    RC_ASSERT(back.deliveries[i].epoch == m.deliveries[i].epoch);
    RC_ASSERT(back.deliveries[i].conn == m.deliveries[i].conn);
    RC_ASSERT(back.deliveries[i].frame == m.deliveries[i].frame);
  }
  RC_ASSERT(back.kicks.size() == m.kicks.size());
  for (std::size_t i = 0; i < m.kicks.size(); ++i) {
    RC_ASSERT(back.kicks[i].partition == m.kicks[i].partition);
    RC_ASSERT(back.kicks[i].epoch == m.kicks[i].epoch);
    RC_ASSERT(back.kicks[i].conn == m.kicks[i].conn);
    RC_ASSERT(back.kicks[i].code == m.kicks[i].code);
  }
  RC_ASSERT(back.presences.size() == m.presences.size());
  for (std::size_t i = 0; i < m.presences.size(); ++i) {
    RC_ASSERT(back.presences[i].partition == m.presences[i].partition);
    RC_ASSERT(back.presences[i].epoch == m.presences[i].epoch);
    RC_ASSERT(back.presences[i].conn == m.presences[i].conn);
    RC_ASSERT(back.presences[i].entry == m.presences[i].entry);
  }
}

RC_GTEST_PROP(PresenceCall, AndItsAnswerSurviveTheBus, ()) {
  PresenceCall call;
  for (auto n = some(); n > 0; --n) call.pairs.push_back({UserId(gen::u64()), UserId(gen::u64())});
  for (auto n = some(); n > 0; --n) call.seen.push_back({UserId(gen::u64()), gen::i64()});
  const auto back = decode_presence_call(encode(call));
  RC_ASSERT(back.has_value() && back->pairs == call.pairs && back->seen.size() == call.seen.size());
  for (std::size_t i = 0; i < call.seen.size(); ++i) {
    RC_ASSERT(back->seen[i].user == call.seen[i].user);
    RC_ASSERT(back->seen[i].at_ms == call.seen[i].at_ms);
  }
  PresenceAnswer answer{gen::any<bool>(), {}};
  for (auto n = some(); n > 0; --n)
    answer.rights.push_back({gen::any<bool>(), gen::any<bool>(), gen::any<bool>(), gen::i64()});
  const auto heard = decode_presence_answer(encode(answer));
  RC_ASSERT(heard.has_value() && heard->unavailable == answer.unavailable);
  RC_ASSERT(heard->rights.size() == answer.rights.size());
  for (std::size_t i = 0; i < answer.rights.size(); ++i) {
    RC_ASSERT(heard->rights[i].blocked == answer.rights[i].blocked);
    RC_ASSERT(heard->rights[i].online == answer.rights[i].online);
    RC_ASSERT(heard->rights[i].last_seen == answer.rights[i].last_seen);
    RC_ASSERT(heard->rights[i].last_seen_ms == answer.rights[i].last_seen_ms);
  }
  PresenceCall flood;
  flood.pairs.resize(limits::kPresencePairsMax + 1);
  RC_ASSERT(!decode_presence_call(encode(flood)).has_value());
}

TEST(ToEdge, AThousandFullFramesSurviveOneMessage) {
  const std::string frame(limits::kFrameHeaderBytes + limits::kPayloadBytesMax, '\x5a');
  ToEdge m;
  for (int i = 0; i < 1'000; ++i)
    m.deliveries.push_back({Partition(1), Epoch(2), ConnId(static_cast<std::uint64_t>(i)), frame});
  std::string bytes;
  encode(bytes, m);
  ToEdge back;
  ASSERT_EQ(decode_to_edge(bytes, back), nullptr);
  ASSERT_EQ(back.deliveries.size(), 1'000U);
  for (std::size_t i = 0; i < 1'000; ++i) {
    ASSERT_EQ(back.deliveries[i].conn, ConnId(i));
    ASSERT_EQ(back.deliveries[i].frame, frame);
  }
}

RC_GTEST_PROP(DirectoryCalls, SurviveTheBroker, ()) {
  const DirectoryCall call{UserId(gen::u64()), DeviceId(gen::u64()), gen::text(), gen::request()};
  const auto back = decode_directory_call(encode(call));
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->user == call.user);
  RC_ASSERT(back->device == call.device);
  RC_ASSERT(back->address == call.address);
  RC_ASSERT(vectors::to_json(wire::Frame(back->request)) == vectors::to_json(wire::Frame(call.request)));
}

RC_GTEST_PROP(DirectoryCalls, SoDoTheirAnswers, ()) {
  const wire::Response response = gen::response();
  const auto back = decode_response(encode(response));
  RC_ASSERT(back.has_value());
  RC_ASSERT(vectors::to_json(wire::Frame(*back)) == vectors::to_json(wire::Frame(response)));
}

GroupSnapshot random_snapshot() {
  GroupSnapshot snapshot{gen::any<bool>(), gen::any<bool>(), gen::u64(), gen::any<bool>(), {}};
  snapshot.members.resize(some());
  for (SnapshotMember& member : snapshot.members) {
    member = {UserId(gen::u64()), gen::role(), {}};
    for (auto n = some(); n > 0; --n) member.devices.emplace_back(gen::u64());
  }
  return snapshot;
}

RC_GTEST_PROP(GroupSnapshots, SurviveTheBroker, ()) {
  const GroupSnapshotCall call{GroupId(gen::u64()), StreamSeq(gen::u64())};
  const auto called = decode_group_snapshot_call(encode(call));
  RC_ASSERT(called.has_value());
  RC_ASSERT(called->group == call.group);
  RC_ASSERT(called->before_seq == call.before_seq);
  const GroupSnapshot snapshot = random_snapshot();
  const auto back = decode_group_snapshot(encode(snapshot));
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->found == snapshot.found);
  RC_ASSERT(back->unavailable == snapshot.unavailable);
  RC_ASSERT(back->version == snapshot.version);
  RC_ASSERT(back->only_admins_send == snapshot.only_admins_send);
  RC_ASSERT(back->members == snapshot.members);
}

TEST(GroupSnapshots, OfMoreThanAFullGroupAreMalformed) {
  GroupSnapshot snapshot;
  snapshot.members.resize(limits::kGroupMembersMax, {UserId(1), wire::GroupRole::owner, {DeviceId(2)}});
  EXPECT_TRUE(decode_group_snapshot(encode(snapshot)));
  snapshot.members.push_back(snapshot.members.back());
  EXPECT_FALSE(decode_group_snapshot(encode(snapshot)));
}

// Every decoder with the same hostile bytes; what matters is that each returns.
void feed_all(std::string_view bytes) {
  ToEdge to_edge;
  if (decode_to_edge(bytes, to_edge) == nullptr) {
    for (const Delivery& d : to_edge.deliveries) EXPECT_LE(d.frame.size(), bytes.size());
  }
  const auto to_owner = decode_to_owner(bytes);
  EXPECT_LE(to_owner ? to_owner->opens.size() : 0, 64 + bytes.size());
  (void)decode_directory_call(bytes);
  (void)decode_response(bytes);
  (void)decode_group_snapshot_call(bytes);
  const auto snapshot = decode_group_snapshot(bytes);
  EXPECT_LE(snapshot ? snapshot->members.size() : 0, bytes.size());
}

RC_GTEST_PROP(ControlDecoders, SurviveGarbageTruncationAndFlippedBytes, (const std::string& garbage)) {
  feed_all(garbage);
  std::string bytes;
  encode(bytes, random_to_owner());
  for (std::size_t cut = 0; cut < bytes.size(); cut += 7) {
    feed_all(std::string_view(bytes).substr(0, cut));
    RC_ASSERT(cut > 40 || !decode_to_owner(std::string_view(bytes).substr(0, cut)).has_value());
  }
  for (int i = 0; i < 30; ++i) {
    std::string hostile = bytes;
    hostile[static_cast<std::size_t>(gen::pick(static_cast<int>(std::min<std::size_t>(hostile.size(), 120))))] =
        gen::any<char>();
    feed_all(hostile);
  }
}

TEST(ControlDecoders, RefuseNothing) {
  ToEdge to_edge;
  EXPECT_NE(decode_to_edge({}, to_edge), nullptr);
  EXPECT_FALSE(decode_to_owner({}));
  EXPECT_FALSE(decode_directory_call({}));
  EXPECT_FALSE(decode_response({}));
}

TEST(ControlDecoders, AListOfElementsWithoutSizeCostsNothing) {
  // Root of one data word and four pointers; the first list claims eight million opens in one tag word.
  const std::uint64_t words[] = {7ULL << 32, 0x0004'0001'0000'0000, 1, 13 | 7ULL << 32, 0, 0, 0, 8'000'000ULL << 2};
  allocated_bytes() = 0;
  EXPECT_FALSE(decode_to_owner({reinterpret_cast<const char*>(words), sizeof words}));
  EXPECT_LT(allocated_bytes(), 64U * 1024);
}

TEST(ControlDecoders, AKickWithAnUnknownCodeIsUnavailable) {
  ToEdge m, back;
  m.kicks.push_back({Partition(1), Epoch(2), ConnId(3), static_cast<wire::Code>(900)});
  std::string bytes;
  encode(bytes, m);
  ASSERT_EQ(decode_to_edge(bytes, back), nullptr);
  EXPECT_EQ(back.kicks.at(0).code, wire::Code::unavailable);
}

}  // namespace
}  // namespace barid::control
