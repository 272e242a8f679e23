#include "schemas/content.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "schemas/vectors/bridge.h"
#include "schemas_allocations.h"
#include "schemas_gen.h"

namespace barid::content {
namespace {

using vectors::to_json;

RC_GTEST_PROP(Content, EveryTypeSurvivesTheWire, ()) {
  for (int kind = 0; kind < 7; ++kind) {
    const Content content = gen::content(kind);
    const auto bytes = encode(content);
    RC_ASSERT(bytes.has_value());
    const auto back = decode(*bytes);
    RC_ASSERT(back.has_value());
    RC_ASSERT(to_json(*back) == to_json(content));
  }
}

RC_GTEST_PROP(Content, EveryTruncationIsMalformed, ()) {
  for (int kind = 0; kind < 7; ++kind) {
    const std::string bytes = encode(gen::content(kind)).value();
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
      RC_ASSERT(decode(std::string_view(bytes).substr(0, cut)).error() == Errc::malformed);
  }
}

RC_GTEST_PROP(Content, GarbageNeverThrows, (const std::string& garbage)) {
  const auto content = decode(garbage);
  RC_CLASSIFY(content.has_value());
}

// The largest size for which `make(size)` can be encoded.
template <class Make>
std::size_t largest_encodable(Make&& make) {
  std::size_t fits = 0, too_large = 1'000'000;
  while (too_large - fits > 1) {
    const std::size_t middle = (fits + too_large) / 2;
    (encode(make(middle)) ? fits : too_large) = middle;
  }
  EXPECT_EQ(encode(make(too_large)).error(), Errc::too_large);
  return fits;
}

TEST(Content, ATextAsLongAsAFrameTakesIsEncodedAndOneThatIsLongerIsTooLarge) {
  const auto make = [](std::size_t size) { return Text{std::string(size, 'x')}; };
  const std::size_t fits = largest_encodable(make);
  EXPECT_GT(fits, limits::kContentBytesMax * 99 / 100);
  EXPECT_LE(encode(make(fits)).value().size(), limits::kContentBytesMax);
  const auto back = decode(encode(make(fits)).value());
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<Text>(*back).text.size(), fits);
}

TEST(Content, WhatPacksWellIsTooLargeBeforeAReaderWouldRefuseToUnpackIt) {
  const auto zeros = [](std::size_t size) {
    Media media;
    media.thumbnail.assign(size, '\0');
    return media;
  };
  const auto nobody = [](std::size_t size) { return Contact{"", std::vector<std::string>(size)}; };
  EXPECT_TRUE(decode(encode(zeros(largest_encodable(zeros))).value()));
  EXPECT_GT(largest_encodable(zeros), limits::kUnpackedBytesMax * 99 / 100);
  EXPECT_TRUE(decode(encode(nobody(largest_encodable(nobody))).value()));
}

TEST(Content, InvalidTextIsRefusedInBothDirectionsInEveryField) {
  const std::string bad = "\xff";
  const auto refused = [](const Content& content) { return encode(content).error() == Errc::invalid_text; };
  EXPECT_TRUE(refused(Text{bad}));
  EXPECT_TRUE(refused(Contact{bad, {}}));
  EXPECT_TRUE(refused(Contact{"", {"+49", bad}}));
  EXPECT_TRUE(refused(Location{0, 0, 0, bad}));
  for (std::string Media::*field : {&Media::url, &Media::mime, &Media::name, &Media::caption}) {
    Media media;
    media.*field = bad;
    EXPECT_TRUE(refused(media));
  }
  Media media;
  media.digest = media.thumbnail = bad;  // bytes, not text
  EXPECT_TRUE(encode(media));
  std::string bytes = encode(Text{"ab"}).value();
  bytes[bytes.find("ab")] = '\xff';
  EXPECT_EQ(decode(bytes).error(), Errc::invalid_text);
}

TEST(Content, PlacesOffTheEarthAreRefusedInBothDirections) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const auto& [latitude, longitude] : std::vector<std::pair<double, double>>{
           {90.1, 0}, {-90.1, 0}, {0, 180.1}, {0, -180.1}, {nan, 0}, {0, nan}, {inf, 0}, {0, -inf}})
    EXPECT_EQ(encode(Location{latitude, longitude, 0, ""}).error(), Errc::invalid_coordinates);
  std::string bytes = encode(Location{-90, -180, 0, ""}).value();
  const auto at = bytes.find("\x80\x56\xc0");  // -90.0, little-endian, packed
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] = '\x66';
  EXPECT_EQ(decode(bytes).error(), Errc::invalid_coordinates);
}

TEST(Content, ATypeOfANewerClientIsMalformedToThisOne) {
  std::string bytes = encode(Text{"x"}).value();
  // header word, root pointer, then the union's discriminant: 0 for text, so absent from the packed word's
  // tag.
  const std::string packed_text_header("\x10\x04\x50\x01\x01\x00", 6);
  ASSERT_TRUE(bytes.starts_with(packed_text_header));
  bytes = packed_text_header.substr(0, 5) + std::string("\x01\x63", 2) + bytes.substr(7);
  EXPECT_EQ(decode(bytes).error(), Errc::malformed);
}

TEST(Content, AHugeListOfNothingCostsBoundedMemory) {
  Contact contact;
  contact.phones.resize(8'000);
  const auto bytes = encode(contact);
  ASSERT_TRUE(bytes);
  allocated_bytes() = 0;
  ASSERT_TRUE(decode(*bytes));
  EXPECT_LT(allocated_bytes(), 1'000'000U);
}

TEST(Content, TypesHaveTheNamesOfTheSchema) {
  EXPECT_EQ(type_name(Text{}), "text");
  Media media;
  for (const auto& [kind, name] : std::vector<std::pair<MediaKind, std::string>>{{MediaKind::image, "image"},
                                                                                 {MediaKind::audio, "audio"},
                                                                                 {MediaKind::video, "video"},
                                                                                 {MediaKind::document, "document"}}) {
    media.kind = kind;
    EXPECT_EQ(type_name(media), name);
  }
  EXPECT_EQ(type_name(Location{}), "location");
  EXPECT_EQ(type_name(Contact{}), "contact");
  EXPECT_EQ(type_name(Sealed{}), "sealed");
  EXPECT_EQ(type_name(SenderKey{}), "senderKey");
  EXPECT_EQ(type_name(Retry{}), "retry");
  EXPECT_EQ(type_name(Again{}), "again");
}

}  // namespace
}  // namespace barid::content
