#include "base/curve.h"

#include <openssl/bn.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

namespace barid::crypto {
namespace {

using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;

constexpr std::size_t kKeySize = crypto_scalarmult_curve25519_BYTES;

const unsigned char* data(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

Number number() { return {BN_new(), &BN_free}; }

// 2^255 - 19, little-endian.
constexpr std::array<unsigned char, kKeySize> prime_bytes() {
  std::array<unsigned char, kKeySize> bytes{};
  for (auto& byte : bytes) byte = 0xff;
  bytes.front() = 0xed;
  bytes.back() = 0x7f;
  return bytes;
}

bool is_canonical(std::string_view key) {
  static constexpr auto kPrime = prime_bytes();
  return std::lexicographical_compare(std::make_reverse_iterator(data(key) + key.size()),
                                      std::make_reverse_iterator(data(key)), kPrime.rbegin(), kPrime.rend());
}

// The Edwards y of a Montgomery u: (u - 1) / (u + 1) (RFC 7748, section 4.1).
bool edwards_y(std::string_view u_bytes, unsigned char* y_bytes) {
  static constexpr auto kPrime = prime_bytes();
  const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> scratch(BN_CTX_new(), &BN_CTX_free);
  const Number p(BN_lebin2bn(kPrime.data(), static_cast<int>(kPrime.size()), nullptr), &BN_free);
  const Number u(BN_lebin2bn(data(u_bytes), static_cast<int>(u_bytes.size()), nullptr), &BN_free);
  const Number above = number(), below = number(), inverse = number(), y = number();
  if (!scratch || !p || !u || !above || !below || !inverse || !y) throw std::runtime_error("out of memory");
  return BN_mod_sub(above.get(), u.get(), BN_value_one(), p.get(), scratch.get()) == 1 &&
         BN_mod_add(below.get(), u.get(), BN_value_one(), p.get(), scratch.get()) == 1 &&
         BN_mod_inverse(inverse.get(), below.get(), p.get(), scratch.get()) != nullptr &&  // u = -1 has none
         BN_mod_mul(y.get(), above.get(), inverse.get(), p.get(), scratch.get()) == 1 &&
         BN_bn2lebinpad(y.get(), y_bytes, static_cast<int>(kKeySize)) == static_cast<int>(kKeySize);
}

// Which points of low order there are, in canonical form: 0, 1, -1, and two of order 8 (those that libsodium and RFC
// 7748's reviewers list; a test checks that a scalar takes each to zero).
bool is_low_order(std::string_view key) {
  static constexpr std::array<std::array<unsigned char, kKeySize>, 5> kLow{{
      {0},
      {1},
      {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
       0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
      {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
       0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
      {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
  }};
  return std::any_of(kLow.begin(), kLow.end(),
                     [&](const auto& low) { return std::equal(low.begin(), low.end(), data(key)); });
}

}  // namespace

bool is_sound_key(std::string_view key) { return key.size() == kKeySize && is_canonical(key) && !is_low_order(key); }

bool verify_xeddsa(std::string_view message, std::string_view signature, std::string_view key) {
  if (signature.size() != crypto_sign_ed25519_BYTES || !is_sound_key(key)) return false;
  constexpr unsigned char kSign = 0x80;
  std::array<unsigned char, kKeySize> edwards;
  if (!edwards_y(key, edwards.data())) return false;
  std::array<unsigned char, crypto_sign_ed25519_BYTES> plain;
  std::copy(signature.begin(), signature.end(), plain.begin());
  edwards.back() |= plain.back() & kSign;
  plain.back() &= static_cast<unsigned char>(~kSign);
  return crypto_sign_ed25519_verify_detached(plain.data(), data(message), message.size(), edwards.data()) == 0;
}

}  // namespace barid::crypto
