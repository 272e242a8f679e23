// Users that nobody registered: with an instance's own keys the generator mints devices, tokens and address tags, so
// that 100,000 users cost a few seconds and no database. Derived from a seed: the same seed is the same users.
// Immutable after construction, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "schemas/wire.h"

namespace barid::bench {

struct Identity {
  wire::Address address;
  crypto::SecretKey secret_key{};
  crypto::PublicKey public_key{};
  std::string token;
};

class Mint {
 public:
  // secrets_dir holds signing.key and address.key, as baridctl init-secrets writes them. Throws when they can't be
  // read.
  Mint(const std::string& secrets_dir, std::uint64_t seed);

  wire::Address address(std::uint64_t index) const;  // cheap: for recipients who never log in
  Identity identity(std::uint64_t index) const;      // with key pair and token: some 100 µs
  std::vector<Identity> identities(std::uint64_t first, std::uint64_t count) const;

 private:
  crypto::KeyPair signing_;
  crypto::ShortKey address_key_{};
  std::uint64_t seed_;
};

}  // namespace barid::bench
