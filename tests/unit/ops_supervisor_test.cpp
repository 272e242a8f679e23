#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "ops/supervisor/backoff.h"
#include "ops/supervisor/log_file.h"
#include "ops/supervisor/spec.h"

namespace barid::supervisor {
namespace {

using testing::HasSubstr;

class Supervisor : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "barid-ops-XXXXXX";
    dir_ = mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string file(const std::string& name) const { return dir_ + "/" + name; }
  static std::string content(const std::string& path) {
    std::ifstream in(path);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  Spec spec_of(const std::string& text) {
    std::ofstream(file("spec.toml")) << text;
    return load_spec(file("spec.toml"));
  }
  std::string complaint_about(const std::string& text) try {
    spec_of(text);
    return "(no complaint)";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  std::string dir_;
};

TEST_F(Supervisor, BackoffDoublesToTenSeconds) {
  Backoff backoff;
  const int expected[] = {200, 400, 800, 1'600, 3'200, 6'400, 10'000, 10'000};
  for (const int ms : expected) EXPECT_EQ(backoff.next(milliseconds(5)), milliseconds(ms));
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(backoff.next(milliseconds(5)), milliseconds(10'000));
}

TEST_F(Supervisor, BackoffForgetsOnceTheProcessRanForAMinute) {
  Backoff backoff;
  for (int i = 0; i < 10; ++i) backoff.next(milliseconds(5));
  EXPECT_EQ(backoff.next(Backoff::kForgiveAfter - milliseconds(1)), milliseconds(10'000));
  EXPECT_EQ(backoff.next(Backoff::kForgiveAfter), milliseconds(200));
  EXPECT_EQ(backoff.deaths_in_a_row(), 1u);
}

TEST_F(Supervisor, LogKeepsTheNewestAndNeverExceedsItsBound) {
  constexpr std::size_t kBytes = 10'000;
  constexpr unsigned kFiles = 3;
  {
    LogFile log(file("a.log"), kBytes, kFiles);
    for (int i = 0; i < 5'000; ++i) log.append("line " + std::to_string(i) + "\n");
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
    ++files;
    EXPECT_LE(entry.file_size(), kBytes) << entry.path();
  }
  EXPECT_EQ(files, kFiles);
  const std::string all = content(file("a.log.2")) + content(file("a.log.1")) + content(file("a.log"));
  std::istringstream lines(all);
  std::string line;
  std::getline(lines, line);
  int number = std::stoi(line.substr(5));  // the oldest that is kept; from there on none is missing
  while (std::getline(lines, line)) ASSERT_EQ(line, "line " + std::to_string(++number));
  EXPECT_EQ(number, 4'999);
}

TEST_F(Supervisor, LogGoesOnWhereThePreviousRunStopped) {
  { LogFile(file("a.log"), 1'000, 2).append("first\n"); }
  { LogFile(file("a.log"), 1'000, 2).append("second\n"); }
  EXPECT_EQ(content(file("a.log")), "first\nsecond\n");
}

TEST_F(Supervisor, LogCutsAnOutputLargerThanAWholeFile) {
  LogFile log(file("a.log"), 4'096, 2);
  log.append(std::string(50'000, 'x') + "the end\n");
  EXPECT_LE(std::filesystem::file_size(file("a.log")), 4'096u + 64);
  EXPECT_THAT(content(file("a.log")), HasSubstr("the end"));
}

TEST_F(Supervisor, LogThatTheDiskRefusesCountsWhatWasLost) {
  const std::string path = file("later/a.log");
  LogFile log(path, 1'000, 2);
  log.append("lost\n");
  std::filesystem::create_directory(file("later"));
  log.append("kept\n");
  EXPECT_EQ(content(path), "[5 bytes of output could not be written]\nkept\n");
}

TEST_F(Supervisor, SpecIsSortedByStage) {
  const Spec spec = spec_of(R"(
    log_dir = "/tmp"
    [[process]]
    name = "edge"
    argv = ["e", "--x"]
    stage = 2
    stop_signal = "INT"
    [[process]]
    name = "nats"
    argv = ["n"]
    stage = 1
    task = true
    env = ["A=b"])");
  ASSERT_EQ(spec.processes.size(), 2u);
  EXPECT_EQ(spec.processes[0].name, "nats");
  EXPECT_TRUE(spec.processes[0].task);
  EXPECT_EQ(spec.processes[0].env, std::vector<std::string>{"A=b"});
  EXPECT_EQ(spec.processes[1].argv, (std::vector<std::string>{"e", "--x"}));
  EXPECT_EQ(spec.processes[1].stop_signal, SIGINT);
}

TEST_F(Supervisor, SpecErrorsNameTheProcessAndTheKey) {
  const std::string head = "log_dir = \"/tmp\"\n[[process]]\nname = \"edge\"\n";
  EXPECT_THAT(complaint_about(head + "argv = []"), HasSubstr("process edge: argv is empty"));
  EXPECT_THAT(complaint_about(head + "argv = [\"e\"]\nstgae = 1"), HasSubstr("process edge: stgae is not a known key"));
  EXPECT_THAT(complaint_about(head + "argv = [\"e\"]\nstop_signal = \"HUP\""), HasSubstr("stop_signal is none of"));
  EXPECT_THAT(complaint_about(head + "argv = [\"e\"]\nstage = \"one\""), HasSubstr("stage is not a number"));
  EXPECT_THAT(complaint_about("log_dir = \"/tmp\"\n"), HasSubstr("process is missing"));
  EXPECT_THAT(complaint_about("log_dir = \"/tmp\"\n[[process]]\nname = \"../x\"\nargv = [\"e\"]"),
              HasSubstr("name must be letters"));
  EXPECT_THAT(complaint_about(head + "argv = [\"e\"]\n[[process]]\nname = \"edge\"\nargv = [\"e\"]"),
              HasSubstr("names edge twice"));
  EXPECT_THAT(complaint_about("log_dir = "), HasSubstr("line 1"));
}

TEST(MaskedUrl, HidesPasswordsAndTokensOnly) {
  EXPECT_EQ(masked_url("nats://127.0.0.1:4222"), "nats://127.0.0.1:4222");
  EXPECT_EQ(masked_url("nats://barid:se@cret@127.0.0.1:1"), "nats://barid:•••@127.0.0.1:1");
  EXPECT_EQ(masked_url("nats://token@h:1"), "nats://•••@h:1");
}

}  // namespace
}  // namespace barid::supervisor
