// The whole directory role on a real nats-server and Postgres: requests over NATS, and the key-value buckets that
// edges and owners watch, also after outages.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/observe.h"
#include "broker/control.h"
#include "broker/topology.h"
#include "tests/integration/directory_harness.h"
#include "workers/directory/log_sender.h"
#include "workers/directory/service.h"

namespace barid::directory {
namespace {

using namespace std::chrono_literals;
using test::wait_until;

class Service : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    crypto::init_crypto();
    postgres = std::make_unique<test::PrivatePostgres>();
  }
  static void TearDownTestSuite() { postgres.reset(); }

  void SetUp() override {
    const std::string url = postgres->new_database();
    storage::migrate(url);
    nats_config.url = nats.url();
    control = std::make_unique<broker::Control>(nats_config, "test");
    broker::apply_topology(*control, nats_config, MessagesConfig{});
    pool = std::make_unique<storage::Pool>(url, 4);
    start();
  }
  void TearDown() override { service.reset(); }

  void start() {
    service = std::make_unique<DirectoryService>(*control, *pool, config, secrets, sender, observe);
    service->start(2);
  }
  wire::Response ask(const control::DirectoryCall& request) {
    const auto reply = control->request(control::kDirectorySubject, control::encode(request), 8s);
    if (!reply) return {};
    return control::decode_response(*reply).value();
  }
  wire::Registered register_phone(const std::string& phone) {
    EXPECT_TRUE(std::holds_alternative<wire::CodeSent>(ask(call(wire::RequestCode{phone})).body));
    const auto response = ask(call(verification(phone, sender.last_code())));
    return std::get<wire::Registered>(response.body);
  }
  std::string value(const char* bucket, std::uint64_t id) {
    const auto entry = control->get(bucket, hex_id(id));
    return entry ? entry->value : "";
  }
  std::string list(std::vector<UserId> users) {
    nlohmann::json json = nlohmann::json::array();
    for (const UserId user : users) json.push_back(hex_id(user.value));
    return json.dump();
  }

  static inline std::unique_ptr<test::PrivatePostgres> postgres;
  test::PrivateNats nats;
  NatsConfig nats_config;
  DirectoryConfig config;
  DirectorySecrets secrets = test_secrets();
  RememberingSender sender;
  Observe observe{"test", 0, [] { return std::string(); }};
  std::unique_ptr<broker::Control> control;
  std::unique_ptr<storage::Pool> pool;
  std::unique_ptr<DirectoryService> service;
};

TEST_F(Service, PublishesItsPublicKeys) {
  EXPECT_EQ(control->get(broker::kMetaBucket, broker::kMetaDirectoryKey)->value,
            crypto::to_hex(crypto::view(secrets.signing.public_key)));
  EXPECT_EQ(control->get(broker::kMetaBucket, broker::kMetaAddressKey)->value,
            crypto::to_hex(crypto::view(secrets.address)));
  EXPECT_EQ(service->not_ready(), "");
}

TEST_F(Service, ABlockIsInItsBucketWhenTheAnswerArrives) {
  const auto alice = register_phone("+4915123456780"), bob = register_phone("+4915123456781");
  ask(call(wire::Block{bob.user}, alice.user, alice.device));
  EXPECT_EQ(value(broker::kBlocksBucket, alice.user.value), list({bob.user}));
  ask(call(wire::Unblock{bob.user}, alice.user, alice.device));
  EXPECT_EQ(value(broker::kBlocksBucket, alice.user.value), list({}));
}

TEST_F(Service, ARevocationIsInItsBucketWhenTheAnswerArrives) {
  const auto alice = register_phone("+4915123456780");
  ask(call(wire::RevokeDevice{alice.device}, alice.user, alice.device));
  EXPECT_GT(nlohmann::json::parse(value(broker::kRevokedBucket, alice.device.value)).at("at_ms").get<std::int64_t>(),
            0);
}

TEST_F(Service, AChangeThatACrashLeftBehindIsProjectedLater) {
  const auto alice = register_phone("+4915123456780"), bob = register_phone("+4915123456781");
  // As if a worker had died between its commit and the bucket.
  ASSERT_TRUE(storage::Blocks(*pool).block(alice.user, bob.user, wall_now()));
  EXPECT_TRUE(wait_until([&] { return value(broker::kBlocksBucket, alice.user.value) == list({bob.user}); }));
  EXPECT_TRUE(wait_until([&] { return storage::Projections(*pool).pending(1).empty(); }));
}

TEST_F(Service, AStartBringsBackWhatTheBucketsHaveLost) {
  const auto alice = register_phone("+4915123456780"), bob = register_phone("+4915123456781");
  ask(call(wire::Block{bob.user}, alice.user, alice.device));
  ask(call(wire::RevokeDevice{bob.device}, bob.user, bob.device));
  service.reset();
  control->remove(broker::kBlocksBucket, hex_id(alice.user.value));
  control->remove(broker::kRevokedBucket, hex_id(bob.device.value));
  control->put(broker::kMetaBucket, broker::kMetaDirectoryKey, "what is this");
  start();
  EXPECT_TRUE(wait_until([&] { return value(broker::kBlocksBucket, alice.user.value) == list({bob.user}); }));
  EXPECT_TRUE(wait_until([&] { return !value(broker::kRevokedBucket, bob.device.value).empty(); }));
  EXPECT_EQ(control->get(broker::kMetaBucket, broker::kMetaDirectoryKey)->value,
            crypto::to_hex(crypto::view(secrets.signing.public_key)));
}

TEST_F(Service, ANewIncarnationOfTheBrokerIsFilledWithoutARestart) {
  const auto alice = register_phone("+4915123456780"), bob = register_phone("+4915123456781");
  ask(call(wire::Block{bob.user}, alice.user, alice.device));
  nats.kill();
  nats.lose_disk();
  nats.start();
  ASSERT_TRUE(wait_until([&] {
    try {
      broker::apply_topology(*control, nats_config, MessagesConfig{});
      return true;
    } catch (const broker::Error&) {
      return false;
    }
  }));
  EXPECT_TRUE(wait_until([&] { return value(broker::kBlocksBucket, alice.user.value) == list({bob.user}); }));
  EXPECT_TRUE(wait_until([&] { return control->get(broker::kMetaBucket, broker::kMetaAddressKey).has_value(); }));
}

TEST_F(Service, AnswersUnavailableWhilePostgresIsFrozenAndRecovers) {
  const auto alice = register_phone("+4915123456780");
  postgres->freeze();
  const auto response = ask(call(wire::ListDevices{}, alice.user, alice.device));
  const auto* error = std::get_if<wire::Error>(&response.body);
  EXPECT_TRUE(error != nullptr && error->code == wire::Code::unavailable && error->retry_after_ms == 2'000);
  EXPECT_NE(service->not_ready(), "");
  postgres->thaw();
  EXPECT_TRUE(wait_until([&] {
    return std::holds_alternative<wire::Devices>(ask(call(wire::ListDevices{}, alice.user, alice.device)).body);
  }));
  EXPECT_TRUE(wait_until([&] { return service->not_ready().empty(); }));
}

TEST_F(Service, RefusesGarbageAndGoesOn) {
  const auto reply = control->request(control::kDirectorySubject, "garbage", 5s);
  ASSERT_TRUE(reply);
  const auto response = control::decode_response(*reply);
  EXPECT_EQ(std::get<wire::Error>(response->body).code, wire::Code::malformed);
  register_phone("+4915123456780");
}

TEST_F(Service, SaysThatItIsStoppingRatherThanStaySilent) {
  service.reset();
  const auto response = ask(call(wire::RequestCode{"+4915123456780"}));
  EXPECT_EQ(std::get<wire::Error>(response.body).code, wire::Code::unavailable);
}

TEST_F(Service, CountsRequestsByKindAndOutcome) {
  register_phone("+4915123456780");
  ask(call(wire::RequestCode{"nonsense"}));
  const auto count = [&](const char* kind, const char* outcome) {
    return observe
        .counter("barid_directory_requests_total", "directory requests by kind and outcome",
                 {{"kind", kind}, {"outcome", outcome}})
        .Value();
  };
  EXPECT_EQ(count("request_code", "ok"), 1);
  EXPECT_EQ(count("verify_code", "ok"), 1);
  EXPECT_EQ(count("request_code", "invalidPhone"), 1);
}

TEST(LogSender, AppendsWholeNumbersToAPrivateFileBesideTheSecrets) {
  test::TempDir dir;
  Observe observe("test", 0, [] { return std::string(); });
  DirectoryConfig config;
  config.secrets_dir = dir.file("secrets/");
  const auto sender = make_code_sender(config, observe);
  EXPECT_TRUE(sender->send({"+4915123456789", "012345", "1", WallMs{0}}));
  EXPECT_TRUE(sender->send({"+4915123456780", "999999", "2", WallMs{0}}));
  EXPECT_EQ(test::read_file(dir.file("codes.log")), "+4915123456789 012345\n+4915123456780 999999\n");
  struct stat info {};
  ASSERT_EQ(::stat(dir.file("codes.log").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

}  // namespace
}  // namespace barid::directory
