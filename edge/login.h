// Is this login genuine? A device token signed by the directory, and the challenge signed by the device's key. A token
// seen before costs one Ed25519 verification instead of two. One a reactor, on its thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "schemas/token.h"
#include "schemas/wire.h"

namespace barid::edge {

class LoginVerifier {
 public:
  static constexpr std::size_t kTokensMax = 16'384;  // verified ones that are remembered

  explicit LoginVerifier(const crypto::PublicKey& directory_key) : directory_key_(directory_key) {}

  // Errors: bad_token, token_expired, bad_signature. Revocation is the caller's business.
  Result<token::Token, wire::Code> verify(const wire::Login& login, const std::array<std::uint8_t, 32>& nonce,
                                          WallMs now);
  std::uint64_t tokens_opened() const { return tokens_opened_; }  // directory signatures verified

 private:
  Result<token::Token, wire::Code> open(const std::string& bytes);

  crypto::PublicKey directory_key_;
  std::unordered_map<std::string, token::Token> known_;  // by the token's exact bytes
  std::vector<std::string> order_;                       // ring of keys, oldest at next_
  std::size_t next_ = 0;
  std::uint64_t tokens_opened_ = 0;
};

}  // namespace barid::edge
