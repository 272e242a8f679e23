// What is said to an operator's SMS gateway, and when it is said again. Pure, any thread.
//
//   POST <url>            Content-Type: application/json
//   Barid-Timestamp: <Unix seconds>
//   Barid-Signature: <hex HMAC-SHA256 of "<timestamp>.<body>" under the shared secret>
//   {"phone":"+4915123456789","code":"123456","expires_in_s":600,"id":"<hex, the same for every attempt>"}
//
// The gateway answers 2xx once it has taken the code. 408, 429, 5xx and no answer are tried again; any other
// status is final.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "workers/directory/code_sender.h"

namespace barid::directory {

struct WebhookRequest {
  std::string body, timestamp, signature;
};
WebhookRequest sign_webhook(const CodeMessage& message, const std::string& secret, WallMs now);
std::string webhook_signature(const std::string& secret, const std::string& timestamp, const std::string& body);

enum class Handover { taken, try_again, refused };
Handover judge_status(long status);  // 0: no answer

inline constexpr int kWebhookAttempts = 6;
inline constexpr std::chrono::milliseconds kWebhookBackoffMin{500}, kWebhookBackoffMax{15'000};
// After `failed` attempts (from 1): doubling, with full jitter of the upper half. `dice` is any random
// number.
std::chrono::milliseconds webhook_backoff(int failed, std::uint64_t dice);

}  // namespace barid::directory
