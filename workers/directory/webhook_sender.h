// Hands codes to an operator's SMS gateway over HTTP (webhook.h says how), from a bounded queue on threads of
// its own. Owned by main. Codes that are still waiting when it is destroyed are dropped: their owners ask for
// another.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "workers/directory/code_sender.h"

namespace barid::directory {

struct WebhookOptions {
  std::string url, secret;
  std::chrono::milliseconds timeout{10'000};  // of one attempt
};
WebhookOptions webhook_options(const DirectoryConfig& config);  // reads the secret file; throws

class WebhookSender final : public CodeSender {
 public:
  static constexpr std::size_t kQueueMax = 1'000;
  static constexpr int kThreads = 2;

  WebhookSender(WebhookOptions options, Observe& observe);
  ~WebhookSender() override;

  bool has_room() const override;
  bool send(const CodeMessage& message) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::directory
