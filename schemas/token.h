// The device token: what the directory signs at registration and a device presents at every login, so that a
// login needs no database. Bytes: Ed25519 signature (64) over "barid-token-v1" | body, then body (unpacked
// Cap'n Proto Token). And the address tag, which proves that the directory handed out an address.
#pragma once

#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/id.h"
#include "base/result.h"
#include "schemas/wire.h"

namespace barid::token {

struct Token {
  UserId user;
  DeviceId device;
  crypto::PublicKey device_key{};
  std::int64_t issued_at_s = 0, expires_at_s = 0;  // Unix time
};
enum class Errc { malformed, bad_signature };

std::string seal(const Token& token, const crypto::SecretKey& directory_key);
Result<Token, Errc> open(std::string_view bytes,
                         const crypto::PublicKey& directory_key);  // expiry: caller's business

// SipHash-2-4 under the cluster's address key over user and device, each 8 bytes little-endian.
std::uint64_t address_tag(UserId user, DeviceId device, const crypto::ShortKey& address_key);

}  // namespace barid::token
