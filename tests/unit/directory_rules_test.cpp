// What the directory decides without a database: numbers, codes, addresses, the gateway's signature, secret files.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/crypto.h"
#include "workers/directory/address.h"
#include "workers/directory/directory.h"
#include "workers/directory/phone.h"
#include "workers/directory/secrets.h"
#include "workers/directory/webhook.h"

namespace barid::directory {
namespace {

using namespace std::chrono_literals;

TEST(Phone, IsNormalisedToE164) {
  EXPECT_EQ(normalise_phone("+49 1512 3456789"), "+4915123456789");
  EXPECT_EQ(normalise_phone("  +49 (0)1512-3456789"), "+4915123456789");
  EXPECT_EQ(normalise_phone("+44 7911 123456"), "+447911123456");
  EXPECT_EQ(normalise_phone("+39 06 1234 5678"), "+390612345678");  // Italy keeps its leading 0
  EXPECT_EQ(normalise_phone("\xef\xbc\x8b"
                            "491512 3456789"),
            "+4915123456789");
  EXPECT_EQ(normalise_phone("+٤٩١٥١٢٣٤٥٦٧٨٩"), "+4915123456789");
}

TEST(Phone, AnythingElseIsRefusedWithASentence) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "country code"},
      {"01512 3456789", "country code"},
      {"004915123456789", "country code"},
      {"+", "not a phone number"},
      {"+49", "not a phone number"},
      {"+4915", "numbering plan"},
      {"+999123456789", "country code after the + does not exist"},
      {"+49151234567890123456", "too long"},
      {"+1 800 FLOWERS", "letters"},
      {"+4915123456789;ext=5", "letters"},
      {"+4915123456789 #12", "letters"},
      {"+1 202 055 0123", "numbering plan"},
  };
  for (const auto& [typed, says] : cases) {
    const auto result = normalise_phone(typed);
    ASSERT_FALSE(result) << typed << " became " << *result;
    EXPECT_NE(result.error().find(says), std::string::npos) << typed << ": " << result.error();
  }
  EXPECT_FALSE(normalise_phone("+49" + std::string(200, '1')));
  EXPECT_FALSE(normalise_phone(std::string("+4915123456789\0x", 16)));
  EXPECT_FALSE(
      normalise_phone("+49\xff\xfe"
                      "15123456789"));
}

TEST(Code, HasSixDigitsAndAllOfThemOccur) {
  crypto::init_crypto();
  std::set<char> first;
  std::set<std::string> distinct;
  for (int i = 0; i < 2'000; ++i) {
    const std::string code = make_code();
    ASSERT_EQ(code.size(), 6U);
    ASSERT_EQ(code.find_first_not_of("0123456789"), std::string::npos);
    first.insert(code[0]);
    distinct.insert(code);
  }
  EXPECT_EQ(first.size(), 10U);        // leading zeros too
  EXPECT_GT(distinct.size(), 1'950U);  // 2000 of a million: two repetitions are expected
}

TEST(Code, IsReadAsPeopleTypeIt) {
  EXPECT_EQ(read_code("123456"), "123456");
  EXPECT_EQ(read_code(" 123 456 "), "123456");
  EXPECT_EQ(read_code("012-345"), "012345");
  for (const char* wrong : {"", "12345", "1234567", "12345a", "１２３４５６"}) EXPECT_EQ(read_code(wrong), "") << wrong;
}

TEST(Code, HashDependsOnNumberCodeAndKey) {
  crypto::MacKey key{};
  const auto base = code_mac("+4915123456789", "123456", key);
  EXPECT_EQ(base.size(), 32U);
  EXPECT_EQ(base, code_mac("+4915123456789", "123456", key));
  EXPECT_NE(base, code_mac("+4915123456780", "123456", key));
  EXPECT_NE(base, code_mac("+4915123456789", "123457", key));
  key[0] = 1;
  EXPECT_NE(base, code_mac("+4915123456789", "123456", key));
}

TEST(ThrottleAddress, AnIpv6HostIsItsNetwork) {
  EXPECT_EQ(throttle_address("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(throttle_address("::ffff:192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(throttle_address("2001:db8:1:2:aaaa::1"), throttle_address("2001:db8:1:2:bbbb::9"));
  EXPECT_NE(throttle_address("2001:db8:1:2::1"), throttle_address("2001:db8:1:3::1"));
  EXPECT_EQ(throttle_address("what"), throttle_address(""));
}

TEST(Webhook, SignatureIsHmacSha256OfTimestampAndBody) {
  // By another implementation: printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
  EXPECT_EQ(webhook_signature("secret", "1700000000", "{}"),
            "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163");
  const CodeMessage message{"+4915123456789", "012345", "00ff", WallMs{1'700'000'600'000}};
  const auto request = sign_webhook(message, "secret", WallMs{1'700'000'000'999});
  EXPECT_EQ(request.timestamp, "1700000000");
  EXPECT_EQ(request.body, R"({"code":"012345","expires_in_s":599,"id":"00ff","phone":"+4915123456789"})");
  EXPECT_EQ(request.signature, webhook_signature("secret", request.timestamp, request.body));
  EXPECT_NE(request.signature, sign_webhook(message, "other", WallMs{1'700'000'000'999}).signature);
}

TEST(Webhook, OnlyPassingFailuresAreTriedAgain) {
  for (const long status : {200L, 202L, 204L}) EXPECT_EQ(judge_status(status), Handover::taken) << status;
  for (const long status : {0L, 408L, 429L, 500L, 503L}) EXPECT_EQ(judge_status(status), Handover::try_again) << status;
  for (const long status : {301L, 400L, 401L, 404L}) EXPECT_EQ(judge_status(status), Handover::refused) << status;
}

TEST(Webhook, BackoffDoublesWithJitterAndIsBounded) {
  EXPECT_EQ(webhook_backoff(1, 0), 250ms);
  EXPECT_EQ(webhook_backoff(1, 250), 500ms);
  EXPECT_EQ(webhook_backoff(3, 0), 1000ms);
  for (std::uint64_t dice : {0ULL, 12'345ULL, ~0ULL}) {
    EXPECT_GE(webhook_backoff(100, dice), kWebhookBackoffMax / 2);
    EXPECT_LE(webhook_backoff(100, dice), kWebhookBackoffMax);
  }
}

class Secrets : public testing::Test {
 protected:
  void SetUp() override {
    crypto::init_crypto();
    char name[] = "/tmp/barid-secrets-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string complaint() {
    try {
      (void)DirectorySecrets::load(dir_);
      return {};
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }
  std::string dir_;
};

TEST_F(Secrets, AreCreatedOncePrivateAndLoadAgain) {
  DirectorySecrets::create(dir_);
  const auto first = DirectorySecrets::load(dir_);
  DirectorySecrets::create(dir_);
  const auto again = DirectorySecrets::load(dir_);
  EXPECT_EQ(first.signing.secret_key, again.signing.secret_key);
  EXPECT_EQ(first.otp, again.otp);
  EXPECT_EQ(first.address, again.address);
  EXPECT_TRUE(crypto::verify("x", crypto::view(crypto::sign("x", first.signing.secret_key)), again.signing.public_key));
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(dir_)) {
    struct stat info {};
    ASSERT_EQ(::stat(file.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U) << file.path();
    ++files;
  }
  EXPECT_EQ(files, 4);  // and no drafts left over
}

TEST_F(Secrets, AreRefusedWhenOthersCanReadThem) {
  DirectorySecrets::create(dir_);
  ::chmod((dir_ + "/otp.key").c_str(), 0640);
  EXPECT_NE(complaint().find("otp.key: is accessible to others"), std::string::npos) << complaint();
}

TEST_F(Secrets, AreRefusedWhenMissingOrMalformed) {
  EXPECT_NE(complaint().find("signing.key: cannot read"), std::string::npos) << complaint();
  DirectorySecrets::create(dir_);
  std::ofstream(dir_ + "/address.key") << "not hex\n";
  EXPECT_NE(complaint().find("address.key: must be one line of 32 hex digits"), std::string::npos) << complaint();
}

}  // namespace
}  // namespace barid::directory
