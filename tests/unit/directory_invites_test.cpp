// The text of an invite.
#include <gtest/gtest.h>

#include "workers/directory/invites.h"

namespace barid::directory {
namespace {

class Invites : public testing::Test {
 protected:
  void SetUp() override {
    crypto::init_crypto();
    crypto::random_bytes(key.data(), key.size());
  }
  crypto::MacKey key{};
  std::string nonce = std::string(kInviteNonceBytes, 'n');
};

TEST_F(Invites, SurviveATextMessage) {
  for (const std::uint64_t id : {1ULL, 0x7fffffffffffffffULL}) {
    const std::string text = invite_text(GroupId(id), nonce, key);
    EXPECT_EQ(text.size(), 32U);
    EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos);
    EXPECT_EQ(group_of_invite(text), GroupId(id));
    EXPECT_TRUE(is_invite(text, GroupId(id), nonce, key));
  }
}

TEST_F(Invites, DependOnGroupNonceAndKey) {
  const std::string text = invite_text(GroupId(1), nonce, key);
  EXPECT_FALSE(is_invite(text, GroupId(2), nonce, key));
  EXPECT_FALSE(is_invite(text, GroupId(1), std::string(kInviteNonceBytes, 'm'), key));
  crypto::MacKey other = key;
  other[0] ^= 1;
  EXPECT_FALSE(is_invite(text, GroupId(1), nonce, other));
  EXPECT_NE(make_invite_nonce(), make_invite_nonce());
}

TEST_F(Invites, OfAnotherFormAreNone) {
  const std::string text = invite_text(GroupId(1), nonce, key);
  for (const std::string& bad :
       {std::string(), text + "A", text.substr(1), std::string(32, '='), std::string(32, '\0'), "+" + text.substr(1)})
    EXPECT_EQ(group_of_invite(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace barid::directory
