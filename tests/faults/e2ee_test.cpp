// End-to-end encryption among people at terminals, on the real stack: what they see, and what the server has.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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

class Sealed : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = std::make_unique<Stack>(std::vector<Stack::Setting>{{"directory", "code_resend_s", "0"}});
  }
  static void TearDownTestSuite() { stack_.reset(); }
  static std::string new_phone() {
    static int number = 7000;
    return "+491511234" + std::to_string(++number);
  }
  Person person(const std::string& phone) {
    static int folders = 0;
    return Person(*stack_, dir_.file("person-" + std::to_string(++folders)), phone);
  }
  Person person() { return person(new_phone()); }
  static json done(const Person& who, std::vector<std::string> arguments) {
    const auto ran = who.barid(std::move(arguments));
    EXPECT_EQ(ran.status, 0) << ran.output;
    return json::parse(ran.output.substr(0, ran.output.find('\n')), nullptr, false);
  }
  static bool hears(const Person& who, const std::string& text) {
    return wait_until(
        [&] {
          for (const json& m : who.heard())
            if (m.value("text", "") == text) return true;
          return false;
        },
        kPatience);
  }
  // Whether any file of the instance (streams, tables, logs, settings) has these bytes.
  static bool server_has(const std::string& bytes) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             stack_->data(), std::filesystem::directory_options::skip_permission_denied)) {
      std::error_code gone;
      if (!entry.is_regular_file(gone) || gone) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string all((std::istreambuf_iterator<char>(in)), {});
      if (all.find(bytes) != std::string::npos) return true;
    }
    return false;
  }

  static std::unique_ptr<Stack> stack_;
  test::TempDir dir_;
};
std::unique_ptr<Stack> Sealed::stack_;

TEST_F(Sealed, TheServerHasNoneOfWhatIsSaidInItsStreamsTablesAndLogs) {
  Person alice = person(), bob = person(), carol = person();
  done(alice, {"group", "create", "Canary-Group-Name", bob.phone(), carol.phone()});
  bob.listen();
  done(alice, {"send", bob.phone(), "canary-live-message", "--wait", "delivered"});
  EXPECT_TRUE(hears(bob, "canary-live-message"));
  done(alice, {"send", carol.phone(), "canary-parked-message"});  // waits in an inbox
  done(alice, {"send", "--group", "Canary-Group-Name", "canary-group-message"});
  EXPECT_TRUE(hears(bob, "canary-group-message"));
  done(bob, {"send", alice.phone(), "canary-answer"});
  // The hunt finds what is there in plain.
  EXPECT_TRUE(wait_until([] { return server_has("Canary-Group-Name"); }, kPatience));
  for (const char* canary : {"canary-live-message", "canary-parked-message", "canary-group-message", "canary-answer"})
    EXPECT_FALSE(server_has(canary)) << canary;
  carol.listen();
  EXPECT_TRUE(hears(carol, "canary-parked-message"));
  EXPECT_TRUE(hears(carol, "canary-group-message"));
}

TEST_F(Sealed, TwoPeopleCompareTheSameSafetyNumber) {
  Person alice = person(), bob = person();
  done(alice, {"send", bob.phone(), "hello", "--wait", "accepted"});
  bob.listen({"--count", "1"});
  EXPECT_TRUE(hears(bob, "hello"));
  const json a = done(alice, {"verify", bob.phone()});
  const json b = done(bob, {"verify", "user:" + bob.heard().at(0).value("user", "")});
  EXPECT_EQ(a["digits"].get<std::string>().size(), 60U);
  EXPECT_EQ(a["digits"], b["digits"]);
  EXPECT_FALSE(a.value("verified", true));
  const json scanned = done(alice, {"verify", bob.phone(), "--scan", b.value("code", "")});
  EXPECT_TRUE(scanned.value("verified", false));
  EXPECT_EQ(alice.barid({"verify", bob.phone(), "--scan", a.value("code", "")}).status, 4);
}

TEST_F(Sealed, AChangedKeyIsShownAndBlocksSendingWhereOneChoseSo) {
  Person alice = person(), bob = person();
  done(alice, {"send", bob.phone(), "one", "--wait", "accepted"});
  done(alice, {"trust", bob.phone(), "--block-on-change", "on"});
  Person other = person(bob.phone());  // Bob's number on another phone
  alice.listen();
  other.listen();
  const auto sent = alice.barid({"send", bob.phone(), "two", "--wait", "accepted", "--timeout", "20"});
  EXPECT_NE(sent.status, 0) << sent.output;
  EXPECT_TRUE(wait_until([&] { return alice.heard("identity_changed").size() == 1; }, kPatience)) << alice.printed();
  EXPECT_TRUE(done(alice, {"verify", bob.phone()}).value("held", false));
  done(alice, {"trust", bob.phone()});
  EXPECT_TRUE(hears(other, "two"));
}

TEST_F(Sealed, NothingIsLostWhenWorkerAndEdgeAreKilledMeanwhile) {
  Person alice = person(), bob = person();
  bob.listen();
  for (int i = 0; i < 20; ++i) {
    if (i == 5) stack_->kill("worker");
    if (i == 12) stack_->kill("edge");
    alice.barid({"send", bob.phone(), "m" + std::to_string(i), "--wait", "none"});
  }
  alice.listen();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(hears(bob, "m" + std::to_string(i))) << i << bob.printed();
  EXPECT_EQ(bob.heard().size(), 20U);
}

}  // namespace
}  // namespace barid
