#include "base/curve.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "base/crypto.h"

namespace barid::crypto {
namespace {

std::string unhex(const std::string& hex) {
  std::string raw;
  if (!from_hex(hex, raw)) throw std::runtime_error("not hex");
  return raw;
}

// Signatures by libsignal-protocol-c of a signed prekey with its type byte; both signs of the Edwards point.
struct Signed {
  const char *key, *message, *signature;
};
constexpr Signed kByLibsignal[] = {
    {"0faafc77c48f31aa971bd7b4a5bff2751c9776431e57036d5efb1d2006dee115",
     "058cbecbd3e8ce86bdb494db793c92f85267ab0208d6181eac17f2034b64b3b559",
     "017f8f444c2268e8746d2895d7205825a48887aaad6c746d1058a3ababcfcd52"
     "36c002301a13c9c6f0eef56da8d456c3621acf62f98fe76597a8b230b4e96f8a"},
    {"0567692fd8ca5f7a77f73dfb5ca3a299f99914f747403c6eca9fb14d2a38915f",
     "05b1b8b8044209812dfe6b32cd17ac0603418a6fc5e04ee5aca93e93a0bc9bb13d",
     "043d4ce32abc6fe6c147fa414d506fa7a2b2fa9efb985bae1022a27b4c204ae8"
     "d038c5402cfe5e5b19f55c11b30b8657b14e2e3e6a4cdf13e348d40541ec0400"},
};

TEST(XEdDsa, TakesWhatLibsignalSigned) {
  for (const Signed& s : kByLibsignal) EXPECT_TRUE(verify_xeddsa(unhex(s.message), unhex(s.signature), unhex(s.key)));
}

TEST(XEdDsa, AnyChangedBitIsRefused) {
  for (const Signed& s : kByLibsignal) {
    const std::string key = unhex(s.key), message = unhex(s.message), signature = unhex(s.signature);
    for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
      std::string changed = signature;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      EXPECT_FALSE(verify_xeddsa(message, changed, key)) << bit;
    }
    for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
      std::string changed = message;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      EXPECT_FALSE(verify_xeddsa(changed, signature, key)) << bit;
    }
    EXPECT_FALSE(verify_xeddsa(message, signature, unhex(kByLibsignal[&s == kByLibsignal ? 1 : 0].key)));
    EXPECT_FALSE(verify_xeddsa(message, signature.substr(1), key));
    EXPECT_FALSE(verify_xeddsa(message, signature, key.substr(1)));
    EXPECT_FALSE(verify_xeddsa("", "", ""));
  }
}

// u = -1 has no Edwards point, and its inverse does not exist: refused, not a fault.
TEST(XEdDsa, KeysOfLowOrderVerifyNothing) {
  const std::string minus_one = "\xec" + std::string(30, '\xff') + "\x7f";
  EXPECT_FALSE(verify_xeddsa("m", std::string(64, '\0'), minus_one));
  EXPECT_FALSE(verify_xeddsa("m", std::string(64, '\0'), std::string(32, '\0')));
}

const std::vector<std::string> kLowOrder = {
    std::string(64, '0'),
    "01" + std::string(62, '0'),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + std::string(60, 'f') + "7f",
};

TEST(SoundKeys, PointsOfLowOrderAreNot) {
  init_crypto();
  for (const std::string& hex : kLowOrder) {
    const std::string key = unhex(hex);
    EXPECT_FALSE(is_sound_key(key)) << hex;
    unsigned char out[32], scalar[32];
    randombytes_buf(scalar, sizeof scalar);
    EXPECT_NE(crypto_scalarmult_curve25519(out, scalar, reinterpret_cast<const unsigned char*>(key.data())), 0) << hex;
  }
}

TEST(SoundKeys, OtherFormsOfAKeyAreNot) {
  for (const char* first : {"ed", "ee", "ef", "ff"}) {  // p, p + 1, p + 2: the same as 0, 1, 2
    EXPECT_FALSE(is_sound_key(unhex(first + std::string(60, 'f') + "7f"))) << first;
  }
  std::string key = unhex(kByLibsignal[0].key);
  EXPECT_TRUE(is_sound_key(key));
  EXPECT_FALSE(is_sound_key(key + "x"));
  EXPECT_FALSE(is_sound_key(key.substr(1)));
  EXPECT_FALSE(is_sound_key(""));
  key.back() = static_cast<char>(key.back() | 0x80);  // the bit that RFC 7748 ignores
  EXPECT_FALSE(is_sound_key(key));
}

}  // namespace
}  // namespace barid::crypto
