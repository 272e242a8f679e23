// One-time codes by phone number: at most one each, kept as a keyed hash. The rules are pure functions; Codes
// applies them under a row lock. A handle on a Pool; any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

struct CodePolicy {
  std::chrono::milliseconds ttl{600'000};
  int tries = 5;
  std::chrono::milliseconds resend{60'000};         // between two codes; doubles with each …
  std::chrono::milliseconds resend_max{3'600'000};  // … up to this
  std::chrono::milliseconds quiet{12 * 3'600'000};  // no code sent for this long: the doubling starts again
};

// When the number's next code may be sent, given the last one. Pure.
struct LastCode {
  WallMs sent_at;
  int streak = 0;  // how many were sent without a quiet time between them, this one included
};
std::chrono::milliseconds resend_after(int streak, const CodePolicy& policy);
struct NextCode {
  std::chrono::milliseconds wait{0};  // 0: now
  int streak = 1;                     // of the next code
};
NextCode next_code(const std::optional<LastCode>& last, const CodePolicy& policy, WallMs now);

class Codes {
 public:
  enum class Errc { none, expired, tries_exhausted };

  explicit Codes(Pool& pool) : pool_(&pool) {}

  struct Throttled {
    std::chrono::milliseconds retry_after;
  };
  struct Stored {
    std::chrono::milliseconds resend_in;
  };
  // Replaces the number's code, or says when that will be allowed.
  Result<Stored, Throttled> store(const std::string& phone, const std::string& mac, const CodePolicy& policy,
                                  WallMs now);

  // Counts one try (durably, before anything is compared) and returns the keyed hash to compare with.
  Result<std::string, Errc> spend_try(const std::string& phone, WallMs now);

  void forget_before(WallMs sent_before);  // housekeeping

 private:
  Pool* pool_;
};

}  // namespace barid::storage
