// The few primitives that servers and clients share, by libsodium. Thread-safe; init_crypto() first, once a
// process.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace barid::crypto {

using PublicKey = std::array<std::uint8_t, 32>;  // Ed25519 (RFC 8032)
using SecretKey = std::array<std::uint8_t, 64>;  // libsodium's form: seed, then public key
using Signature = std::array<std::uint8_t, 64>;
using ShortKey = std::array<std::uint8_t, 16>;  // SipHash-2-4
using MacKey = std::array<std::uint8_t, 32>;    // keyed BLAKE2b-256

struct KeyPair {
  PublicKey public_key;
  SecretKey secret_key;
};

void init_crypto();
KeyPair make_key_pair();
KeyPair key_pair_from_seed(const std::array<std::uint8_t, 32>& seed);
Signature sign(std::string_view message, const SecretKey& key);
bool verify(std::string_view message, std::string_view signature,
            const PublicKey& key);  // false on a wrong size too

void random_bytes(void* out, std::size_t count);
std::uint64_t random_u64();
std::uint32_t random_below(std::uint32_t bound);  // uniform

std::uint64_t short_hash(std::string_view message, const ShortKey& key);
std::array<std::uint8_t, 32> mac(std::string_view message, const MacKey& key);
std::array<std::uint8_t, 32> hmac_sha256(std::string_view message, const MacKey& key);  // RFC 2104, for others to check
bool equal_constant_time(std::string_view a, std::string_view b);                       // false if the sizes differ

std::string to_hex(std::string_view bytes);
bool from_hex(std::string_view hex, std::string& out);  // false on odd length or other characters

template <class Array>
std::string_view view(const Array& a) {
  return {reinterpret_cast<const char*>(a.data()), a.size()};
}

}  // namespace barid::crypto
