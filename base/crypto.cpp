#include "base/crypto.h"

#include <sodium.h>

#include <stdexcept>

namespace barid::crypto {
namespace {
const unsigned char* data(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }
}  // namespace

void init_crypto() {
  if (sodium_init() < 0) throw std::runtime_error("libsodium could not start: no source of randomness");
}

KeyPair make_key_pair() {
  KeyPair pair;
  crypto_sign_ed25519_keypair(pair.public_key.data(), pair.secret_key.data());
  return pair;
}

KeyPair key_pair_from_seed(const std::array<std::uint8_t, 32>& seed) {
  KeyPair pair;
  crypto_sign_ed25519_seed_keypair(pair.public_key.data(), pair.secret_key.data(), seed.data());
  return pair;
}

Signature sign(std::string_view message, const SecretKey& key) {
  Signature signature;
  crypto_sign_ed25519_detached(signature.data(), nullptr, data(message), message.size(), key.data());
  return signature;
}

bool verify(std::string_view message, std::string_view signature, const PublicKey& key) {
  return signature.size() == crypto_sign_ed25519_BYTES &&
         crypto_sign_ed25519_verify_detached(data(signature), data(message), message.size(), key.data()) == 0;
}

void random_bytes(void* out, std::size_t count) { randombytes_buf(out, count); }
std::uint64_t random_u64() {
  std::uint64_t value = 0;
  randombytes_buf(&value, sizeof value);
  return value;
}
std::uint32_t random_below(std::uint32_t bound) { return randombytes_uniform(bound); }

std::uint64_t short_hash(std::string_view message, const ShortKey& key) {
  unsigned char out[crypto_shorthash_siphash24_BYTES];
  crypto_shorthash_siphash24(out, data(message), message.size(), key.data());
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = (value << 8) | out[i];
  return value;
}

std::array<std::uint8_t, 32> mac(std::string_view message, const MacKey& key) {
  std::array<std::uint8_t, 32> out;
  crypto_generichash_blake2b(out.data(), out.size(), data(message), message.size(), key.data(), key.size());
  return out;
}

std::array<std::uint8_t, 32> hmac_sha256(std::string_view message, const MacKey& key) {
  std::array<std::uint8_t, 32> out;
  static_assert(crypto_auth_hmacsha256_BYTES == 32 && crypto_auth_hmacsha256_KEYBYTES == 32);
  crypto_auth_hmacsha256(out.data(), data(message), message.size(), key.data());
  return out;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (unsigned char c : bytes) {
    out.push_back(kDigits[c >> 4]);
    out.push_back(kDigits[c & 15]);
  }
  return out;
}

bool from_hex(std::string_view hex, std::string& out) {
  out.resize(hex.size() / 2);
  std::size_t written = 0;
  if (hex.size() % 2 != 0) return false;
  return sodium_hex2bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), hex.data(), hex.size(), nullptr,
                        &written, nullptr) == 0 &&
         written == out.size();
}

}  // namespace barid::crypto
