// Frames survive the wire: random ones of every type, the largest ones, and a stream cut anywhere.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "schemas/vectors/bridge.h"
#include "schemas_gen.h"

namespace barid::wire {
namespace {

using vectors::encode_frame;
using vectors::to_json;

Result<Frame, Code> decode_bytes(std::string_view bytes) {
  const auto raw = split(bytes);
  if (!raw || raw->bytes != bytes.size()) throw std::runtime_error("not one whole frame");
  return decode(*raw);
}

RC_GTEST_PROP(Frames, EveryTypeSurvivesTheWire, ()) {
  for (int kind = 0; kind < gen::kFrameKinds; ++kind) {
    const Frame frame = gen::frame(kind);
    const std::string bytes = encode_frame(frame);
    const auto back = decode_bytes(bytes);
    RC_ASSERT(back.has_value());
    RC_ASSERT(to_json(*back) == to_json(frame));
    RC_ASSERT(encode_frame(*back) == bytes);
  }
}

RC_GTEST_PROP(Frames, AppendingLeavesEarlierBytesAlone, (const std::string& before)) {
  std::string out = before;
  append(out, Ping{gen::u64()});
  RC_ASSERT(out.starts_with(before));
  RC_ASSERT(split(std::string_view(out).substr(before.size())).has_value());
}

TEST(Frames, AStreamIsSplitWhereverItIsCut) {
  std::string stream;
  append(stream, Ping{1});
  append(stream, Error{Code::rate_limited, 5, "slow down"});
  append(stream, Ack{0});
  const std::size_t first = split(stream)->bytes;
  for (std::size_t cut = 0; cut < first; ++cut) EXPECT_FALSE(split(std::string_view(stream).substr(0, cut))) << cut;
  std::string_view rest = stream;
  std::vector<FrameType> types;
  while (auto raw = split(rest)) {
    types.push_back(raw->type);
    rest.remove_prefix(raw->bytes);
  }
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(types, (std::vector{FrameType::ping, FrameType::error, FrameType::ack}));
}

// A word without zeros costs ten bytes packed, one with two zeros seven: alternating, nothing packs worse
// (17/16).
std::string worst_case_for_packing(std::size_t size) {
  std::string content(size, '\x5a');
  for (std::size_t word = 1; word * 8 + 8 <= size; word += 2) content[word * 8] = content[word * 8 + 4] = '\0';
  return content;
}

TEST(Frames, TheLargestContentFitsAFrameHoweverBadlyItPacks) {
  for (const std::string& content :
       {worst_case_for_packing(limits::kContentBytesMax), std::string(limits::kContentBytesMax, '\xff'),
        std::string(limits::kContentBytesMax, '\0')}) {
    const Frame send =
        Send{~0ULL - 1, {UserId(~0ULL), DeviceId(~0ULL), ~0ULL}, SendKind::message, -1, ~0U, content, {}, {}};
    const Frame deliver = Deliver{UserId(~0ULL), DeviceId(~0ULL), ~0ULL - 1, -1, -1, content, GroupId(~0ULL)};
    for (const Frame& frame : {send, deliver}) {
      const std::string bytes = encode_frame(frame);
      EXPECT_LE(bytes.size(), limits::kFrameHeaderBytes + limits::kPayloadBytesMax);
      const auto back = decode_bytes(bytes);
      ASSERT_TRUE(back) << name_of(back.error());
      EXPECT_TRUE(to_json(*back) == to_json(frame));
    }
  }
  EXPECT_GT(encode_frame(Deliver{UserId(1), DeviceId(1), 1, 0, 0, worst_case_for_packing(limits::kContentBytesMax), {}})
                .size(),
            limits::kContentBytesMax * 17 / 16);
}

TEST(Frames, TheMostRangesFitAFrame) {
  std::vector<SeqRange> ranges;
  for (std::size_t i = 0; i < limits::kRangesMax; ++i) ranges.push_back({0xfedcba9876543210ULL - i, 0xfedcba98U});
  const Frame frame = Receipt{ReceiptKind::read, UserId(~0ULL), DeviceId(~0ULL), ranges, -1, Code::none};
  const auto back = decode_bytes(encode_frame(frame));
  ASSERT_TRUE(back);
  EXPECT_TRUE(to_json(*back) == to_json(frame));
}

TEST(Frames, TheLargestLookupFitsAFrameAndSoDoesItsAnswer) {
  Lookup lookup;
  Contacts contacts;
  for (std::size_t i = 0; i < limits::kLookupPhonesMax; ++i) {
    lookup.phones.push_back("+" + std::to_string(100'000'000'000'000 + i));
    contacts.found.push_back({lookup.phones.back(),
                              UserId(~i),
                              {{UserId(~i), DeviceId(~i * 3), ~i * 7}, {UserId(~i), DeviceId(~i * 5), ~i * 9}}});
  }
  for (const Frame& frame : {Frame(Request{1, lookup}), Frame(Response{1, contacts})}) {
    const auto back = decode_bytes(encode_frame(frame));
    ASSERT_TRUE(back);
    EXPECT_TRUE(to_json(*back) == to_json(frame));
  }
}

// Nothing packs worse than ids without a zero byte in every other word.
std::vector<UserId> many_users(std::size_t count) {
  std::vector<UserId> users;
  for (std::size_t i = 0; i < count; ++i)
    users.emplace_back((i % 2 == 0 ? 0xfedcba9876543210ULL : 0x00dcba00'76543210ULL) - i);
  return users;
}

TEST(Frames, AFullGroupFitsAFrame) {
  Group group{{UserId(~0ULL), DeviceId(0), ~0ULL},
              ~0ULL,
              -1,
              UserId(~0ULL),
              std::string(limits::kTextBytesMax, 'x'),
              std::string(limits::kGroupDescriptionBytesMax, 'x'),
              std::string(limits::kTextBytesMax, 'x'),
              {true, true, true},
              {}};
  GroupEvent event;
  event.group = GroupId(~0ULL), event.version = ~0ULL, event.at_ms = -1, event.actor = UserId(~0ULL);
  event.users = many_users(limits::kGroupMembersMax);
  for (const UserId user : event.users) group.members.push_back({user, GroupRole::owner});
  for (const UserId user : many_users(limits::kGroupEventDevicesMax))
    event.devices.push_back({user, DeviceId(user.value * 3)});
  event.name = event.picture = group.name, event.description = group.description, event.settings = group.settings;
  GroupList list{{}, true};
  for (std::size_t i = 0; i < limits::kGroupsPageMax; ++i)
    list.groups.push_back({group.address, ~0ULL, group.name, GroupRole::owner, ~0U});
  JoinRequestList requests{GroupId(~0ULL), {}};
  for (const UserId user : many_users(limits::kJoinRequestsMax)) requests.requests.push_back({user, -1});
  GroupReceipt receipt{GroupId(~0ULL), ReceiptKind::read, -1, {}};
  for (const UserId user : many_users(limits::kGroupReceiptMembersMax))
    receipt.parts.push_back({{user}, std::vector(4, SeqRange{user.value, 0x7fffffff})});
  const Frame frames[] = {Response{1, group},
                          Response{2, list},
                          Response{3, requests},
                          event,
                          receipt,
                          Request{4, CreateGroup{~0ULL, group.name, group.description, group.picture, {}, event.users}},
                          Response{5, GroupChanged{GroupId(~0ULL), ~0ULL, event.users}}};
  for (const Frame& frame : frames) {
    const auto back = decode_bytes(encode_frame(frame));
    ASSERT_TRUE(back) << name_of(back.error());
    EXPECT_TRUE(to_json(*back) == to_json(frame));
  }
}

TEST(Frames, CodesHaveTheNamesOfTheSchema) {
  EXPECT_EQ(name_of(Code::none), "none");
  EXPECT_EQ(name_of(Code::protocol_violation), "protocolViolation");
  EXPECT_EQ(name_of(Code::undeliverable), "undeliverable");
  EXPECT_EQ(static_cast<int>(Code::protocol_violation), 18);
  EXPECT_EQ(static_cast<int>(Code::rate_limited), 19);
  EXPECT_EQ(static_cast<int>(Code::undeliverable), 36);
  EXPECT_EQ(name_of(kLastCode), "versionConflict");
  EXPECT_EQ(static_cast<int>(kLastCode), 39);
}

TEST(Frames, LoginMessageIsDomainNonceBigEndianSessionToken) {
  std::array<std::uint8_t, 32> nonce;
  nonce.fill(0xab);
  EXPECT_EQ(login_message(nonce, SessionNo(0x0102030405060708), "tok"),
            "barid-login-v1" + std::string(32, '\xab') + "\x01\x02\x03\x04\x05\x06\x07\x08" + "tok");
}

}  // namespace
}  // namespace barid::wire
