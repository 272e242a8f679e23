// Workers and edges come and go on a running instance, by the operator's own commands, while people write to each
// other. At no time is a message lost, doubled or out of order, and the longest silence of a partition is bounded.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "base/config.h"
#include "base/crypto.h"
#include "broker/control.h"
#include "broker/roles.h"
#include "broker/topology.h"
#include "tests/faults/stack.h"
#include "tests/faults/traffic.h"

namespace barid {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::Ran;

constexpr std::uint16_t kPartitions = 16;
// On a machine of its own a partition that is handed over pauses for 10 to 200 ms. The bounds leave room for a busy
// one, and are below the lease: what took that long was not handed over.
constexpr milliseconds kGraceful{2'000}, kLease{3'000};
constexpr std::chrono::seconds kPatience{60};

class Scale : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    crypto::init_crypto();
    stack_ = std::make_unique<test::Stack>(
        std::vector<test::Stack::Setting>{{"nats", "partitions", std::to_string(kPartitions)},
                                          {"directory", "code_resend_s", "0"},
                                          {"edge", "requests_per_address", "{ per_second = 1000, burst = 1000 }"},
                                          {"edge", "sends_per_device", "{ per_second = 5000, burst = 2000 }"}});
    folder_ = std::make_unique<test::TempDir>();
    traffic_ = std::make_unique<test::Traffic>(*stack_, folder_->path(), 12, 150ms, kPartitions);
    control_ = std::make_unique<broker::Control>(
        broker::as_role(load_config(stack_->data() + "/barid.toml").nats, broker::kOperatorRole), "test");
    traffic_->run_for(3s);
  }
  static void TearDownTestSuite() {
    traffic_.reset();
    control_.reset();
    stack_.reset();
  }
  void SetUp() override {
    traffic_->run_for(500ms);
    traffic_->forget_gaps();
  }
  static std::vector<std::string> ops(std::vector<std::string> words) {
    words[0] = std::string(BARID_ROOT) + "/ops/" + words[0];
    const std::string build = BARID_BUILD;
    words.insert(words.begin(), {"/usr/bin/env", "BARID_PRESET=" + build.substr(build.rfind('/') + 1)});
    words.insert(words.end(), {"--data", stack_->data()});
    return words;
  }
  static Ran operate(std::vector<std::string> words) { return test::run(ops(std::move(words)), kPatience); }
  static std::map<std::string, std::vector<std::string>> owners() {  // worker → keys of both stages
    std::map<std::string, std::vector<std::string>> all;
    for (const auto stage : {broker::Stage::delivery, broker::Stage::fanout})
      for (std::uint16_t p = 0; p < kPartitions; ++p) {
        const auto key = broker::owner_key(Partition(p), stage);
        const json owner = json::parse(control_->get(broker::kOwnersBucket, key)->value);
        all[owner.value("released", false) ? "" : owner.value("worker", "")].push_back(key);
      }
    return all;
  }
  static bool owns_nothing(const std::string& worker) { return !owners().contains(worker); }
  static void report(const char* what) {
    std::printf("%s: longest silence of a partition %lld ms, %zu messages so far; by partition", what,
                static_cast<long long>(traffic_->longest_gap().count()), traffic_->written());
    for (const auto& [partition, gap] : traffic_->gaps())
      std::printf(" %u:%lld", partition.value, static_cast<long long>(gap.count()));
    std::printf("\n");
  }
  static void expect_nothing_lost() { EXPECT_EQ(traffic_->settle(kPatience), ""); }

  static std::unique_ptr<test::Stack> stack_;
  static std::unique_ptr<test::TempDir> folder_;
  static std::unique_ptr<test::Traffic> traffic_;
  static std::unique_ptr<broker::Control> control_;
};
std::unique_ptr<test::Stack> Scale::stack_;
std::unique_ptr<test::TempDir> Scale::folder_;
std::unique_ptr<test::Traffic> Scale::traffic_;
std::unique_ptr<broker::Control> Scale::control_;

// The tests build on each other, in this order: the instance has 1 worker and 1 edge, then 3 and 2.
TEST_F(Scale, NewWorkersTakeTheirShareAndNoPartitionPausesForASecond) {
  const Ran ran = operate({"scale", "workers", "3"});
  ASSERT_EQ(ran.status, 0) << ran.output;
  traffic_->run_for(1s);
  const auto now = owners();
  for (const char* worker : {"worker-1", "worker-2", "worker-3"})
    EXPECT_TRUE(now.contains(worker)) << worker << " owns nothing";
  traffic_->run_for(1s);
  report("1 to 3 workers");
  EXPECT_LT(traffic_->longest_gap(), kGraceful);
  expect_nothing_lost();
}

TEST_F(Scale, NewEdgesListenOnTheSamePortsAndAreRemembered) {
  const Ran ran = operate({"scale", "edges", "2"});
  ASSERT_EQ(ran.status, 0) << ran.output;
  report("1 to 2 edges");
  EXPECT_LT(traffic_->longest_gap(), kGraceful);
  const json status = stack_->status();
  EXPECT_TRUE(status.value("ready", false)) << status.value("why", "");
  EXPECT_NE(test::read_file(stack_->data() + "/scale.env").find("workers=3\nedges=2"), std::string::npos);
  expect_nothing_lost();
}

TEST_F(Scale, OfThreeWorkersThePartitionsOfTheKilledOnePauseAndNoOthers) {
  const auto before = owners();
  const Ran held = operate({"drain", "worker-3", "--dry-run"});  // the plan alone changes nothing
  ASSERT_EQ(held.status, 0) << held.output;
  ASSERT_EQ(owners(), before);
  // Frozen, not only killed: the supervisor would start it again before anybody misses it.
  const pid_t pid = stack_->pid_of("worker-2");
  ASSERT_GT(pid, 0);
  ::kill(pid, SIGSTOP);
  traffic_->run_for(kLease + 5s, [] { return owns_nothing("worker-2"); });
  traffic_->run_for(1s);
  ASSERT_TRUE(owns_nothing("worker-2"));
  report("one of three silent");
  EXPECT_GT(traffic_->longest_gap(), 1s) << "its partitions paused for no time: the measurement is wrong";
  for (const auto& [partition, gap] : traffic_->gaps()) {
    const bool its =
        std::count(before.at("worker-2").begin(), before.at("worker-2").end(), broker::owner_key(partition)) != 0;
    EXPECT_LT(gap, its ? kLease + 2s : kGraceful) << "partition " << partition.value;
  }
  traffic_->forget_gaps();
  ::kill(pid, SIGCONT);  // finds its partitions taken, and gets them back in order
  traffic_->run_for(20s, [&] { return owners() == before; });
  EXPECT_EQ(owners(), before);
  traffic_->run_for(1s);
  report("it is back");
  EXPECT_LT(traffic_->longest_gap(), kGraceful);
  stack_->kill("worker-2");
  traffic_->run_for(2s);
  expect_nothing_lost();
}

TEST_F(Scale, ADrainedEdgeSendsItsClientsToTheOther) {
  const Ran ran = operate({"drain", "edge", "edge-1", "--over", "3"});
  ASSERT_EQ(ran.status, 0) << ran.output;
  report("edge drained");
  traffic_->run_for(1s);
  EXPECT_LT(traffic_->longest_gap(), kGraceful + 1s);  // a client waits for up to 0.5 s before it comes back
  expect_nothing_lost();
  EXPECT_TRUE(stack_->ready()) << "one edge is left";
  const Ran last = operate({"drain", "edge", "edge-2"});
  EXPECT_EQ(last.status, 1);
  EXPECT_NE(last.output.find("the only edge that runs"), std::string::npos) << last.output;
}

TEST_F(Scale, ADrainedWorkerHandsOverBothStages) {
  const Ran ran = operate({"drain", "worker", "worker-2", "--over", "3"});
  ASSERT_EQ(ran.status, 0) << ran.output;
  EXPECT_TRUE(owns_nothing("worker-2"));
  EXPECT_FALSE(owners().contains(""));
  traffic_->run_for(1s);
  report("worker drained");
  EXPECT_LT(traffic_->longest_gap(), kGraceful);
  expect_nothing_lost();
}

TEST_F(Scale, LessWorkersTakeEverythingBack) {
  const Ran ran = operate({"scale", "workers", "1", "--over", "1"});
  ASSERT_EQ(ran.status, 0) << ran.output;
  const auto now = owners();
  EXPECT_EQ(now.size(), 1U);
  EXPECT_TRUE(now.contains("worker-1"));
  traffic_->run_for(1s);
  report("3 to 1 workers");
  EXPECT_LT(traffic_->longest_gap(), kGraceful);
  expect_nothing_lost();
}

}  // namespace
}  // namespace barid
