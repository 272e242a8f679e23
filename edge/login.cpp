#include "edge/login.h"

namespace barid::edge {

Result<token::Token, wire::Code> LoginVerifier::open(const std::string& bytes) {
  if (const auto known = known_.find(bytes); known != known_.end()) return known->second;
  ++tokens_opened_;
  const auto opened = token::open(bytes, directory_key_);
  if (!opened) return fail(wire::Code::bad_token);
  if (order_.size() < kTokensMax) {
    order_.push_back(bytes);
  } else {
    known_.erase(order_[next_]);
    order_[next_] = bytes;
    next_ = (next_ + 1) % kTokensMax;
  }
  known_.emplace(bytes, *opened);
  return *opened;
}

Result<token::Token, wire::Code> LoginVerifier::verify(const wire::Login& login,
                                                       const std::array<std::uint8_t, 32>& nonce, WallMs now) {
  const auto opened = open(login.token);
  if (!opened) return opened;
  if (opened->expires_at_s <= now.value / 1000) return fail(wire::Code::token_expired);
  const std::string message = wire::login_message(nonce, login.session_no, login.token);
  if (!crypto::verify(message, login.signature, opened->device_key)) return fail(wire::Code::bad_signature);
  return opened;
}

}  // namespace barid::edge
