// Codes to an SMS gateway: a real HTTP server that fails, checks signatures and remembers.
#include <civetweb.h>
#include <gtest/gtest.h>

#include <mutex>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/observe.h"
#include "tests/support/process.h"
#include "workers/directory/webhook.h"
#include "workers/directory/webhook_sender.h"

namespace barid::directory {
namespace {

const std::string kSecret = "a shared secret";

// Answers each POST with the next of `statuses`, then 200 for ever.
class Gateway {
 public:
  struct Post {
    std::string body, timestamp, signature;
  };
  explicit Gateway(std::vector<int> statuses) : statuses_(std::move(statuses)), port_(test::free_port()) {
    const std::string listen = "127.0.0.1:" + std::to_string(port_);
    const char* options[] = {"listening_ports", listen.c_str(), "num_threads", "4", nullptr};
    const mg_callbacks callbacks{};
    server_ = mg_start(&callbacks, nullptr, options);
    if (server_ == nullptr) throw std::runtime_error("cannot listen on " + listen);
    mg_set_request_handler(server_, "/codes", &Gateway::on_post, this);
  }
  ~Gateway() { mg_stop(server_); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/codes"; }
  std::vector<Post> posts() const {
    const std::lock_guard lock(mutex_);
    return posts_;
  }

 private:
  static int on_post(mg_connection* connection, void* self_in) {
    auto* self = static_cast<Gateway*>(self_in);
    Post post;
    char buffer[1024];
    for (int count; (count = mg_read(connection, buffer, sizeof buffer)) > 0;)
      post.body.append(buffer, static_cast<std::size_t>(count));
    const auto header = [&](const char* name) {
      const char* value = mg_get_header(connection, name);
      return std::string(value != nullptr ? value : "");
    };
    post.timestamp = header("Barid-Timestamp");
    post.signature = header("Barid-Signature");
    const std::lock_guard lock(self->mutex_);
    const std::size_t number = self->posts_.size();
    const int status = number < self->statuses_.size() ? self->statuses_[number] : 200;
    self->posts_.push_back(post);
    mg_printf(connection, "HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n", status);
    return status;
  }
  const std::vector<int> statuses_;
  const std::uint16_t port_;
  mg_context* server_;
  mutable std::mutex mutex_;
  std::vector<Post> posts_;
};

class WebhookDelivery : public testing::Test {
 protected:
  void SetUp() override { crypto::init_crypto(); }
  double counted(const char* outcome) {
    return observe.counter("barid_codes_total", "one-time codes by what became of them", {{"outcome", outcome}})
        .Value();
  }
  CodeMessage message(const std::string& phone = "+4915123456789") {
    return {phone, "012345", "id of " + phone, WallMs{wall_now().value + 600'000}};
  }
  Observe observe{"test", 0, [] { return std::string(); }};
};

TEST_F(WebhookDelivery, RetriesUntilTakenAndSignsEveryAttempt) {
  Gateway gateway({500, 503});
  WebhookSender sender({gateway.url(), kSecret}, observe);
  ASSERT_TRUE(sender.send(message()));
  ASSERT_TRUE(test::wait_until([&] { return counted("sent") == 1; }));
  const auto posts = gateway.posts();
  ASSERT_EQ(posts.size(), 3U);
  for (const auto& post : posts) {
    EXPECT_EQ(post.signature, webhook_signature(kSecret, post.timestamp, post.body));
    const auto json = nlohmann::json::parse(post.body);
    EXPECT_EQ(json.at("phone"), "+4915123456789");
    EXPECT_EQ(json.at("code"), "012345");
    EXPECT_EQ(json.at("id"), "id of +4915123456789");
    EXPECT_LE(json.at("expires_in_s").get<int>(), 600);
    EXPECT_GT(json.at("expires_in_s").get<int>(), 500);
  }
}

TEST_F(WebhookDelivery, DoesNotRepeatWhatTheGatewayRefuses) {
  Gateway gateway({400});
  WebhookSender sender({gateway.url(), kSecret}, observe);
  ASSERT_TRUE(sender.send(message()));
  ASSERT_TRUE(test::wait_until([&] { return counted("failed") == 1; }));
  ASSERT_TRUE(sender.send(message("+4915123456780")));
  ASSERT_TRUE(test::wait_until([&] { return counted("sent") == 1; }));
  EXPECT_EQ(gateway.posts().size(), 2U);
}

TEST_F(WebhookDelivery, AFailingCodeDoesNotHoldUpTheOthers) {
  Gateway gateway({500, 500, 500});  // three codes fail once each, all wait for their second attempt
  WebhookSender sender({gateway.url(), kSecret}, observe);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(sender.send(message("+491512345678" + std::to_string(i))));
  ASSERT_TRUE(test::wait_until([&] { return counted("sent") == 10; }));
  EXPECT_EQ(gateway.posts().size(), 13U);
}

TEST_F(WebhookDelivery, AnExpiredCodeIsNotSent) {
  Gateway gateway({});
  WebhookSender sender({gateway.url(), kSecret}, observe);
  auto late = message();
  late.expires_at = WallMs{1};
  ASSERT_TRUE(sender.send(late));
  ASSERT_TRUE(test::wait_until([&] { return counted("failed") == 1; }));
  EXPECT_TRUE(gateway.posts().empty());
}

TEST_F(WebhookDelivery, TheQueueIsBoundedWhileTheGatewayIsAway) {
  const std::string nowhere = "http://127.0.0.1:" + std::to_string(test::free_port()) + "/codes";
  WebhookSender sender({nowhere, kSecret}, observe);
  std::size_t taken = 0;
  while (taken < 2 * WebhookSender::kQueueMax && sender.send(message())) ++taken;
  EXPECT_EQ(taken, WebhookSender::kQueueMax);
  EXPECT_FALSE(sender.has_room());
}

}  // namespace
}  // namespace barid::directory
