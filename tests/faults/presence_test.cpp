// Presence on the real stack, with the real terminal client: who sees what of whom, each test a claim.
#include <gtest/gtest.h>

#include <algorithm>
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

class Presence : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = std::make_unique<Stack>(
        std::vector<Stack::Setting>{{"directory", "code_resend_s", "0"}, {"worker", "presence_grace_s", "2"}});
  }
  static void TearDownTestSuite() { stack_.reset(); }
  Person person() {
    static int number = 7000;
    const std::string phone = "+491511234" + std::to_string(++number);
    return Person(*stack_, dir_.file(phone), phone);
  }
  static void done(const Person& who, std::vector<std::string> arguments) {
    const auto ran = who.barid(std::move(arguments));
    EXPECT_EQ(ran.status, 0) << ran.output;
  }
  // What this person's `listen --watch` has printed last of anybody; "" before it has.
  static std::string last(const Person& who, const char* what = "state") {
    const auto all = who.heard("presence");
    return all.empty() ? std::string() : all.back().value(what, "");
  }
  static bool sees(const Person& who, const std::string& state) {
    return wait_until([&] { return last(who) == state; }, kPatience);
  }

  static std::unique_ptr<Stack> stack_;
  test::TempDir dir_;
};
std::unique_ptr<Stack> Presence::stack_;

TEST_F(Presence, OneSeesAnotherComeAndGoAndWhenTheyWereLastSeen) {
  Person alice = person(), bob = person();
  bob.listen({"--watch", alice.phone()});
  ASSERT_TRUE(sees(bob, "offline")) << bob.printed();
  alice.listen();
  ASSERT_TRUE(sees(bob, "online")) << bob.printed();
  alice.stop_listening();
  ASSERT_TRUE(sees(bob, "offline")) << bob.printed();
  EXPECT_TRUE(bob.heard("presence").back().at("last_seen").is_number()) << bob.printed();
  // It is written: a worker that knows nothing tells the same.
  const auto seen = bob.heard("presence").back().at("last_seen");
  bob.stop_listening();
  ASSERT_TRUE(wait_until(
      [&] {
        bob.listen({"--watch", alice.phone()});
        const bool told = sees(bob, "offline");
        bob.stop_listening();
        return told && bob.heard("presence").back().at("last_seen") == seen;
      },
      kPatience));
}

TEST_F(Presence, PrivacyAndBlocksAreEnforcedBothWays) {
  Person alice = person(), bob = person();
  alice.listen({"--watch", bob.phone()});
  bob.listen({"--watch", alice.phone()});
  ASSERT_TRUE(sees(alice, "online") && sees(bob, "online"));
  done(alice, {"privacy", "--online", "nobody", "--last-seen", "nobody"});
  EXPECT_TRUE(sees(bob, "hidden")) << bob.printed();
  EXPECT_TRUE(sees(alice, "hidden")) << "who hides sees nobody: " << alice.printed();
  done(alice, {"privacy", "--online", "contacts"});
  done(alice, {"contacts", "add", "Bob", bob.phone()});
  EXPECT_TRUE(sees(bob, "online")) << "a contact: " << bob.printed();
  done(alice, {"contacts", "remove", "Bob"});
  EXPECT_TRUE(sees(bob, "hidden")) << bob.printed();
  done(alice, {"privacy", "--online", "everyone"});
  EXPECT_TRUE(sees(bob, "online")) << bob.printed();
  done(alice, {"block", bob.phone()});
  EXPECT_TRUE(sees(bob, "hidden")) << bob.printed();
  EXPECT_NE(alice.barid({"blocks"}).output.find("blocked"), std::string::npos);
  done(alice, {"unblock", bob.phone()});
  EXPECT_TRUE(sees(bob, "online")) << bob.printed();
}

TEST_F(Presence, AfterAnEdgeOrAWorkerIsKilledTheTruthIsToldAgain) {
  Person alice = person(), bob = person();
  alice.listen();
  bob.listen({"--watch", alice.phone()});
  ASSERT_TRUE(sees(bob, "online"));
  for (const char* process : {"worker", "edge"}) {
    const std::size_t before = bob.heard("presence").size();
    stack_->kill(process);
    ASSERT_TRUE(wait_until([] { return stack_->ready(); }, kPatience));
    ASSERT_TRUE(wait_until([&] { return bob.heard("presence").size() > before; }, kPatience)) << process;
    ASSERT_TRUE(sees(bob, "online")) << process << bob.printed();
  }
}

}  // namespace
}  // namespace barid
