// What members of a group are promised, on the real stack and with the real terminal client: each test a claim.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>

#include "tests/faults/person.h"
#include "tests/faults/stack.h"

namespace barid {
namespace {

using test::kPatience;
using test::Person;
using test::Stack;
using test::wait_until;
using Texts = std::vector<std::string>;

class Groups : public testing::Test {
 protected:
  // One stack for all: it takes seconds to start.
  static void SetUpTestSuite() {
    stack_ = std::make_unique<Stack>(
        std::vector<Stack::Setting>{{"edge", "sends_per_device", "{ per_second = 5000, burst = 2000 }"}});
  }
  static void TearDownTestSuite() { stack_.reset(); }

  Person person() {
    static int number = 3000;
    const std::string phone = "+491511234" + std::to_string(++number);
    return Person(*stack_, dir_.file(phone), phone);
  }
  static void make(const Person& owner, const std::vector<const Person*>& members) {
    std::vector<std::string> create{"group", "create", "Choir"};
    for (const Person* member : members) create.push_back(member->phone());
    const auto ran = owner.barid(create);
    ASSERT_EQ(ran.status, 0) << ran.output;
  }
  static void change(const Person& by, const char* how, const Person& whom) {
    const auto ran = by.barid({"group", how, "Choir", whom.phone()});
    ASSERT_EQ(ran.status, 0) << ran.output;
  }
  static void write(const Person& from, const std::string& text) {
    const auto ran = from.barid({"send", "--group", "Choir", text, "--wait", "accepted"});
    ASSERT_EQ(ran.status, 0) << ran.output;
  }
  // Every process of the instance's Postgres.
  static void signal_postgres(int signal) {
    const pid_t postmaster = stack_->pid_of("postgres");
    ASSERT_GT(postmaster, 1);
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream stat(entry.path() / "stat");
      std::string line;
      if (!std::getline(stat, line)) continue;
      const pid_t pid = std::atoi(line.c_str());
      std::istringstream rest(line.substr(line.rfind(')') + 1));
      std::string state;
      pid_t parent = 0;
      rest >> state >> parent;
      if (pid > 1 && parent == postmaster) ::kill(pid, signal);
    }
    ::kill(postmaster, signal);
  }

  static std::unique_ptr<Stack> stack_;
  test::TempDir dir_;
};
std::unique_ptr<Stack> Groups::stack_;

TEST_F(Groups, EveryMemberGetsEachMessageOnceAndInOrderWhileTheWorkerIsKilled) {
  constexpr std::size_t kLines = 400;
  Person alice = person(), bob = person(), carol = person(), dave = person();
  make(alice, {&bob, &carol, &dave});
  bob.listen();
  carol.listen();
  // Dave is away.
  auto argv = alice.command({"send", "--group", "Choir", "--lines", "--wait", "accepted"});
  argv.insert(argv.begin(), {"/bin/sh", "-c", "seq -f 'line %g' 1 " + std::to_string(kLines) + R"( | "$@")", "sh"});
  test::ChildProcess sending(argv, dir_.file("sending"));
  for (std::size_t kill = 1; kill <= 3; ++kill) {
    ASSERT_TRUE(wait_until([&] { return bob.texts_heard().size() >= kill * kLines / 8; }, kPatience))
        << test::read_file(dir_.file("sending")) << bob.printed();
    stack_->kill("worker");
    ASSERT_TRUE(wait_until([] { return stack_->ready(); }, kPatience));
  }
  EXPECT_EQ(sending.wait(kPatience), 0) << test::read_file(dir_.file("sending"));
  dave.listen();
  Texts expected;
  for (std::size_t i = 1; i <= kLines; ++i) expected.push_back("line " + std::to_string(i));
  for (const Person* member : {&bob, &carol, &dave}) {
    EXPECT_TRUE(wait_until([&] { return member->texts_heard().size() >= kLines; }, kPatience));
    EXPECT_EQ(member->texts_heard(), expected);
  }
}

TEST_F(Groups, WhoComesGetsNothingFromBeforeAndWhoGoesNothingAfter) {
  Person alice = person(), bob = person(), carol = person(), dave = person();
  make(alice, {&bob, &carol});
  for (Person* member : {&bob, &carol, &dave}) member->listen();
  write(alice, "to bob and carol");
  change(alice, "add", dave);
  write(alice, "to bob, carol and dave");
  change(alice, "remove", carol);
  write(alice, "to bob and dave");
  EXPECT_TRUE(wait_until([&] { return bob.texts_heard().size() >= 3 && dave.texts_heard().size() >= 2; }, kPatience));
  EXPECT_EQ(bob.texts_heard(), (Texts{"to bob and carol", "to bob, carol and dave", "to bob and dave"}));
  EXPECT_EQ(dave.texts_heard(), (Texts{"to bob, carol and dave", "to bob and dave"}));
  EXPECT_TRUE(wait_until([&] { return carol.texts_heard().size() >= 2; }, kPatience));
  EXPECT_EQ(carol.texts_heard(), (Texts{"to bob and carol", "to bob, carol and dave"}));
  // Who is out may try, whatever her client knows.
  EXPECT_NE(carol.barid({"send", "--group", "Choir", "from outside", "--wait", "delivered", "--timeout", "20"}).status,
            0);
  write(alice, "the last one");
  EXPECT_TRUE(wait_until([&] { return bob.texts_heard().size() >= 4; }, kPatience));
  EXPECT_EQ(bob.texts_heard().back(), "the last one");
  EXPECT_EQ(bob.texts_heard().size(), 4U);
}

TEST_F(Groups, WithoutPostgresGroupsThatAreInUseGoOn) {
  Person alice = person(), bob = person();
  make(alice, {&bob});
  bob.listen();
  write(alice, "before");
  ASSERT_TRUE(wait_until([&] { return bob.texts_heard().size() == 1; }, kPatience));
  signal_postgres(SIGSTOP);
  write(alice, "meanwhile");
  const bool heard = wait_until([&] { return bob.texts_heard().size() == 2; }, kPatience);
  signal_postgres(SIGCONT);
  EXPECT_TRUE(heard);
  EXPECT_TRUE(wait_until([] { return stack_->ready(); }, kPatience));
}

TEST_F(Groups, TheAuthorLearnsWhoHasIt) {
  Person alice = person(), bob = person(), carol = person();
  make(alice, {&bob, &carol});
  bob.listen();
  carol.listen();
  const auto ran = alice.barid({"send", "--group", "Choir", "hello", "--wait", "delivered"});
  EXPECT_EQ(ran.status, 0) << ran.output;
}

}  // namespace
}  // namespace barid
