#include "base/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace barid {
namespace {

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path = std::filesystem::temp_directory_path() / ("barid-config-test-" + std::to_string(::getpid()) + ".toml");
  }
  void TearDown() override { std::filesystem::remove(path); }

  Config load(const std::string& text) {
    std::ofstream(path) << text;
    return load_config(path.string());
  }
  // What an operator reads when `text` is the configuration; the file's name is cut off.
  std::string complaint(const std::string& text) {
    try {
      load(text);
    } catch (const std::runtime_error& error) {
      const std::string what = error.what();
      EXPECT_TRUE(what.starts_with(path.string() + ": ")) << what;
      return what.substr(std::min(what.size(), path.string().size() + 2));
    }
    return "accepted";
  }
  std::filesystem::path path;
};

TEST_F(ConfigFile, AnEmptyOneGivesTheDefaults) {
  const Config config = load("");
  EXPECT_EQ(config.log.level, "info");
  EXPECT_EQ(config.nats.partitions, 4);
  EXPECT_EQ(config.edge.half_open_deadline, std::chrono::seconds(30));
  EXPECT_EQ(config.messages.ttl, std::chrono::hours(24 * 30));
  EXPECT_TRUE(config.edge.listeners.empty());
}

TEST_F(ConfigFile, EveryKindOfValueIsRead) {
  const Config config = load(R"(
[log]
format = "json"
[nats]
partitions = 8
[edge]
heartbeat_s = 5
sends_per_device = { per_second = 2.5, burst = 10 }
[[edge.listeners]]
kind = "websocket"
port = 8443
tls = true
[[edge.listeners]]
address = "::1"
[worker]
roles = ["delivery"]
[directory]
token_ttl_h = 12
)");
  EXPECT_EQ(config.log.format, "json");
  EXPECT_EQ(config.nats.partitions, 8);
  EXPECT_EQ(config.edge.heartbeat, std::chrono::seconds(5));
  EXPECT_EQ(config.edge.sends_per_device.per_second, 2.5);
  EXPECT_EQ(config.edge.sends_per_device.burst, 10);
  ASSERT_EQ(config.edge.listeners.size(), 2U);
  EXPECT_EQ(config.edge.listeners[0].kind, "websocket");
  EXPECT_EQ(config.edge.listeners[0].port, 8443);
  EXPECT_TRUE(config.edge.listeners[0].tls);
  EXPECT_EQ(config.edge.listeners[1].address, "::1");
  EXPECT_EQ(config.worker.roles, std::vector<std::string>{"delivery"});
  EXPECT_EQ(config.directory.token_ttl, std::chrono::hours(12));
}

TEST_F(ConfigFile, AMisspeltKeyOrSectionIsNamed) {
  EXPECT_EQ(complaint("[edge]\nheartbeat = 5"), "[edge] heartbeat is not a known key");
  EXPECT_EQ(complaint("[egde]\nheartbeat_s = 5"), "[egde] is not a known section");
  EXPECT_EQ(complaint("[edge]\nsends_per_device = { per_sec = 1 }"),
            "[edge.sends_per_device] per_sec is not a known key");
  EXPECT_EQ(complaint("[[edge.listeners]]\nprot = 1"), "[edge.listeners] prot is not a known key");
}

TEST_F(ConfigFile, AWrongTypeOrRangeIsNamed) {
  const std::string wrong = " has the wrong type or is out of range";
  EXPECT_EQ(complaint("[edge]\nheartbeat_s = \"5\""), "[edge] heartbeat_s" + wrong);
  EXPECT_EQ(complaint("[edge]\nheartbeat_s = -1"), "[edge] heartbeat_s" + wrong);
  EXPECT_EQ(complaint("[edge]\nheartbeat_s = 1.5"), "[edge] heartbeat_s" + wrong);
  EXPECT_EQ(complaint("[edge]\nobserve_port = 65536"), "[edge] observe_port" + wrong);
  EXPECT_EQ(complaint("[nats]\nreplicas = 256"), "[nats] replicas" + wrong);
  EXPECT_EQ(complaint("[nats]\nurl = 4222"), "[nats] url" + wrong);
  EXPECT_EQ(complaint("[[edge.listeners]]\ntls = 1"), "[edge.listeners] tls" + wrong);
  EXPECT_EQ(complaint("[worker]\nroles = \"delivery\""), "[worker] roles is not a list of strings");
  EXPECT_EQ(complaint("[worker]\nroles = [1]"), "[worker] roles is not a list of strings");
  EXPECT_EQ(complaint("[edge]\nsends_per_device = 5"), "[edge] sends_per_device is not a table { per_second, burst }");
  EXPECT_EQ(complaint("[edge]\nlisteners = 5"), "[edge] listeners is not a list of tables");
  EXPECT_EQ(complaint("edge = 5"), "edge is not a table");
}

TEST_F(ConfigFile, ValuesThatCannotWorkAreRefused) {
  EXPECT_EQ(complaint("[nats]\npartitions = 6"), "[nats] partitions must be a power of two");
  EXPECT_EQ(complaint("[nats]\npartitions = 0"), "[nats] partitions must be a power of two");
  EXPECT_EQ(complaint("[nats]\ninbox_shards = 0"), "[nats] inbox_shards must be at least 1");
  EXPECT_EQ(complaint("[edge]\ntls_min_version = \"1.1\""), "[edge] tls_min_version must be \"1.3\" or \"1.2\"");
  EXPECT_EQ(complaint("[edge]\nthreads = 0"), "[edge] threads must be at least 1");
  EXPECT_EQ(complaint("[edge]\nengine = \"kqueue\""), "[edge] engine must be auto, io_uring or epoll");
  EXPECT_EQ(complaint("[[edge.listeners]]\nkind = \"udp\""), "[edge.listeners] kind must be tcp or websocket");
  EXPECT_EQ(complaint("[worker]\nroles = [\"cook\"]"), "[worker] roles knows only delivery, fanout and directory");
  EXPECT_EQ(complaint("[directory]\ncode_sender = \"sms\""), "[directory] code_sender must be log or webhook");
  EXPECT_EQ(complaint("[directory]\ncode_sender = \"webhook\""),
            "[directory] webhook_url and webhook_secret_file are needed when code_sender is webhook");
  for (const char* wrong : {"1", "1025"})
    EXPECT_EQ(complaint("[directory]\ngroup_members_max = " + std::string(wrong)),
              "[directory] group_members_max must be from 2 to 1024");
  EXPECT_EQ(complaint("[log]\nlevel = \"verbose\""), "[log] level must be trace, debug, info, warn or error");
  EXPECT_EQ(complaint("[log]\nformat = \"xml\""), "[log] format must be text or json");
  EXPECT_EQ(complaint("[edge]\nheartbeat_s = 30"),
            "[edge] half_open_deadline_s must be longer than heartbeat_s, which is at least 1");
  EXPECT_EQ(complaint("[edge]\nheartbeat_s = 0"),
            "[edge] half_open_deadline_s must be longer than heartbeat_s, which is at least 1");
  EXPECT_EQ(complaint("[edge]\nsends_per_device = { per_second = -1.0 }"),
            "[edge.sends_per_device] per_second must be a number of at least 0");
  EXPECT_EQ(complaint("[edge]\nsends_per_device = { per_second = nan }"),
            "[edge.sends_per_device] per_second must be a number of at least 0");
  EXPECT_EQ(complaint("[edge]\nsends_per_device = { per_second = 5, burst = 0 }"),
            "[edge.sends_per_device] burst must be at least 1 when per_second is not 0");
}

TEST_F(ConfigFile, ASyntaxErrorNamesItsLine) {
  EXPECT_TRUE(complaint("[log]\nlevel = \n").starts_with("line 2: ")) << complaint("[log]\nlevel = \n");
}

TEST_F(ConfigFile, WithAPasswordInItIsForItsOwnerOnly) {
  for (const char* text : {"[nats]\nurl = \"nats://u:secret@h:1\"", "[nats]\nurl = \"nats://token@h:1\"",
                           "[postgres]\nurl = \"host=h password=secret\"", "[postgres]\nurl = \"postgresql://u:p@h/d\"",
                           "[postgres]\nowner_url = \"host=h password=secret\""}) {
    std::filesystem::remove(path);
    load("");
    std::filesystem::permissions(path, std::filesystem::perms(0640));
    EXPECT_EQ(complaint(text), "is accessible to others than its owner; run: chmod 600 " + path.string()) << text;
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    EXPECT_EQ(complaint(text), "accepted") << text;
  }
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  EXPECT_EQ(complaint("[postgres]\nurl = \"postgresql://user@h/d\""), "accepted");
}

TEST_F(ConfigFile, AMissingOneIsNamed) {
  try {
    load_config("/nonexistent/barid.toml");
    FAIL() << "loaded a file that is not there";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("/nonexistent/barid.toml"), std::string::npos);
  }
}

}  // namespace
}  // namespace barid
