// A broker that lost what it had acknowledged, on the real stack: its store wiped or rolled back, while everything else
// runs or while everything is down. No message is lost whose sender's device lives, none is doubled, none reordered.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "base/log.h"
#include "tests/faults/device.h"
#include "tests/faults/person.h"

namespace barid {
namespace {

using namespace std::chrono_literals;
using client::Message;
using client::State;
using nlohmann::json;
using test::Device;
using test::Person;
using test::Stack;
using test::wait_until;
namespace fs = std::filesystem;

class Recovery : public testing::Test {
 protected:
  static constexpr int kStretch = 150;  // messages written at a time

  static void SetUpTestSuite() {
    crypto::init_crypto();
    stack_ = std::make_unique<Stack>(std::vector<Stack::Setting>{
        {"directory", "code_resend_s", "0"}, {"edge", "sends_per_device", "{ per_second = 5000, burst = 2000 }"}});
  }
  static void TearDownTestSuite() { stack_.reset(); }
  static std::string phone() {
    static int number = 7000;
    return "+491511234" + std::to_string(++number);
  }

  static fs::path store() { return stack_->data() + "/nats/store"; }
  // Of the running server: it stands still meanwhile, so that the copy is of one moment.
  void copy_store() {
    const pid_t nats = stack_->pid_of("nats");
    ASSERT_GT(nats, 1);
    ::kill(nats, SIGSTOP);
    fs::copy(store(), dir_.file("copy"), fs::copy_options::recursive);
    ::kill(nats, SIGCONT);
  }
  void put_copy_back() {
    fs::remove_all(store());
    fs::copy(dir_.file("copy"), store(), fs::copy_options::recursive);
  }

  // Alice writes to Bob, who is here for the first stretch and away for the second; both are accepted.
  void begin() {
    alice_ = std::make_unique<Device>(*stack_, dir_.file("alice"), phone());
    const std::string bobs = phone();
    bob_ = std::make_unique<Device>(*stack_, dir_.file("bob"), bobs);
    to_bob_ = alice_->store().ensure_phone(bobs).id;
    bob_->go_online();
    until([&] { return has_uploaded_keys(*bob_); });
    alice_->go_online();
    write();
    until([&] { return all_are(State::delivered); });
    bob_->go_offline();
  }
  static bool has_uploaded_keys(Device& device) {
    const client::Scope scope(device.store());
    return !device.store().keys_to_upload(wall_now()).has_value();
  }
  void write() {
    client::Scope together(alice_->store());
    for (int i = 0; i < kStretch; ++i)
      alice_->store().enqueue(to_bob_, test::text_content("message " + std::to_string(++written_)), wall_now());
    together.commit();
    alice_->wrote();
  }
  template <class Condition>
  void until(const Condition& holds) {
    const TimePoint latest = steady_now() + 90s;
    while (!holds()) {
      ASSERT_LT(steady_now(), latest) << "waited in vain: " << states();
      alice_->turn(5ms), bob_->turn(5ms);
    }
  }
  std::vector<Message> sent() { return alice_->store().history(to_bob_, static_cast<std::size_t>(written_) + 1); }
  bool all_are(State at_least) {
    for (const Message& m : sent())
      if (m.state < at_least || m.state == State::failed) return false;
    return true;
  }
  std::string states() {
    std::map<std::string, int> count;
    for (const Message& m : sent()) ++count[std::string(client::name_of(m.state))];
    return json(count).dump();
  }
  // Bob has each of Alice's messages once, in the order they were written, and she knows it.
  void all_is_well() {
    if (!bob_->online()) bob_->go_online();
    until([&] { return all_are(State::delivered); });
    const auto from = bob_->store().find_peer("user:" + hex_id(alice_->store().account().user.value));
    ASSERT_TRUE(from.has_value());
    const auto got = bob_->store().history(from->id, static_cast<std::size_t>(written_) + 1);
    ASSERT_EQ(got.size(), static_cast<std::size_t>(written_)) << "lost or doubled";
    for (int i = 0; i < written_; ++i)
      ASSERT_EQ(got[static_cast<std::size_t>(i)].content, test::text_content("message " + std::to_string(i + 1)));
  }
  std::uint64_t incarnation() { return alice_->store().account().incarnation; }
  void tell(const char* what) {
    std::printf("%s: all delivered once, in order, %.1f s after the broker was back\n", what,
                std::chrono::duration<double>(steady_now() - back_).count());
  }

  static inline std::unique_ptr<Stack> stack_;
  const test::TempDir dir_;
  std::unique_ptr<Device> alice_, bob_;
  client::PeerId to_bob_;
  int written_ = 0;
  TimePoint back_{};
};

TEST_F(Recovery, AStoreThatIsWipedWhileAllElseRuns) {
  begin();
  write();
  until([&] { return all_are(State::accepted); });
  const auto before = incarnation();
  stack_->control("stop", "nats");
  fs::remove_all(store());
  write();  // while it is away
  stack_->control("start", "nats");
  back_ = steady_now();
  until([&] { return incarnation() != before; });
  all_is_well();
  tell("wiped, running");
}

TEST_F(Recovery, AStoreThatIsRolledBackWhileAllElseRuns) {
  begin();
  write();
  until([&] { return all_are(State::accepted); });
  copy_store();
  write();
  until([&] { return all_are(State::accepted); });
  bob_->go_online();  // some of it has been delivered when it is lost
  for (int i = 0; i < 4; ++i) bob_->turn(1ms);
  bob_->go_offline();
  const auto before = incarnation();
  stack_->control("stop", "nats");
  put_copy_back();
  write();
  stack_->control("start", "nats");
  back_ = steady_now();
  until([&] { return incarnation() != before; });
  all_is_well();
  tell("rolled back, running");
}

TEST_F(Recovery, AStoreThatIsRolledBackWhileAllIsDown) {
  begin();
  copy_store();
  write();
  until([&] { return all_are(State::accepted); });
  const auto before = incarnation();
  alice_->go_offline();
  stack_->down();
  put_copy_back();
  stack_->up();
  back_ = steady_now();
  alice_->go_online();
  write();
  until([&] { return incarnation() != before; });
  all_is_well();
  tell("rolled back, down");
}

TEST_F(Recovery, AStoreThatIsWipedWhileAllIsDown) {
  begin();
  write();
  until([&] { return all_are(State::accepted); });
  const auto before = incarnation();
  alice_->go_offline();
  stack_->down();
  fs::remove_all(store());
  stack_->up();
  back_ = steady_now();
  alice_->go_online();
  write();
  until([&] { return incarnation() != before; });
  all_is_well();
  tell("wiped, down");
}

// A loss is what it is only when something is lost: repetitions are not free.
TEST_F(Recovery, AKilledBrokerThatLostNothingIsNoLoss) {
  begin();
  write();
  until([&] { return all_are(State::accepted); });
  const auto before = incarnation();
  for (int i = 0; i < 2; ++i) {
    stack_->kill("nats");
    write();
    until([&] { return all_are(State::accepted); });
  }
  back_ = steady_now();
  all_is_well();
  EXPECT_EQ(incarnation(), before);
}

// At real terminals: a group whose creation, messages and read notices were on their way when the store was lost.
TEST_F(Recovery, GroupsAndReadNotices) {
  Person alice(*stack_, dir_.file("a"), phone()), bob(*stack_, dir_.file("b"), phone());
  const auto ran = [](const test::Ran& one) { ASSERT_EQ(one.status, 0) << one.output; };
  bob.listen({"--read"});  // the notice will wait in Alice's inbox
  ran(alice.barid({"send", bob.phone(), "hello"}));
  ASSERT_TRUE(wait_until([&] { return !bob.heard().empty(); }, test::kPatience));
  bob.stop_listening();
  ran(alice.barid({"group", "create", "The family", bob.phone()}));
  ran(alice.barid({"send", "--group", "The family", "first"}));
  ran(alice.barid({"send", "--group", "The family", "second"}));

  stack_->control("stop", "nats");
  fs::remove_all(store());
  stack_->control("start", "nats");

  alice.listen(), bob.listen();
  const auto texts = [](const Person& who) {
    std::vector<std::string> all;
    for (const json& m : who.heard()) all.push_back(m.value("text", ""));
    return all;
  };
  EXPECT_TRUE(wait_until([&] { return texts(bob).size() >= 2; }, test::kPatience)) << bob.printed();
  EXPECT_EQ(texts(bob), (std::vector<std::string>{"first", "second"}));
  EXPECT_TRUE(wait_until([&] { return alice.state_of_last(bob.phone()) == "read"; }, test::kPatience))
      << alice.state_of_last(bob.phone());
  bob.stop_listening(), alice.stop_listening();
}

}  // namespace
}  // namespace barid
