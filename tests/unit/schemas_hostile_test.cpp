// What a hostile or broken peer may send: each gets its documented code, costs bounded memory and never
// throws.
#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/serialize-packed.h>
#include <gtest/gtest.h>
#include <kj/io.h>
#include <rapidcheck/gtest.h>

#include "schemas/vectors/bridge.h"
#include "schemas/wire.capnp.h"
#include "schemas_allocations.h"
#include "schemas_gen.h"

namespace barid::wire {
namespace {

Result<Frame, Code> decode_payload(FrameType type, std::string_view payload) {
  return decode(RawFrame{limits::kProtocolVersion, type, payload, limits::kFrameHeaderBytes + payload.size()});
}
void expect_code(FrameType type, std::string_view payload, Code code) {
  const auto frame = decode_payload(type, payload);
  ASSERT_FALSE(frame.has_value());
  EXPECT_EQ(name_of(frame.error()), name_of(code));
}

std::string packed(capnp::MessageBuilder& message) {
  kj::VectorOutputStream out;
  capnp::writePackedMessage(out, message);
  return {out.getArray().asChars().begin(), out.getArray().size()};
}
// The payload of one message of `Root` that `fill` made.
template <class Root, class Fill>
std::string forge(Fill&& fill, unsigned first_segment_words = 1'024) {
  capnp::MallocMessageBuilder message(first_segment_words, capnp::AllocationStrategy::FIXED_SIZE);
  fill(message.initRoot<Root>());
  return packed(message);
}
std::string pack(const std::vector<std::uint64_t>& words) {
  kj::VectorOutputStream out;
  kj::BufferedOutputStreamWrapper buffered(out);
  capnp::_::PackedOutputStream(buffered).write(words.data(), words.size() * sizeof(std::uint64_t));
  buffered.flush();
  return {out.getArray().asChars().begin(), out.getArray().size()};
}
// Packs raw words behind a segment table for one segment.
std::string forge_words(std::vector<std::uint64_t> words) {
  words.insert(words.begin(), static_cast<std::uint64_t>(words.size()) << 32);
  return pack(words);
}
void set_ranges(capnp::List<schema::Range>::Builder list, std::uint64_t first, std::uint32_t count) {
  for (auto range : list) {
    range.setFirst(first);
    range.setCount(count);
  }
}

RC_GTEST_PROP(Hostile, EveryTruncationOfEveryFrameIsMalformed, ()) {
  for (int kind = 0; kind < gen::kFrameKinds; ++kind) {
    const std::string bytes = vectors::encode_frame(gen::frame(kind));
    const auto raw = split(bytes);
    RC_ASSERT(raw.has_value());
    const std::size_t step = std::max<std::size_t>(1, raw->payload.size() / 400);
    for (std::size_t cut = 0; cut < raw->payload.size(); cut += step) {
      const auto frame = decode_payload(raw->type, raw->payload.substr(0, cut));
      RC_ASSERT(!frame.has_value());
      RC_ASSERT(frame.error() == Code::malformed);
    }
  }
}

RC_GTEST_PROP(Hostile, GarbageOfEveryTypeGivesAnErrorOrAFrameAndNeverThrows, (const std::string& garbage)) {
  for (unsigned type = 0; type < 23; ++type) {
    const auto frame = decode_payload(static_cast<FrameType>(type), garbage);
    if (type == 0 || type > 19) RC_ASSERT(frame.error() == Code::unknown_frame);
  }
}

TEST(Hostile, OtherVersionsAndTypesHaveTheirOwnCodes) {
  std::string bytes;
  append(bytes, Ping{1});
  for (const int version : {0, 2, 255}) {
    bytes[0] = static_cast<char>(version);
    EXPECT_EQ(decode(*split(bytes)).error(), Code::unsupported_version);
  }
  bytes[0] = 1;
  for (const int type : {0, 20, 128, 255}) {
    bytes[1] = static_cast<char>(type);
    EXPECT_EQ(decode(*split(bytes)).error(), Code::unknown_frame);
  }
}

TEST(Hostile, BytesAfterTheMessageAreMalformed) {
  const std::string good = forge<schema::Ping>([](auto b) { b.setToken(7); });
  ASSERT_TRUE(decode_payload(FrameType::ping, good));
  for (const std::string& tail : {std::string(1, '\0'), std::string(2, '\0'), std::string("x"), good})
    expect_code(FrameType::ping, good + tail, Code::malformed);
}

TEST(Hostile, AnotherLanguagesManySegmentsAreRead) {
  const std::string payload = forge<schema::Send>(
      [](auto b) {
        b.setSeq(5);
        b.initTo().setUser(6);
        b.setContent(capnp::Data::Reader(reinterpret_cast<const kj::byte*>("0123456789abcdef"), 16));
        set_ranges(b.initRanges(3), 4, 5);
      },
      1);
  const auto frame = decode_payload(FrameType::send, payload);
  ASSERT_TRUE(frame) << name_of(frame.error());
  const auto& send = std::get<Send>(*frame);
  EXPECT_EQ(send.seq, 5U);
  EXPECT_EQ(send.to.user, UserId(6));
  EXPECT_EQ(send.content, "0123456789abcdef");
  EXPECT_EQ(send.ranges, std::vector(3, SeqRange{4, 5}));
  for (std::size_t cut = 0; cut < payload.size(); ++cut)
    expect_code(FrameType::send, std::string_view(payload).substr(0, cut), Code::malformed);
}

TEST(Hostile, ZeroRunsCannotUnpackToMoreThanTheLimit) {
  // Eight megabytes of zeros pack to eight kilobytes. The segment table announces them, or less, or far more.
  for (const std::uint64_t announced : {1'048'576ULL, 20'481ULL, 20'480ULL, 0xffff'ffffULL}) {
    std::vector<std::uint64_t> words(1'048'577);
    words[0] = announced << 32;
    const std::string payload = pack(words);
    ASSERT_LT(payload.size(), 9'000U);
    allocated_bytes() = 0;
    expect_code(FrameType::send, payload, Code::malformed);
    EXPECT_LT(allocated_bytes(), 2 * limits::kUnpackedBytesMax);
  }
}

TEST(Hostile, NothingThatAPeerSendsIsWrittenToStandardError) {
  // Two segments of one word, and a run of zeros that goes on behind them.
  const std::string payload("\x11\x01\x01\x01\x01\x00\x00\x00\x80", 9);
  testing::internal::CaptureStderr();
  expect_code(FrameType::send, payload, Code::malformed);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Hostile, AListOfElementsWithoutSizeCostsNothing) {
  // Response.contacts (union member 3) and .devices (6): an inline-composite list of zero-word structs.
  for (const std::uint64_t member : {3ULL, 6ULL})
    for (const std::uint64_t count : {257ULL, 20'000ULL, 0x1fff'ffffULL}) {
      const std::string payload = forge_words({0x0001'0001'0000'0000, 1 | member << 32, 1 | 7ULL << 32, count << 2});
      allocated_bytes() = 0;
      expect_code(FrameType::response, payload, Code::malformed);
      EXPECT_LT(allocated_bytes(), 2 * limits::kUnpackedBytesMax);
    }
}

TEST(Hostile, OneTextSharedByManyPointersIsNotReadForEver) {
  // Lookup of 256 numbers, each pointing at one and the same 256-byte text: within every single limit.
  std::vector<std::uint64_t> words = {0x0001'0001'0000'0000, 1 | 2ULL << 32, 0x0001'0000'0000'0000,
                                      1 | (6ULL | 256ULL << 3) << 32};
  for (std::uint64_t i = 0; i < 256; ++i) words.push_back(1 | (255 - i) << 2 | (2ULL | 257ULL << 3) << 32);
  for (int i = 0; i < 32; ++i) words.push_back(0x6161'6161'6161'6161);
  words.push_back(0);
  allocated_bytes() = 0;
  const auto frame = decode_payload(FrameType::request, forge_words(words));
  ASSERT_TRUE(frame) << name_of(frame.error());  // 64 KiB of text: allowed
  EXPECT_LT(allocated_bytes(), 2 * limits::kUnpackedBytesMax);
  words[3] = 1 | (6ULL | 257ULL << 3) << 32;
  expect_code(FrameType::request, forge_words(words), Code::malformed);
}

TEST(Hostile, PointersInACircleEnd) {
  // Send.to points back at the root struct; Response.contacts at a list that holds itself.
  expect_code(FrameType::response,
              forge_words({0x0001'0001'0000'0000, 1 | 3ULL << 32, 1 | (7ULL | 2ULL << 3) << 32,
                           1ULL << 2 | 0x0002'0000'0000'0000, 0xffff'fff9 | (7ULL | 2ULL << 3) << 32, 0}),
              Code::malformed);
  const auto frame = decode_payload(
      FrameType::send, forge_words({0x0003'0004'0000'0000, 1, 0, 0, 0, 0xffff'ffec | 0x0003'0004'0000'0000, 0, 0}));
  ASSERT_TRUE(frame);  // an address of odd numbers, which its tag then refuses
  EXPECT_EQ(std::get<Send>(*frame).to.user, UserId(std::get<Send>(*frame).seq));
}

TEST(Hostile, PointersOutsideTheMessageAreMalformed) {
  for (const std::uint64_t offset : {1ULL, 100ULL, 0x1fff'ffffULL})
    expect_code(FrameType::ping, forge_words({0x0000'0001'0000'0000 | offset << 2}), Code::malformed);
  expect_code(FrameType::error, forge_words({0x0001'0001'0000'0000, 1, 1 | (2ULL | 0x1fff'ffffULL << 3) << 32}),
              Code::malformed);
}

TEST(Hostile, RangesAreBoundedAndSane) {
  const auto accepted = [](unsigned size, std::uint64_t first, std::uint32_t count) {
    return forge<schema::Accepted>([&](auto b) { set_ranges(b.initRanges(size), first, count); });
  };
  EXPECT_TRUE(decode_payload(FrameType::accepted, accepted(512, 1, 1)));
  EXPECT_TRUE(decode_payload(FrameType::accepted, accepted(1, ~0ULL - 5, 5)));
  expect_code(FrameType::accepted, accepted(513, 1, 1), Code::malformed);
  expect_code(FrameType::accepted, accepted(1, 0, 1), Code::malformed);
  expect_code(FrameType::accepted, accepted(1, 1, 0), Code::malformed);
  expect_code(FrameType::accepted, accepted(1, ~0ULL, 1), Code::malformed);
  expect_code(FrameType::accepted, accepted(1, ~0ULL - 5, 6), Code::malformed);
}

TEST(Hostile, WhatIsSaidAboutGroupsIsBounded) {
  const auto receipt = [](unsigned parts, unsigned users, unsigned ranges) {
    return forge<schema::GroupReceipt>(
        [&](auto b) {
          for (auto part : b.initParts(parts)) {
            part.initUsers(users);
            set_ranges(part.initRanges(ranges), 1, 1);
          }
        },
        16'000);
  };
  EXPECT_TRUE(decode_payload(FrameType::group_receipt, receipt(4, 128, 512)));
  expect_code(FrameType::group_receipt, receipt(4, 129, 1), Code::malformed);
  expect_code(FrameType::group_receipt, receipt(5, 1, 410), Code::malformed);
  expect_code(FrameType::group_receipt, receipt(1, 1, 513), Code::malformed);
  expect_code(FrameType::group_receipt, receipt(513, 0, 0), Code::malformed);
  const auto event = [](unsigned users, unsigned devices) {
    return forge<schema::GroupEvent>([&](auto b) { b.initUsers(users), b.initDevices(devices); }, 16'000);
  };
  EXPECT_TRUE(decode_payload(FrameType::group_event, event(1'024, 2'048)));
  expect_code(FrameType::group_event, event(1'025, 0), Code::malformed);
  expect_code(FrameType::group_event, event(0, 2'049), Code::malformed);
  const auto add = [](unsigned users) {
    return forge<schema::Request>([&](auto b) { b.initAddMembers().initUsers(users); }, 16'000);
  };
  EXPECT_TRUE(decode_payload(FrameType::request, add(1'024)));
  expect_code(FrameType::request, add(1'025), Code::malformed);
  expect_code(FrameType::response, forge<schema::Response>([](auto b) { b.initGroup().initMembers(1'025); }, 16'000),
              Code::malformed);
  const std::string long_text(limits::kGroupDescriptionBytesMax + 1, 'x');
  expect_code(FrameType::request, forge<schema::Request>([&](auto b) {
                b.initCreateGroup().setDescription(capnp::Text::Reader(long_text.c_str(), long_text.size()));
              }),
              Code::malformed);
  expect_code(FrameType::group_event,
              forge<schema::GroupEvent>([](auto b) { b.setKind(static_cast<schema::GroupEventKind>(10)); }),
              Code::malformed);
  expect_code(FrameType::group_receipt,
              forge<schema::GroupReceipt>([](auto b) { b.setKind(schema::ReceiptKind::FAILED); }), Code::malformed);
}

TEST(Hostile, WhatIsSaidAboutPresenceIsBounded) {
  const auto watch = [](unsigned users, unsigned groups) {
    return forge<schema::Watch>([&](auto b) { b.initUsers(users), b.initGroups(groups); }, 16'000);
  };
  EXPECT_TRUE(decode_payload(FrameType::watch, watch(64, 16)));
  expect_code(FrameType::watch, watch(65, 0), Code::malformed);
  expect_code(FrameType::watch, watch(0, 17), Code::malformed);
  const auto typing = [](std::uint64_t user, std::uint64_t group, std::uint16_t state) {
    return forge<schema::Typing>(
        [&](auto b) { b.setUser(user), b.setGroup(group), b.setState(static_cast<schema::TypingState>(state)); });
  };
  EXPECT_TRUE(decode_payload(FrameType::typing, typing(1, 0, 2)));
  expect_code(FrameType::typing, typing(1, 0, 3), Code::malformed);
  expect_code(FrameType::typing, typing(1, 1, 0), Code::malformed);
  expect_code(FrameType::typing, typing(0, 0, 0), Code::malformed);
  const auto presence = [](unsigned entries) {
    return forge<schema::Presence>([&](auto b) { b.initEntries(entries); }, 16'000);
  };
  EXPECT_TRUE(decode_payload(FrameType::presence, presence(512)));
  expect_code(FrameType::presence, presence(513), Code::malformed);
  const auto edit = [](unsigned add, unsigned remove) {
    return forge<schema::Request>(
        [&](auto b) { b.initEditContacts().initAdd(add), b.getEditContacts().initRemove(remove); }, 16'000);
  };
  EXPECT_TRUE(decode_payload(FrameType::request, edit(1'000, 24)));
  expect_code(FrameType::request, edit(1'000, 25), Code::malformed);
  expect_code(FrameType::request, edit(1'025, 0), Code::malformed);
  expect_code(FrameType::request,
              forge<schema::Request>([](auto b) { b.initSetPrivacy().setOnline(static_cast<schema::Audience>(3)); }),
              Code::malformed);
}

TEST(Hostile, UnknownEnumeratorsAreMalformedAndUnknownCodesAreUnavailable) {
  expect_code(FrameType::send, forge<schema::Send>([](auto b) { b.setKind(static_cast<schema::SendKind>(4)); }),
              Code::malformed);
  expect_code(FrameType::receipt,
              forge<schema::Receipt>([](auto b) { b.setKind(static_cast<schema::ReceiptKind>(3)); }), Code::malformed);
  const auto refused = decode_payload(
      FrameType::refused, forge<schema::Refused>([](auto b) { b.setCode(static_cast<schema::Code>(900)); }));
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<Refused>(*refused).code, Code::unavailable);
}

TEST(Hostile, UnknownUnionMembersAreUnknownFrames) {
  expect_code(FrameType::request, forge_words({0x0001'0001'0000'0000, 1 | 99ULL << 32, 0}), Code::unknown_frame);
  expect_code(FrameType::response, forge_words({0x0001'0001'0000'0000, 1 | 99ULL << 32, 0}), Code::unknown_frame);
}

TEST(Hostile, TextMustBeUtf8AndShort) {
  const auto login = [](const std::string& client) {
    return forge<schema::Login>([&](auto b) { b.setClient(capnp::Text::Reader(client.c_str(), client.size())); });
  };
  EXPECT_TRUE(decode_payload(FrameType::login, login(std::string(256, 'a'))));
  expect_code(FrameType::login, login(std::string(257, 'a')), Code::malformed);
  for (const char* bad : {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80"}) {
    expect_code(FrameType::login, login(bad), Code::invalid_text);
    const auto text = capnp::Text::Reader(bad);
    expect_code(FrameType::error, forge<schema::Error>([&](auto b) { b.setText(text); }), Code::invalid_text);
    expect_code(FrameType::refused, forge<schema::Refused>([&](auto b) { b.setText(text); }), Code::invalid_text);
    expect_code(FrameType::request, forge<schema::Request>([&](auto b) { b.initRequestCode().setPhone(text); }),
                Code::invalid_text);
    expect_code(FrameType::request, forge<schema::Request>([&](auto b) { b.initVerifyCode().setDeviceName(text); }),
                Code::invalid_text);
    expect_code(FrameType::request, forge<schema::Request>([&](auto b) { b.initLookup().initPhones(2).set(1, text); }),
                Code::invalid_text);
  }
  const std::string unterminated = forge<schema::Error>([](schema::Error::Builder b) {
    capnp::AnyStruct::Builder(kj::mv(b)).getPointerSection()[0].setAs<capnp::Data>(
        capnp::Data::Reader(reinterpret_cast<const kj::byte*>("abcdefgh"), 8));
  });
  expect_code(FrameType::error, unterminated, Code::malformed);
}

TEST(Hostile, BytesOfTheWrongSizeAreRefused) {
  const std::string blob(70'000, '\0');
  const auto data = [&](std::size_t size) {
    return capnp::Data::Reader(reinterpret_cast<const kj::byte*>(blob.data()), size);
  };
  for (const std::size_t size : {0, 31, 33})
    expect_code(FrameType::challenge, forge<schema::Challenge>([&](auto b) { b.setNonce(data(size)); }),
                Code::malformed);
  expect_code(FrameType::login, forge<schema::Login>([&](auto b) { b.setToken(data(1'025)); }), Code::malformed);
  expect_code(FrameType::login, forge<schema::Login>([&](auto b) { b.setSignature(data(1'025)); }), Code::malformed);
  expect_code(FrameType::request, forge<schema::Request>([&](auto b) { b.initVerifyCode().setDeviceKey(data(33)); }),
              Code::malformed);
  const auto send = [&](std::size_t size) {
    return forge<schema::Send>([&](auto b) { b.setContent(data(size)); }, 16'000);
  };
  EXPECT_TRUE(decode_payload(FrameType::send, send(limits::kContentBytesMax)));
  expect_code(FrameType::send, send(limits::kContentBytesMax + 1), Code::content_too_large);
}

}  // namespace
}  // namespace barid::wire
