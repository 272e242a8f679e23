// Groups on the real stack, with the real terminal client: what members are promised, each test a claim.
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>

#include "tests/faults/person.h"
#include "tests/faults/stack.h"

namespace barid {
namespace {

using nlohmann::json;
using test::kPatience;
using test::Person;
using test::Stack;
using test::wait_until;

class Groups : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = std::make_unique<Stack>(std::vector<Stack::Setting>{
        {"directory", "code_resend_s", "0"}, {"edge", "sends_per_device", "{ per_second = 5000, burst = 2000 }"}});
  }
  static void TearDownTestSuite() { stack_.reset(); }
  Person person() {
    static int number = 5000;
    const std::string phone = "+491511234" + std::to_string(++number);
    return Person(*stack_, dir_.file(phone), phone);
  }
  static json first_line(const std::string& output) {
    return json::parse(output.substr(0, output.find('\n')), nullptr, false);
  }
  // Runs a command that must go well.
  static json done(const Person& who, std::vector<std::string> arguments) {
    const auto ran = who.barid(std::move(arguments));
    EXPECT_EQ(ran.status, 0) << ran.output;
    return first_line(ran.output);
  }
  static std::vector<std::string> texts(const Person& who) {
    std::vector<std::string> all;
    for (const json& m : who.heard()) all.push_back(m.value("text", ""));
    return all;
  }
  static bool hears(const Person& who, const std::string& text) {
    return wait_until(
        [&] {
          const auto all = texts(who);
          return std::find(all.begin(), all.end(), text) != all.end();
        },
        kPatience);
  }
  static bool hears_event(const Person& who, const std::string& kind) {
    return wait_until(
        [&] {
          for (const json& e : who.heard("group"))
            if (e.value("event", "") == kind) return true;
          return false;
        },
        kPatience);
  }
  static json last_message(const Person& who, const std::string& group) {
    json last;
    std::istringstream lines(who.barid({"history", "--group", group, "--limit", "5"}).output);
    for (std::string line; std::getline(lines, line);)
      if (auto one = json::parse(line, nullptr, false); one.is_object() && one.value("type", "") == "message")
        last = one;
    return last;
  }

  static std::unique_ptr<Stack> stack_;
  test::TempDir dir_;
};
std::unique_ptr<Stack> Groups::stack_;

TEST_F(Groups, AMessageReachesAllMembersAndTheSenderSeesWhoHasIt) {
  Person alice = person(), bob = person(), carol = person();
  EXPECT_EQ(done(alice, {"group", "create", "Choir", bob.phone(), carol.phone()})["members"].size(), 3U);
  bob.listen({"--read"});
  carol.listen();
  alice.listen();
  ASSERT_TRUE(hears_event(bob, "created"));
  done(alice, {"send", "--group", "Choir", "Tuesday at eight"});
  EXPECT_TRUE(hears(bob, "Tuesday at eight"));
  EXPECT_TRUE(hears(carol, "Tuesday at eight"));
  EXPECT_EQ(bob.heard().back().value("group_name", ""), "Choir");
  EXPECT_TRUE(wait_until(
      [&] {
        const json m = last_message(alice, "Choir");
        return m.value("delivered_to", 0) == 2 && m.value("read_by", 0) == 1 && m.value("state", "") == "delivered";
      },
      kPatience))
      << last_message(alice, "Choir");
  done(bob, {"send", "--group", "Choir", "I come"});
  EXPECT_TRUE(hears(alice, "I come"));
  EXPECT_TRUE(hears(carol, "I come"));
  EXPECT_EQ(texts(bob), std::vector<std::string>{"Tuesday at eight"});
}

TEST_F(Groups, WhoIsRemovedHearsNothingAfterAndWhoIsAddedNothingBefore) {
  Person alice = person(), bob = person(), carol = person();
  done(alice, {"group", "create", "Cut", bob.phone()});
  bob.listen(), carol.listen();
  done(alice, {"send", "--group", "Cut", "one"});
  ASSERT_TRUE(hears(bob, "one"));
  done(alice, {"group", "add", "Cut", carol.phone()});
  done(alice, {"group", "remove", "Cut", bob.phone()});
  done(alice, {"send", "--group", "Cut", "two"});
  EXPECT_TRUE(hears(carol, "two"));
  EXPECT_TRUE(hears_event(bob, "membersRemoved"));
  EXPECT_NE(bob.barid({"send", "--group", "Cut", "still here?"}).status, 0);
  done(alice, {"group", "add", "Cut", bob.phone()});
  done(alice, {"send", "--group", "Cut", "three"});
  EXPECT_TRUE(hears(bob, "three"));
  EXPECT_EQ(texts(bob), (std::vector<std::string>{"one", "three"}));
  EXPECT_TRUE(hears(carol, "three"));
  EXPECT_EQ(texts(carol), (std::vector<std::string>{"two", "three"}));
}

TEST_F(Groups, AnAnnouncementGroupFailsWhatMembersWriteAndSaysWhy) {
  Person alice = person(), bob = person();
  done(alice, {"group", "create", "News", bob.phone(), "--only-admins-send", "on"});
  bob.listen(), alice.listen();
  ASSERT_TRUE(hears_event(bob, "created"));
  done(bob, {"group", "info", "News"});
  bob.barid({"send", "--group", "News", "may I?"});
  EXPECT_TRUE(wait_until([&] { return last_message(bob, "News").value("state", "") == "failed"; }, kPatience));
  EXPECT_EQ(last_message(bob, "News").value("reason", ""), "notAllowed");
  done(alice, {"send", "--group", "News", "no"});
  EXPECT_TRUE(hears(bob, "no"));
  done(alice, {"group", "promote", "News", bob.phone()});
  done(bob, {"send", "--group", "News", "now?", "--wait", "accepted"});
  EXPECT_TRUE(hears(alice, "now?"));
}

TEST_F(Groups, AnInviteIsShownSentAroundAndRevoked) {
  Person alice = person(), bob = person(), carol = person();
  done(alice, {"group", "create", "Open", "--join-approval", "on"});
  const std::string token = done(alice, {"group", "invite", "Open", "--new"})["token"];
  EXPECT_EQ(done(alice, {"group", "invite", "Open"})["token"], token);
  EXPECT_EQ(done(bob, {"group", "join", token})["type"], "waiting");
  const std::string waits = done(alice, {"group", "requests", "Open"})["user"];
  done(alice, {"group", "requests", "Open", "--accept", "user:" + waits});
  EXPECT_EQ(done(bob, {"group", "list"})["name"], "Open");
  done(alice, {"group", "edit", "Open", "--join-approval", "off", "--name", "Very open"});
  EXPECT_EQ(done(carol, {"group", "join", token})["name"], "Very open");
  done(alice, {"group", "invite", "Very open", "--revoke"});
  EXPECT_EQ(person().barid({"group", "join", token}).status, 4);
  EXPECT_EQ(alice.barid({"group", "leave", "Very open"}).status, 4);  // the last owner
  done(alice, {"group", "leave", "Very open", "--successor", "user:" + waits});
  EXPECT_EQ(done(bob, {"group", "info", "Very open"})["role"], "owner");
  done(bob, {"group", "delete", "Very open"});
  EXPECT_TRUE(wait_until(
      [&] {
        done(carol, {"listen", "--timeout", "1"});
        return carol.barid({"group", "list"}).output.empty();
      },
      kPatience));
}

TEST_F(Groups, NothingIsMissedOrDoubledWhenTheWorkerIsKilled) {
  Person alice = person(), bob = person(), carol = person();
  done(alice, {"group", "create", "Storm", bob.phone(), carol.phone()});
  bob.listen();
  carol.listen();
  std::vector<std::string> written;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 5; ++i) {
      written.push_back("letter " + std::to_string(round) + "." + std::to_string(i));
      done(alice, {"send", "--group", "Storm", written.back(), "--wait", "accepted", "--timeout", "50"});
    }
    stack_->kill("worker");
  }
  for (const Person* who : {&bob, &carol}) {
    EXPECT_TRUE(hears(*who, written.back()));
    EXPECT_EQ(texts(*who), written);
  }
  // The members can be changed again, and the cut is clean.
  ASSERT_TRUE(wait_until([&] { return stack_->ready(); }, kPatience));
  ASSERT_TRUE(wait_until(
      [&] {
        return alice.barid({"group", "remove", "Storm", carol.phone()}).status == 0;
      },
      kPatience));
  done(alice, {"send", "--group", "Storm", "after"});
  EXPECT_TRUE(hears(bob, "after"));
  EXPECT_TRUE(hears_event(carol, "membersRemoved"));
  EXPECT_EQ(texts(carol), written);
}

TEST_F(Groups, ANewDeviceOfAMemberGetsWhatIsSentToItsGroups) {
  Person alice = person(), bob = person();
  done(alice, {"group", "create", "Moves", bob.phone()});
  Person again(*stack_, dir_.file("again"), bob.phone());  // another phone, the same number
  again.listen();
  done(alice, {"send", "--group", "Moves", "welcome back"});
  EXPECT_TRUE(hears(again, "welcome back"));
  EXPECT_TRUE(wait_until([&] { return done(again, {"group", "list"}).value("name", "") == "Moves"; }, kPatience));
  done(again, {"send", "--group", "Moves", "thank you"});
  alice.listen();
  EXPECT_TRUE(hears(alice, "thank you"));
}

TEST_F(Groups, AStreamOfLettersStaysWholeAndInOrderWhileTheWorkerIsKilled) {
  constexpr std::size_t kLines = 400;
  Person alice = person(), bob = person(), carol = person(), dave = person();
  done(alice, {"group", "create", "Flood", bob.phone(), carol.phone(), dave.phone()});
  bob.listen(), carol.listen();  // Dave is away.
  auto argv = alice.command({"send", "--group", "Flood", "--lines", "--wait", "accepted"});
  argv.insert(argv.begin(), {"/bin/sh", "-c", "seq -f 'line %g' 1 " + std::to_string(kLines) + R"( | "$@")", "sh"});
  test::ChildProcess sending(argv, dir_.file("sending"));
  for (std::size_t kill = 1; kill <= 3; ++kill) {
    ASSERT_TRUE(wait_until([&] { return texts(bob).size() >= kill * kLines / 8; }, kPatience))
        << test::read_file(dir_.file("sending")) << bob.printed();
    stack_->kill("worker");
    ASSERT_TRUE(wait_until([] { return stack_->ready(); }, kPatience));
  }
  EXPECT_EQ(sending.wait(kPatience), 0) << test::read_file(dir_.file("sending"));
  dave.listen();
  std::vector<std::string> expected;
  for (std::size_t i = 1; i <= kLines; ++i) expected.push_back("line " + std::to_string(i));
  for (const Person* member : {&bob, &carol, &dave}) {
    EXPECT_TRUE(wait_until([&] { return texts(*member).size() >= kLines; }, kPatience));
    EXPECT_EQ(texts(*member), expected);
  }
}

TEST_F(Groups, GroupsInUseGoOnWithoutPostgres) {
  Person alice = person(), bob = person();
  done(alice, {"group", "create", "Dark", bob.phone()});
  bob.listen();
  done(alice, {"send", "--group", "Dark", "before"});
  ASSERT_TRUE(hears(bob, "before"));
  stack_->signal("postgres", SIGSTOP);
  alice.barid({"send", "--group", "Dark", "meanwhile", "--wait", "accepted"});
  const bool heard = hears(bob, "meanwhile");
  stack_->signal("postgres", SIGCONT);
  EXPECT_TRUE(heard);
  EXPECT_TRUE(wait_until([] { return stack_->ready(); }, kPatience));
}

}  // namespace
}  // namespace barid
