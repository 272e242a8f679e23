#include "schemas/token.h"

#include <gtest/gtest.h>

#include "base/crypto.h"

namespace barid::token {
namespace {

class Tokens : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto::init_crypto();
    directory = crypto::make_key_pair();
    token = {UserId(1), DeviceId(2), crypto::make_key_pair().public_key, 1'000, 2'000};
    sealed = seal(token, directory.secret_key);
  }
  crypto::KeyPair directory;
  Token token;
  std::string sealed;
};

TEST_F(Tokens, OpenWithTheKeyThatSealedThem) {
  const auto opened = open(sealed, directory.public_key);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->user, token.user);
  EXPECT_EQ(opened->device, token.device);
  EXPECT_EQ(opened->device_key, token.device_key);
  EXPECT_EQ(opened->issued_at_s, token.issued_at_s);
  EXPECT_EQ(opened->expires_at_s, token.expires_at_s);
}

TEST_F(Tokens, AnyChangedBitIsABadSignature) {
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string forged = sealed;
    forged[bit / 8] = static_cast<char>(forged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(open(forged, directory.public_key).error(), Errc::bad_signature) << bit;
  }
}

TEST_F(Tokens, TruncatedAndPaddedOnesAreRefused) {
  for (std::size_t size = 0; size < sealed.size(); ++size)
    EXPECT_FALSE(open(std::string_view(sealed).substr(0, size), directory.public_key)) << size;
  EXPECT_EQ(open(sealed + '\0', directory.public_key).error(), Errc::bad_signature);
  EXPECT_EQ(open({}, directory.public_key).error(), Errc::malformed);
  EXPECT_EQ(open(std::string(100'000, 'x'), directory.public_key).error(), Errc::malformed);
}

TEST_F(Tokens, AnotherDirectoryOrADevicesOwnKeyCannotMakeThem) {
  const auto impostor = crypto::make_key_pair();
  EXPECT_EQ(open(seal(token, impostor.secret_key), directory.public_key).error(), Errc::bad_signature);
}

TEST_F(Tokens, ASignatureOverTheBodyAloneIsNotATokensSignature) {
  const std::string body = sealed.substr(64);
  const auto signature = crypto::sign(body, directory.secret_key);  // what some other protocol might be tricked into
  EXPECT_EQ(open(std::string(crypto::view(signature)) + body, directory.public_key).error(), Errc::bad_signature);
}

TEST_F(Tokens, SignedNonsenseIsMalformed) {
  for (const std::string& body : {std::string(8, '\0'), std::string("nonsense"), std::string(64, '\xff')}) {
    const auto signature = crypto::sign("barid-token-v1" + body, directory.secret_key);
    EXPECT_EQ(open(std::string(crypto::view(signature)) + body, directory.public_key).error(), Errc::malformed);
  }
}

TEST(AddressTags, DependOnUserDeviceAndKey) {
  crypto::init_crypto();
  crypto::ShortKey key{}, other{};
  other[15] = 1;
  const auto tag = address_tag(UserId(1), DeviceId(2), key);
  EXPECT_EQ(tag, address_tag(UserId(1), DeviceId(2), key));
  EXPECT_NE(tag, address_tag(UserId(2), DeviceId(1), key));
  EXPECT_NE(tag, address_tag(UserId(1), DeviceId(3), key));
  EXPECT_NE(tag, address_tag(UserId(1), DeviceId(2), other));
}

}  // namespace
}  // namespace barid::token
