// Degraded, not down: what goes on while a part is away, what is not promised meanwhile, and how soon all is back.
// Times are printed, not judged.
#include <gtest/gtest.h>

#include <csignal>
#include <memory>

#include "base/clock.h"
#include "tests/faults/person.h"
#include "tests/faults/stack.h"

namespace barid {
namespace {

using test::kPatience;
using test::Person;
using test::Stack;
using test::wait_until;

class Degraded : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = std::make_unique<Stack>(std::vector<Stack::Setting>{{"directory", "code_resend_s", "0"}});
  }
  static void TearDownTestSuite() { stack_.reset(); }
  Person person() {
    static int number = 7000;
    const std::string phone = "+491511234" + std::to_string(++number);
    return Person(*stack_, dir_.file(phone), phone);
  }
  static double seconds_since(TimePoint start) { return std::chrono::duration<double>(steady_now() - start).count(); }
  static std::unique_ptr<Stack> stack_;
  test::TempDir dir_;
};
std::unique_ptr<Stack> Degraded::stack_;

// Thaws what the test froze, however it ends.
class Frozen {
 public:
  Frozen(Stack& stack, std::string process) : stack_(stack), process_(std::move(process)) {
    stack_.signal(process_, SIGSTOP);
  }
  ~Frozen() { stack_.signal(process_, SIGCONT); }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  Stack& stack_;
  std::string process_;
};

TEST_F(Degraded, WithoutPostgresKnownPeopleComeGoAndWrite) {
  Person alice = person(), bob = person();
  bob.listen();
  ASSERT_EQ(alice.barid({"send", bob.phone(), "before", "--wait", "delivered"}).status, 0);
  ASSERT_EQ(bob.barid({"send", alice.phone(), "before", "--wait", "accepted"}).status, 0);
  {
    const Frozen postgres(*stack_, "postgres");
    bob.stop_listening();
    ASSERT_EQ(alice.barid({"send", bob.phone(), "to who is away", "--wait", "accepted"}).status, 0);
    bob.listen();  // a login without a database
    ASSERT_EQ(alice.barid({"send", bob.phone(), "to who is there", "--wait", "delivered"}).status, 0);
    EXPECT_EQ(bob.heard().back()["text"], "to who is there");
    EXPECT_EQ(bob.heard().size(), 2U) << bob.printed();
  }
  const TimePoint back = steady_now();
  person();  // throws unless a new registration works
  std::printf("Postgres back: registered %.1f s after\n", seconds_since(back));
}

TEST_F(Degraded, WithoutNatsNothingIsAcceptedAndAllOfItArrivesOnceAfterwards) {
  Person alice = person(), bob = person();
  bob.listen();
  alice.listen();
  ASSERT_EQ(alice.barid({"send", bob.phone(), "before", "--wait", "delivered"}).status, 0);
  {
    const Frozen nats(*stack_, "nats");
    EXPECT_NE(alice.barid({"send", bob.phone(), "meanwhile", "--wait", "accepted", "--timeout", "3"}).status, 0);
    const std::string state = alice.state_of_last(bob.phone());
    EXPECT_TRUE(state == "queued" || state == "sent") << state;
    EXPECT_EQ(bob.heard().size(), 1U) << bob.printed();
  }
  const TimePoint back = steady_now();
  EXPECT_TRUE(wait_until([&] { return alice.state_of_last(bob.phone()) == "delivered"; }, kPatience));
  std::printf("NATS back: delivered %.1f s after\n", seconds_since(back));
  ASSERT_EQ(alice.barid({"send", bob.phone(), "after", "--wait", "delivered"}).status, 0);
  ASSERT_EQ(bob.heard().size(), 3U) << bob.printed();
  EXPECT_EQ(bob.heard()[1]["text"], "meanwhile");
  EXPECT_EQ(bob.heard()[2]["text"], "after");
}

}  // namespace
}  // namespace barid
