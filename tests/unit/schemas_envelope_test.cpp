#include "schemas/envelope.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "schemas/vectors/bridge.h"
#include "schemas_allocations.h"
#include "schemas_gen.h"

namespace barid::envelope {
namespace {

using vectors::to_json;

// Envelopes whose frames live in `frames`, which must not grow meanwhile.
std::vector<Envelope> some_envelopes(std::vector<std::string>& frames) {
  frames.resize(*rc::gen::inRange<std::size_t>(0, 30));
  std::vector<Envelope> envelopes;
  for (std::string& frame : frames) {
    frame = std::string(limits::kFrameHeaderBytes, '\x01') + gen::bytes(300);
    envelopes.push_back({UserId(gen::u64()), DeviceId(gen::u64()), gen::u64(), UserId(gen::u64()), DeviceId(gen::u64()),
                         WallMs{gen::i64()}, WallMs{gen::i64()}, gen::any<bool>() ? Kind::message : Kind::receipt,
                         gen::any<std::uint8_t>(), frame});
  }
  return envelopes;
}
Envelope with_frame(std::string_view frame) {
  Envelope envelope;
  envelope.frame = frame;
  return envelope;
}
std::vector<vectors::Json> as_json(const std::vector<Envelope>& envelopes) {
  std::vector<vectors::Json> out;
  for (const Envelope& e : envelopes) out.push_back(to_json(e));
  return out;
}

RC_GTEST_PROP(Batch, SurvivesTheStreamAndBeingMoved, ()) {
  std::vector<std::string> frames;
  const auto envelopes = some_envelopes(frames);
  const auto origin = gen::u64(), number = gen::u64();
  std::string bytes = "what was here before is replaced";
  encode_batch(bytes, origin, number, envelopes);
  auto decoded = Batch::decode(bytes);
  RC_ASSERT(decoded.has_value());
  const Batch moved = std::move(*decoded);
  std::fill(bytes.begin(), bytes.end(), '\xee');  // a batch owns its bytes
  RC_ASSERT(moved.origin() == origin);
  RC_ASSERT(moved.number() == number);
  RC_ASSERT(as_json(moved.envelopes()) == as_json(envelopes));
}

RC_GTEST_PROP(Batch, EveryTruncationIsMalformed, ()) {
  std::vector<std::string> frames;
  std::string bytes;
  encode_batch(bytes, 1, 2, some_envelopes(frames));
  for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 300) {
    // Envelopes without content may end in a word that nothing points to: only whole words can go unnoticed.
    if (const auto batch = Batch::decode(std::string_view(bytes).substr(0, cut))) RC_ASSERT(cut % 8 == 0U);
    if (cut % 8 != 0) RC_ASSERT(!Batch::decode(std::string_view(bytes).substr(0, cut)).has_value());
  }
  RC_ASSERT(!Batch::decode(std::string_view(bytes).substr(0, bytes.size() / 16 * 8)).has_value());
}

RC_GTEST_PROP(Batch, FlippedBytesNeverThrowAndNeverPointOutside, ()) {
  std::vector<std::string> frames;
  std::string bytes;
  encode_batch(bytes, 1, 2, some_envelopes(frames));
  for (int i = 0; i < 50; ++i) {
    std::string hostile = bytes;
    for (int flips = 0; flips < 3; ++flips)
      hostile[static_cast<std::size_t>(gen::pick(static_cast<int>(hostile.size())))] = gen::any<char>();
    const auto batch = Batch::decode(hostile);
    if (!batch) continue;
    std::size_t sum = 0;
    for (const Envelope& e : batch->envelopes())
      for (const char c : e.frame) sum += static_cast<unsigned char>(c);  // reads each byte: a sanitizer's chance
    RC_ASSERT(sum < hostile.size() * limits::kBatchEnvelopesMax * 255);
  }
}

TEST(Batch, TheLargestBatchFitsItsSegmentAndIsRead) {
  const std::string frame(limits::kBatchBytesMax / limits::kBatchEnvelopesMax - 8, '\x7f');
  const std::vector<Envelope> envelopes(
      limits::kBatchEnvelopesMax, {UserId(1), DeviceId(2), 3, UserId(4), DeviceId(5), {}, {}, Kind::message, 0, frame});
  std::string bytes;
  encode_batch(bytes, 1, 2, envelopes);
  EXPECT_LE(bytes.size(), 1'048'576U + 1'024U * 64);
  const auto batch = Batch::decode(bytes);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->envelopes().size(), limits::kBatchEnvelopesMax);
  EXPECT_EQ(batch->envelopes().back().frame, frame);
}

TEST(Batch, MoreEnvelopesThanTheLimitAreMalformed) {
  const std::string frame(8, '\x01');
  std::string bytes;
  encode_batch(bytes, 1, 2, std::vector<Envelope>(limits::kBatchEnvelopesMax + 1, with_frame(frame)));
  EXPECT_FALSE(Batch::decode(bytes));
}

TEST(Batch, AnEnvelopeWithoutAWholeFrameHeaderIsMalformed) {
  std::string bytes;
  encode_batch(bytes, 1, 2, {with_frame("abc")});
  EXPECT_FALSE(Batch::decode(bytes));
  encode_batch(bytes, 1, 2, {with_frame("abcd")});
  EXPECT_TRUE(Batch::decode(bytes));
}

TEST(Batch, AnUnknownVersionIsMalformed) {
  std::string bytes;
  encode_batch(bytes, 1, 2, {});
  ASSERT_TRUE(Batch::decode(bytes));
  bytes[16] = 2;  // segment table, root pointer, then the version
  EXPECT_FALSE(Batch::decode(bytes));
}

TEST(Batch, NothingAndHalfAWordAreMalformed) {
  EXPECT_FALSE(Batch::decode({}));
  EXPECT_FALSE(Batch::decode("abc"));
  EXPECT_FALSE(Batch::decode(std::string(8, '\0')));
  EXPECT_FALSE(Batch::decode(std::string(64, '\xff')));
}

TEST(Batch, AHostileCountCostsBoundedMemory) {
  // Root struct of three data words and one pointer, to a list of 2^29-1 envelopes without size.
  const std::uint64_t words[] = {6ULL << 32, 0x0001'0003'0000'0000, 1, 0, 0, 1 | 7ULL << 32, 0x1fff'ffffULL << 2};
  allocated_bytes() = 0;
  EXPECT_FALSE(Batch::decode({reinterpret_cast<const char*>(words), sizeof words}));
  EXPECT_LT(allocated_bytes(), 64U * 1024);
}

}  // namespace
}  // namespace barid::envelope
