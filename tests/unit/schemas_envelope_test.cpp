#include "schemas/envelope.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "schemas/vectors/bridge.h"
#include "schemas_allocations.h"
#include "schemas_gen.h"

namespace barid::envelope {
namespace {

using vectors::to_json;

// What envelopes point to; must not grow meanwhile.
struct Kept {
  std::vector<std::string> frames;
  std::vector<std::vector<Recipient>> recipients;
};
std::vector<Envelope> some_envelopes(Kept& kept) {
  kept.frames.resize(*rc::gen::inRange<std::size_t>(0, 30));
  kept.recipients.resize(kept.frames.size());
  std::vector<Envelope> envelopes;
  for (std::size_t i = 0; i < kept.frames.size(); ++i) {
    kept.frames[i] = std::string(limits::kFrameHeaderBytes, '\x01') + gen::bytes(300);
    if (gen::any<bool>()) kept.recipients[i].resize(*rc::gen::inRange<std::size_t>(0, 50));
    for (Recipient& to : kept.recipients[i]) to = {UserId(gen::u64()), DeviceId(gen::u64())};
    envelopes.push_back({UserId(gen::u64()), DeviceId(gen::u64()), gen::u64(), UserId(gen::u64()), DeviceId(gen::u64()),
                         WallMs{gen::i64()}, WallMs{gen::i64()}, static_cast<Kind>(gen::pick(3)),
                         gen::any<std::uint8_t>(), kept.frames[i], GroupId(gen::u64()), kept.recipients[i]});
  }
  return envelopes;
}
// What a reader is shown: one envelope a recipient.
std::vector<Envelope> letters(const std::vector<Envelope>& envelopes) {
  std::vector<Envelope> out;
  for (Envelope e : envelopes) {
    const auto recipients = std::exchange(e.recipients, {});
    if (recipients.empty()) out.push_back(e);
    for (const Recipient& to : recipients) {
      e.to_user = to.user, e.to_device = to.device;
      out.push_back(e);
    }
  }
  return out;
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
  Kept kept;
  const auto envelopes = some_envelopes(kept);
  const auto origin = gen::u64(), number = gen::u64();
  std::string bytes = "what was here before is replaced";
  encode_batch(bytes, origin, number, envelopes);
  auto decoded = Batch::decode(bytes);
  RC_ASSERT(decoded.has_value());
  const Batch moved = std::move(*decoded);
  std::fill(bytes.begin(), bytes.end(), '\xee');  // a batch owns its bytes
  RC_ASSERT(moved.origin() == origin);
  RC_ASSERT(moved.number() == number);
  RC_ASSERT(as_json(moved.envelopes()) == as_json(letters(envelopes)));
}

RC_GTEST_PROP(Batch, EveryTruncationIsMalformed, ()) {
  Kept kept;
  std::string bytes;
  encode_batch(bytes, 1, 2, some_envelopes(kept));
  for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 300) {
    // Envelopes without content may end in a word that nothing points to: only whole words can go unnoticed.
    if (const auto batch = Batch::decode(std::string_view(bytes).substr(0, cut))) RC_ASSERT(cut % 8 == 0U);
    if (cut % 8 != 0) RC_ASSERT(!Batch::decode(std::string_view(bytes).substr(0, cut)).has_value());
  }
  RC_ASSERT(!Batch::decode(std::string_view(bytes).substr(0, bytes.size() / 16 * 8)).has_value());
}

RC_GTEST_PROP(Batch, FlippedBytesNeverThrowAndNeverPointOutside, ()) {
  Kept kept;
  std::string bytes;
  encode_batch(bytes, 1, 2, some_envelopes(kept));
  for (int i = 0; i < 50; ++i) {
    std::string hostile = bytes;
    for (int flips = 0; flips < 3; ++flips)
      hostile[static_cast<std::size_t>(gen::pick(static_cast<int>(hostile.size())))] = gen::any<char>();
    const auto batch = Batch::decode(hostile);
    if (!batch) continue;
    std::size_t sum = 0;
    for (const Envelope& e : batch->envelopes())
      for (const char c : e.frame) sum += static_cast<unsigned char>(c);  // reads each byte: a sanitizer's chance
    RC_ASSERT(sum < hostile.size() * limits::kBatchLettersMax * 255);
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

TEST(Batch, ManyRecipientsShareOneFrame) {
  const std::string frame(10'000, '\x01');
  std::vector<Recipient> recipients;
  for (std::size_t i = 0; i < limits::kEnvelopeRecipientsMax; ++i) recipients.push_back({UserId(i), DeviceId(i + 1)});
  Envelope envelope = with_frame(frame);
  envelope.recipients = recipients;
  std::string bytes;
  encode_batch(bytes, 1, 2, {envelope});
  EXPECT_LT(bytes.size(), frame.size() + sizeof(Recipient) * recipients.size() + 200);
  const auto batch = Batch::decode(bytes);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->envelopes().size(), recipients.size());
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    const Envelope& e = batch->envelopes()[i];
    EXPECT_EQ((Recipient{e.to_user, e.to_device}), recipients[i]);
    EXPECT_EQ(e.frame.data(), batch->envelopes().front().frame.data());
    EXPECT_TRUE(e.recipients.empty());
  }
}

TEST(Batch, MoreRecipientsOrLettersThanTheLimitsAreMalformed) {
  const std::string frame(8, '\x01');
  const std::vector<Recipient> recipients(limits::kEnvelopeRecipientsMax + 1, Recipient{UserId(1), DeviceId(2)});
  Envelope envelope = with_frame(frame);
  envelope.recipients = recipients;
  std::string bytes;
  encode_batch(bytes, 1, 2, {envelope});
  EXPECT_FALSE(Batch::decode(bytes));
  envelope.recipients = std::span(recipients).first(limits::kEnvelopeRecipientsMax);
  const std::size_t most = limits::kBatchLettersMax / limits::kEnvelopeRecipientsMax;
  std::vector<Envelope> envelopes(most, envelope);
  encode_batch(bytes, 1, 2, envelopes);
  EXPECT_TRUE(Batch::decode(bytes));
  envelopes.push_back(with_frame(frame));
  encode_batch(bytes, 1, 2, envelopes);
  EXPECT_FALSE(Batch::decode(bytes));
}

TEST(Batch, RecipientsThatEnvelopesShareCostBoundedMemory) {
  const std::string frame(8, '\x01');
  const std::vector<Recipient> recipients(limits::kEnvelopeRecipientsMax, Recipient{UserId(1), DeviceId(2)});
  std::vector<Envelope> envelopes(100, with_frame(frame));
  envelopes.front().recipients = recipients;
  std::string bytes;
  encode_batch(bytes, 1, 2, envelopes);
  // Every envelope's pointer to its recipients (the last of its words) is made to point to the first one's list.
  constexpr std::size_t kFirst = 1 + 1 + 4 + 1, kEnvelopeWords = 11;  // segment table, root pointer, Batch, list tag
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  const std::uint64_t pointer = words[kFirst + kEnvelopeWords - 1];
  ASSERT_EQ(pointer & 3U, 1U);  // a list
  for (std::size_t i = 1; i < envelopes.size(); ++i)
    words[kFirst + (i + 1) * kEnvelopeWords - 1] = pointer - (static_cast<std::uint64_t>(i) * kEnvelopeWords << 2);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  allocated_bytes() = 0;
  EXPECT_FALSE(Batch::decode(bytes));  // 100 · 1,024 letters
  EXPECT_LT(allocated_bytes(), 4U * limits::kBatchLettersMax * sizeof(Envelope));
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
