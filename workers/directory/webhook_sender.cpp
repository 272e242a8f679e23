#include "workers/directory/webhook_sender.h"

#include <curl/curl.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/crypto.h"
#include "base/log.h"
#include "base/observe.h"
#include "base/secret_file.h"
#include "workers/directory/webhook.h"

namespace barid::directory {
namespace {

constexpr long kConnectTimeoutMs = 3'000;

struct Job {
  CodeMessage message;
  int failed = 0;
};

std::size_t discard(char*, std::size_t size, std::size_t count, void*) { return size * count; }

// One POST. The HTTP status, or 0 when there was no answer.
long post(CURL* curl, const WebhookOptions& options, const WebhookRequest& request, curl_xferinfo_callback is_stopping,
          void* self) {
  curl_slist* headers = nullptr;
  headers = curl_slist_append(headers, "Content-Type: application/json");
  headers = curl_slist_append(headers, ("Barid-Timestamp: " + request.timestamp).c_str());
  headers = curl_slist_append(headers, ("Barid-Signature: " + request.signature).c_str());
  curl_easy_reset(curl);  // keeps the connection
  curl_easy_setopt(curl, CURLOPT_URL, options.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &discard);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_stopping);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, self);
  long status = 0;
  if (curl_easy_perform(curl) == CURLE_OK) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  curl_slist_free_all(headers);
  return status;
}

}  // namespace

struct WebhookSender::Impl {
  Impl(WebhookOptions options_in, Observe& observe)
      : options(std::move(options_in)),
        sent(observe.counter("barid_codes_total", "one-time codes by what became of them", {{"outcome", "sent"}})),
        failed(observe.counter("barid_codes_total", "one-time codes by what became of them", {{"outcome", "failed"}})),
        retried(observe.counter("barid_code_retries_total", "attempts to hand a code to the gateway that failed")) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([this] { run(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    for (auto& thread : threads) thread.join();
    if (!jobs.empty()) spdlog::warn("{} codes were not handed to the gateway before the end", jobs.size());
  }

  static int is_stopping(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto* impl = static_cast<Impl*>(self);
    const std::lock_guard lock(impl->mutex);
    return impl->stopping ? 1 : 0;
  }

  std::optional<Job> next() {
    std::unique_lock lock(mutex);
    for (;;) {
      if (stopping) return {};
      if (jobs.empty()) {
        changed.wait(lock);
      } else if (jobs.begin()->first > steady_now()) {
        const TimePoint due = jobs.begin()->first;
        changed.wait_until(lock, due);
      } else {
        Job job = std::move(jobs.begin()->second);
        jobs.erase(jobs.begin());
        ++under_way;
        return job;
      }
    }
  }

  void run() {
    CURL* curl = curl_easy_init();
    while (auto job = next()) attempt(curl, std::move(*job));
    curl_easy_cleanup(curl);
  }

  void attempt(CURL* curl, Job job) {
    const WallMs now = wall_now();
    const bool expired = now >= job.message.expires_at;
    const long status =
        expired ? 0 : post(curl, options, sign_webhook(job.message, options.secret, now), &is_stopping, this);
    const Handover outcome = expired ? Handover::refused : judge_status(status);
    const std::string phone = masked_phone(job.message.phone);
    bool again = false;
    if (outcome == Handover::taken) {
      sent.Increment();
      spdlog::info("code for {} handed to the gateway", phone);
    } else if (outcome == Handover::try_again && job.failed + 1 < kWebhookAttempts) {
      again = true;
      retried.Increment();
      spdlog::warn("the code gateway answered {} (0: not at all) for {}; trying again", status, phone);
    } else {
      failed.Increment();
      spdlog::error("code for {} given up after {} attempts: {}", phone, job.failed + 1,
                    expired ? "it has expired" : "gateway status " + std::to_string(status));
    }
    const std::lock_guard lock(mutex);
    --under_way;
    if (!again) return;
    ++job.failed;
    const TimePoint due = steady_now() + webhook_backoff(job.failed, crypto::random_u64());
    jobs.emplace(due, std::move(job));
    changed.notify_one();
  }

  const WebhookOptions options;
  prometheus::Counter &sent, &failed, &retried;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::multimap<TimePoint, Job> jobs;  // by when they are due
  std::size_t under_way = 0;
  bool stopping = false;
  std::vector<std::thread> threads;
};

WebhookOptions webhook_options(const DirectoryConfig& config) {
  return {config.webhook_url, read_secret_file(config.webhook_secret_file)};
}

WebhookSender::WebhookSender(WebhookOptions options, Observe& observe)
    : impl_(std::make_unique<Impl>(std::move(options), observe)) {}
WebhookSender::~WebhookSender() = default;

bool WebhookSender::has_room() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.size() + impl_->under_way < kQueueMax;
}

bool WebhookSender::send(const CodeMessage& message) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->jobs.size() + impl_->under_way >= kQueueMax) return false;
    impl_->jobs.emplace(steady_now(), Job{message});
  }
  impl_->changed.notify_one();
  return true;
}

}  // namespace barid::directory
