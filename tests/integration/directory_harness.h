// A Directory on a real Postgres, with a code sender that remembers and a clock that the test turns. No broker.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "storage/migrator.h"
#include "storage/pool.h"
#include "tests/support/servers.h"
#include "workers/directory/directory.h"

namespace barid::directory {

class RememberingSender final : public CodeSender {
 public:
  bool has_room() const override { return room; }
  bool send(const CodeMessage& message) override {
    const std::lock_guard lock(mutex_);
    sent_.push_back(message);
    return true;
  }
  std::vector<CodeMessage> sent() const {
    const std::lock_guard lock(mutex_);
    return sent_;
  }
  std::string last_code() const { return sent().back().code; }
  bool room = true;

 private:
  mutable std::mutex mutex_;
  std::vector<CodeMessage> sent_;
};

inline DirectorySecrets test_secrets() {
  DirectorySecrets secrets;
  secrets.signing = crypto::make_key_pair();
  crypto::random_bytes(secrets.otp.data(), secrets.otp.size());
  crypto::random_bytes(secrets.address.data(), secrets.address.size());
  return secrets;
}

inline control::DirectoryCall call(decltype(wire::Request::body) body, UserId user = {}, DeviceId device = {},
                                   std::string address = "192.0.2.1") {
  control::DirectoryCall c;
  c.user = user;
  c.device = device;
  c.address = std::move(address);
  c.request = {7, std::move(body)};
  return c;
}

inline wire::VerifyCode verification(const std::string& phone, const std::string& code) {
  const auto keys = crypto::make_key_pair();
  return {phone, code, std::string(crypto::view(keys.public_key)), "Alice's phone"};
}

inline std::string another(std::string code) {  // a well-formed code that is not this one
  code[3] = code[3] == '9' ? '0' : static_cast<char>(code[3] + 1);
  return code;
}

class DirectoryTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    crypto::init_crypto();
    postgres = std::make_unique<test::PrivatePostgres>();
  }
  static void TearDownTestSuite() { postgres.reset(); }
  void SetUp() override {
    const std::string url = postgres->new_database();
    storage::migrate(url);
    pool = std::make_unique<storage::Pool>(url, 4);
    directory = std::make_unique<Directory>(
        *pool, config, secrets, sender, [this](storage::Change change) { projected.push_back(change); },
        [this](GroupId group) { publish(group); }, [this] { return now; });
  }

  template <class Expected>
  Expected ask(const control::DirectoryCall& request) {
    const auto response = directory->answer(request);
    EXPECT_EQ(response.id, 7U);
    if (const auto* expected = std::get_if<Expected>(&response.body)) return *expected;
    const auto* error = std::get_if<wire::Error>(&response.body);
    ADD_FAILURE() << (error ? std::string(wire::name_of(error->code)) + ": " + error->text : "another kind of answer");
    return {};
  }
  wire::Error refusal(const control::DirectoryCall& request) { return ask<wire::Error>(request); }

  wire::Registered register_phone(const std::string& phone) {
    ask<wire::CodeSent>(call(wire::RequestCode{phone}));
    return ask<wire::Registered>(call(verification(phone, sender.last_code())));
  }

  static inline std::unique_ptr<test::PrivatePostgres> postgres;
  DirectoryConfig config;
  DirectorySecrets secrets = test_secrets();
  RememberingSender sender;
  WallMs now{1'700'000'000'000};
  std::vector<storage::Change> projected;
  std::function<void(GroupId)> publish = [](GroupId) {};
  std::unique_ptr<storage::Pool> pool;
  std::unique_ptr<Directory> directory;
};

}  // namespace barid::directory
