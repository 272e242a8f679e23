#include "workers/directory/webhook.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/crypto.h"

namespace barid::directory {

std::string webhook_signature(const std::string& secret, const std::string& timestamp, const std::string& body) {
  const std::string signed_text = timestamp + "." + body;
  std::array<unsigned char, crypto_auth_hmacsha256_BYTES> out{};
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size());
  crypto_auth_hmacsha256_final(&state, out.data());
  return crypto::to_hex(crypto::view(out));
}

WebhookRequest sign_webhook(const CodeMessage& message, const std::string& secret, WallMs now) {
  const std::int64_t left_s = std::max<std::int64_t>(0, (message.expires_at.value - now.value) / 1000);
  WebhookRequest request;
  request.body =
      nlohmann::json{{"phone", message.phone}, {"code", message.code}, {"expires_in_s", left_s}, {"id", message.id}}
          .dump();
  request.timestamp = std::to_string(now.value / 1000);
  request.signature = webhook_signature(secret, request.timestamp, request.body);
  return request;
}

Handover judge_status(long status) {
  if (status >= 200 && status < 300) return Handover::taken;
  const bool passing = status == 0 || status == 408 || status == 429 || status >= 500;
  return passing ? Handover::try_again : Handover::refused;
}

std::chrono::milliseconds webhook_backoff(int failed, std::uint64_t dice) {
  std::chrono::milliseconds whole = kWebhookBackoffMin;
  for (int i = 1; i < failed && whole < kWebhookBackoffMax; ++i) whole *= 2;
  whole = std::min(whole, kWebhookBackoffMax);
  const auto half = static_cast<std::uint64_t>(whole.count()) / 2;
  return std::chrono::milliseconds(half + dice % (half + 1));
}

}  // namespace barid::directory
