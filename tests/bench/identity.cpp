#include "tests/bench/identity.h"

#include <array>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "base/clock.h"
#include "schemas/token.h"

namespace barid::bench {
namespace {

constexpr std::uint64_t kIdMask = ~std::uint64_t{0} >> 1;  // positive in the database
constexpr std::int64_t kTokenLifeS = 30L * 24 * 3600;

// SplitMix64 (Steele, Lea, Flood 2014). Enough for users of a benchmark, whose keys protect nothing.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

template <class Key>
void load_key(const std::string& path, Key& key) {
  std::ifstream file(path);
  std::string line, bytes;
  if (!std::getline(file, line))
    throw std::runtime_error(path + ": cannot be read; is this an instance's secrets_dir?");
  if (!crypto::from_hex(line, bytes) || bytes.size() != key.size())
    throw std::runtime_error(path + ": must be one line of " + std::to_string(2 * key.size()) + " hex digits");
  std::memcpy(key.data(), bytes.data(), key.size());
}

}  // namespace

Mint::Mint(const std::string& secrets_dir, std::uint64_t seed) : seed_(mix(seed)) {
  std::array<std::uint8_t, 32> signing_seed{};
  load_key(secrets_dir + "/signing.key", signing_seed);
  load_key(secrets_dir + "/address.key", address_key_);
  signing_ = crypto::key_pair_from_seed(signing_seed);
}

wire::Address Mint::address(std::uint64_t index) const {
  const UserId user((mix(seed_ ^ mix(2 * index)) & kIdMask) | 1);
  const DeviceId device((mix(seed_ ^ mix(2 * index + 1)) & kIdMask) | 1);
  return {user, device, token::address_tag(user, device, address_key_)};
}

Identity Mint::identity(std::uint64_t index) const {
  Identity identity;
  identity.address = address(index);
  std::array<std::uint8_t, 32> seed{};
  for (unsigned i = 0; i < 4; ++i) {
    const std::uint64_t word = mix(identity.address.device.value + i * seed_);
    std::memcpy(seed.data() + std::size_t{8} * i, &word, 8);
  }
  const auto keys = crypto::key_pair_from_seed(seed);
  identity.secret_key = keys.secret_key;
  identity.public_key = keys.public_key;
  const std::int64_t now_s = wall_now().value / 1000;
  identity.token =
      token::seal({identity.address.user, identity.address.device, keys.public_key, now_s, now_s + kTokenLifeS},
                  signing_.secret_key);
  return identity;
}

std::vector<Identity> Mint::identities(std::uint64_t first, std::uint64_t count) const {
  std::vector<Identity> all;
  all.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) all.push_back(identity(first + i));
  return all;
}

}  // namespace barid::bench
