#include "base/crypto.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

namespace barid::crypto {
namespace {

std::string raw(std::string_view hex) {
  std::string out;
  EXPECT_TRUE(from_hex(hex, out)) << hex;
  return out;
}
template <std::size_t N>
std::array<std::uint8_t, N> array(std::string_view hex) {
  const std::string bytes = raw(hex);
  std::array<std::uint8_t, N> out{};
  EXPECT_EQ(bytes.size(), N);
  std::copy_n(bytes.begin(), N, out.begin());
  return out;
}

struct Rfc8032 {
  const char *seed, *public_key, *message, *signature;
};
// RFC 8032, section 7.1, tests 1 to 3.
constexpr Rfc8032 kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f"
     "0595bbe24655"
     "141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2ea"
     "eb4302aeeb00"
     "d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e"
     "9716ed28dc02"
     "7beceea1ec40a"},
};

TEST(Ed25519, GivesTheSignaturesOfRfc8032) {
  init_crypto();
  for (const Rfc8032& v : kVectors) {
    const KeyPair pair = key_pair_from_seed(array<32>(v.seed));
    EXPECT_EQ(to_hex(view(pair.public_key)), v.public_key);
    const Signature signature = sign(raw(v.message), pair.secret_key);
    EXPECT_EQ(to_hex(view(signature)), v.signature);
    EXPECT_TRUE(verify(raw(v.message), view(signature), pair.public_key));
  }
}

RC_GTEST_PROP(Ed25519, RefusesAnyOtherMessageKeyOrSignature, (const std::string& message, std::uint16_t where)) {
  init_crypto();
  const KeyPair pair = make_key_pair(), other = make_key_pair();
  const Signature signature = sign(message, pair.secret_key);
  RC_ASSERT(verify(message, view(signature), pair.public_key));
  RC_ASSERT(!verify(message + "x", view(signature), pair.public_key));
  RC_ASSERT(!verify(message, view(signature), other.public_key));
  Signature forged = signature;
  forged[where % forged.size()] ^= static_cast<std::uint8_t>(1U << (where / forged.size() % 8));
  RC_ASSERT(!verify(message, view(forged), pair.public_key));
  RC_ASSERT(!verify(message, view(signature).substr(0, 63), pair.public_key));
  RC_ASSERT(!verify(message, std::string(view(signature)) + '\0', pair.public_key));
  RC_ASSERT(!verify(message, "", pair.public_key));
}

TEST(SipHash, GivesTheVectorOfItsPaper) {
  init_crypto();  // Aumasson and Bernstein 2012, appendix A
  ShortKey key;
  std::string message;
  for (int i = 0; i < 16; ++i) key[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i);
  for (int i = 0; i < 15; ++i) message.push_back(static_cast<char>(i));
  EXPECT_EQ(short_hash(message, key), 0xa129ca6149be45e5ULL);
}

TEST(Mac, DependsOnKeyAndMessage) {
  init_crypto();
  MacKey key{}, other{};
  other[0] = 1;
  EXPECT_EQ(mac("123456", key), mac("123456", key));
  EXPECT_NE(mac("123456", key), mac("123457", key));
  EXPECT_NE(mac("123456", key), mac("123456", other));
}

TEST(ConstantTimeCompare, IsEqualityOfBytes) {
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_TRUE(equal_constant_time("123456", "123456"));
  EXPECT_FALSE(equal_constant_time("123456", "123457"));
  EXPECT_FALSE(equal_constant_time("123456", "12345"));
  EXPECT_FALSE(equal_constant_time("", "1"));
}

RC_GTEST_PROP(Hex, RoundTrips, (const std::string& bytes)) {
  std::string back;
  RC_ASSERT(from_hex(to_hex(bytes), back));
  RC_ASSERT(back == bytes);
}

TEST(Hex, RefusesWhatIsNotHex) {
  std::string out;
  for (const char* bad : {"0", "abc", "0g", "0x00", "a b0", "zz", " 00"}) EXPECT_FALSE(from_hex(bad, out)) << bad;
  EXPECT_TRUE(from_hex("", out));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(from_hex("00fFA0", out));
  EXPECT_EQ(out, std::string("\x00\xff\xa0", 3));
}

TEST(Random, BelowABoundReachesAllAndNothingElse) {
  init_crypto();
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 2'000; ++i) {
    const auto value = random_below(10);
    ASSERT_LT(value, 10U);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 10U);
  EXPECT_NE(random_u64(), random_u64());
}

}  // namespace
}  // namespace barid::crypto
