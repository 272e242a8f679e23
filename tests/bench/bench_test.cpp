// The generator's own parts: a benchmark that can't tell a lost message from a delivered one is worth nothing.
#include <gtest/gtest.h>

#include "schemas/wire.h"
#include "tests/bench/content.h"
#include "tests/bench/histogram.h"
#include "tests/bench/packed.h"
#include "tests/bench/tracker.h"

namespace barid::bench {
namespace {

const wire::Address kAddress{UserId(0x0102030405060708), DeviceId(0xff00ff00ff00ff00), 0x8000000000000001};

TEST(BenchPacked, TheServersCodecReadsOurSendsOfAnySize) {
  for (const std::size_t size : {1U, 7U, 8U, 9U, 16U, 200U, 2'047U, 2'048U, 2'049U, 20'000U, 61'440U}) {
    const std::string content = std::string(ContentMaker(size).make(7, 9));
    std::string out;
    append_send(out, 0x1234567890, kAddress, 1'700'000'000'123, content);
    const auto raw = wire::split(out);
    ASSERT_TRUE(raw && raw->bytes == out.size()) << size;
    const auto frame = wire::decode(*raw);
    ASSERT_TRUE(frame.has_value()) << size;
    const auto& send = std::get<wire::Send>(*frame);
    EXPECT_EQ(send.seq, 0x1234567890U);
    EXPECT_EQ(send.to.user, kAddress.user);
    EXPECT_EQ(send.to.device, kAddress.device);
    EXPECT_EQ(send.to.tag, kAddress.tag);
    EXPECT_EQ(send.sent_at_ms, 1'700'000'000'123);
    EXPECT_EQ(send.content, content);
    EXPECT_TRUE(send.ranges.empty());
  }
}

TEST(BenchPacked, TheServersCodecReadsOurAcks) {
  for (const std::uint64_t up_to : {std::uint64_t{1}, std::uint64_t{300}, ~std::uint64_t{0}}) {
    std::string out;
    append_ack(out, up_to);
    const auto frame = wire::decode(*wire::split(out));
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(std::get<wire::Ack>(*frame).up_to, up_to);
  }
}

TEST(BenchPacked, ReadsWhatTheServerWrites) {
  PackedReader reader;
  for (const std::size_t size : {1U, 8U, 200U, 5'000U, 61'440U}) {
    wire::Deliver deliver{UserId(1), DeviceId(0xabcdef), 77, 5, 6, std::string(ContentMaker(size).make(1, 77))};
    deliver.content[size / 2] = '\0';
    std::string out;
    wire::append(out, deliver);
    ASSERT_TRUE(reader.open(wire::split(out)->payload));
    EXPECT_EQ(reader.word(1), 0xabcdefU);
    EXPECT_EQ(reader.word(2), 77U);
    EXPECT_EQ(reader.bytes(0), deliver.content);
  }
  std::string out;
  wire::append(out,
               wire::Receipt{wire::ReceiptKind::read, UserId(1), DeviceId(2), {{5, 3}, {900, 1}}, 4, wire::Code::none});
  ASSERT_TRUE(reader.open(wire::split(out)->payload));
  EXPECT_EQ(reader.word(0) & 0xffff, 1U);
  const auto ranges = reader.ranges(0);
  ASSERT_EQ(ranges.count, 2U);
  EXPECT_EQ(ranges[0], (SeqRange{5, 3}));
  EXPECT_EQ(ranges[1], (SeqRange{900, 1}));
}

TEST(BenchPacked, RefusesWhatIsCutShort) {
  std::string out;
  wire::append(out, wire::Deliver{UserId(1), DeviceId(2), 3, 4, 5, std::string(300, 'x')});
  const auto payload = wire::split(out)->payload;
  PackedReader reader;
  for (std::size_t size = 0; size < payload.size(); ++size)
    EXPECT_FALSE(reader.open(payload.substr(0, size)) && reader.bytes(0).size() == 300) << size;
}

TEST(BenchTracker, CountsWhatIsLostDoubledAndReordered) {
  Tracker t(10);
  EXPECT_EQ(t.take(10, 3), 3U);  // 10 to 12
  EXPECT_EQ(t.take(15), 1U);     // 13 and 14 are missing
  EXPECT_EQ(t.taken(), 4U);
  EXPECT_FALSE(t.has(13));
  EXPECT_TRUE(t.has(15));
  EXPECT_EQ(t.late(), 0U);
  EXPECT_EQ(t.take(14), 1U);
  EXPECT_EQ(t.late(), 1U);
  EXPECT_EQ(t.take(14), 0U);
  EXPECT_EQ(t.take(11), 0U);
  EXPECT_EQ(t.repeated(), 2U);
  EXPECT_EQ(t.take(12, 5), 2U);  // 13 and 16 are new
  EXPECT_EQ(t.taken(), 7U);
  EXPECT_EQ(t.next(), 17U);
}

TEST(BenchHistogram, PercentilesAreWithinTwoPercentAndNeverFlattered) {
  Histogram h;
  for (std::int64_t us = 1; us <= 10'000; ++us) h.record(us * 1'000);
  Histogram::Counts counts{};
  h.add_to(counts);
  EXPECT_EQ(count_of(counts), 10'000U);
  for (const double share : {0.5, 0.9, 0.99, 0.999, 1.0}) {
    EXPECT_GE(percentile_ms(counts, share), share * 10) << share;
    EXPECT_LE(percentile_ms(counts, share), share * 10 * 1.02) << share;
  }
}

TEST(BenchHistogram, EveryValueFallsIntoTheBucketThatEndsAboveIt) {
  for (std::int64_t v : {0L, 1L, 63L, 64L, 65L, 127L, 128L, 1'000'000L, 123'456'789L, (1L << 40) - 1}) {
    const std::size_t bucket = Histogram::bucket_of(v);
    ASSERT_LT(bucket, Histogram::kBuckets);
    EXPECT_GE(Histogram::upper_of(bucket), static_cast<std::uint64_t>(v));
    EXPECT_TRUE(bucket == 0 || Histogram::upper_of(bucket - 1) < static_cast<std::uint64_t>(v)) << v;
  }
  EXPECT_EQ(Histogram::bucket_of(1L << 50), Histogram::kBuckets - 1);
  EXPECT_EQ(Histogram::bucket_of(-5), 0U);
}

TEST(BenchContent, AChangedByteAnotherSenderOrNumberIsNoticed) {
  for (const std::size_t size : {16U, 24U, 200U}) {
    ContentMaker maker(size);
    const std::string made(maker.make(3, 41));
    EXPECT_TRUE(maker.verify(made, 3, 41));
    EXPECT_FALSE(maker.verify(made, 3, 42));
    EXPECT_FALSE(maker.verify(made, 4, 41));
    EXPECT_FALSE(maker.verify(made.substr(1), 3, 41));
    for (std::size_t i = 0; i < size; ++i) {
      std::string changed = made;
      changed[i] = static_cast<char>(changed[i] ^ 1);
      EXPECT_FALSE(maker.verify(changed, 3, 41)) << i;
    }
  }
}

}  // namespace
}  // namespace barid::bench
