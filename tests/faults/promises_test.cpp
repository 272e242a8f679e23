// What people are promised, on the real stack and with the real terminal client: each test a claim.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/clock.h"
#include "base/config.h"
#include "broker/control.h"
#include "broker/roles.h"
#include "tests/faults/person.h"
#include "tests/faults/stack.h"

namespace barid {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::kPatience;
using test::Person;
using test::Ran;
using test::Stack;

class Promises : public testing::Test {
 protected:
  // One stack for all: it takes seconds to start.
  static void SetUpTestSuite() {
    stack_ = std::make_unique<Stack>(std::vector<Stack::Setting>{{"directory", "code_resend_s", "0"}});
  }
  static void TearDownTestSuite() { stack_.reset(); }
  Person person() {
    static int number = 1000;
    const std::string phone = "+491511234" + std::to_string(++number);
    return Person(*stack_, dir_.file(phone), phone);
  }
  static std::unique_ptr<Stack> stack_;
  test::TempDir dir_;
};
std::unique_ptr<Stack> Promises::stack_;

TEST_F(Promises, MailWaitsForWhoIsAwayAndArrivesInOrder) {
  Person alice = person(), bob = person();
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(alice.barid({"send", bob.phone(), "letter " + std::to_string(i), "--wait", "accepted"}).status, 0);
  bob.listen({"--count", "20"});
  ASSERT_TRUE(test::wait_until([&] { return bob.heard().size() == 20; }));
  const auto heard = bob.heard();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(heard[static_cast<std::size_t>(i)]["text"], "letter " + std::to_string(i));
  alice.listen();
  EXPECT_TRUE(test::wait_until([&] { return alice.state_of_last(bob.phone()) == "delivered"; }));
}

TEST_F(Promises, EachOfTheSevenKindsArrivesAsItWasSent) {
  Person alice = person(), bob = person();
  bob.listen();
  const std::vector<std::vector<std::string>> kinds{{"a text"},
                                                    {"--image", "https://media.example/1"},
                                                    {"--audio", "https://media.example/2"},
                                                    {"--video", "https://media.example/3"},
                                                    {"--document", "https://media.example/4"},
                                                    {"--location", "52.5,13.4"},
                                                    {"--contact-card", "Zoë", "+4915112345678"}};
  for (auto arguments : kinds) {
    arguments.insert(arguments.begin(), {"send", bob.phone()});
    ASSERT_EQ(alice.barid(arguments).status, 0);
  }
  ASSERT_TRUE(test::wait_until([&] { return bob.heard().size() == kinds.size(); })) << bob.printed();
  const std::vector<std::string> names{"text", "image", "audio", "video", "document", "location", "contact"};
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(bob.heard()[i]["kind"], names[i]);
}

TEST_F(Promises, ABlockedSenderSeesOneTickAndReachesNobody) {
  Person alice = person(), bob = person();
  bob.listen();
  ASSERT_EQ(alice.barid({"send", bob.phone(), "before", "--wait", "delivered"}).status, 0);
  ASSERT_EQ(bob.barid({"contacts", "block", alice.phone()}).status, 0);
  // The block reaches the owner a moment after the answer: send until one is swallowed.
  ASSERT_TRUE(test::wait_until([&] {
    return alice.barid({"send", bob.phone(), "during", "--wait", "delivered", "--timeout", "1"}).status == 5;
  }));
  EXPECT_EQ(alice.state_of_last(bob.phone()), "accepted");
  const auto heard = bob.heard().size();
  ASSERT_EQ(bob.barid({"contacts", "unblock", alice.phone()}).status, 0);
  ASSERT_TRUE(test::wait_until([&] {
    return alice.barid({"send", bob.phone(), "after", "--wait", "delivered", "--timeout", "2"}).status == 0;
  }));
  for (const auto& m : bob.heard()) EXPECT_TRUE(m["text"] != "during" || bob.heard().size() > heard);
  EXPECT_EQ(bob.heard().back()["text"], "after");
}

TEST_F(Promises, ReadReceiptsReachTheSender) {
  Person alice = person(), bob = person();
  bob.listen({"--read"});
  EXPECT_EQ(alice.barid({"send", bob.phone(), "read me", "--wait", "read"}).status, 0);
}

TEST_F(Promises, ARevokedDeviceIsCutOffAndItsMailGoesToTheNewOne) {
  Person alice = person(), bob = person();
  bob.listen();
  ASSERT_EQ(alice.barid({"send", bob.phone(), "to the old device", "--wait", "delivered"}).status, 0);
  // Bob gets a new telephone: the same number, registered from another folder.
  const TimePoint before = steady_now();
  Person new_bob(*stack_, dir_.file("new-telephone"), bob.phone());
  ASSERT_TRUE(bob.listener().wait(kPatience).has_value());
  std::printf("registered anew and cut off within %.2f s\n",
              std::chrono::duration<double>(steady_now() - before).count());
  new_bob.listen();
  EXPECT_EQ(alice.barid({"send", bob.phone(), "to the new device", "--wait", "delivered", "--timeout", "30"}).status,
            0);
  EXPECT_EQ(new_bob.heard().back()["text"], "to the new device");
}

TEST(DeadLetters, WhatADeviceNeverAcknowledgesIsKeptWithTheReasonAndItsSenderLearns) {
  Stack stack({{"worker", "ack_deadline_s", "1"}, {"messages", "delivery_attempts", "1"}});
  const test::TempDir dir;
  Person alice(stack, dir.file("alice"), "+4915112341001"), bob(stack, dir.file("bob"), "+4915112341002");
  bob.listen();
  ASSERT_EQ(alice.barid({"send", bob.phone(), "bob is there", "--wait", "delivered"}).status, 0);
  bob.listener().signal(SIGSTOP);  // connected, and acknowledges nothing
  EXPECT_EQ(alice.barid({"send", bob.phone(), "into the void", "--wait", "delivered", "--timeout", "30"}).status, 4);
  const auto last = json::parse(alice.barid({"history", bob.phone(), "--limit", "1"}).output);
  EXPECT_EQ(last.value("reason", ""), "undeliverable") << last;
  broker::Control control(broker::as_role(load_config(stack.data() + "/barid.toml").nats, broker::kOperatorRole),
                          "test");
  const auto info = json::parse(control.js_api("STREAM.INFO.DEAD", R"({"subjects_filter":">"})"));
  EXPECT_EQ(info.at("state").at("subjects"), json({{"dead.undeliverable", 1}})) << info;
  bob.listener().signal(SIGCONT);
}

TEST(Transports, TcpWebSocketAndBothUnderTlsCarryTheSameMessages) {
  const test::TempDir dir;
  const std::string certificate = dir.file("tls.crt"), key = dir.file("tls.key");
  const Ran made = test::run(
      {"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
       "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate},
      kPatience);
  ASSERT_EQ(made.status, 0) << made.output;
  const std::string listener = "address = \"127.0.0.1\"\ntls = true\nport = ";
  const std::uint16_t tls_port = test::free_port();
  Stack stack({{"edge", "tls_certificate_file", "\"" + certificate + "\""},
               {"edge", "tls_key_file", "\"" + key + "\""},
               {"", "", "[[edge.listeners]]\nkind = \"tcp\"\n" + listener + std::to_string(tls_port)},
               {"", "", "[[edge.listeners]]\nkind = \"websocket\"\n" + listener + "{port:9}"}});
  std::vector<std::unique_ptr<Person>> people;
  const auto add = [&](const std::string& server, const std::string& ca) {
    const std::string phone = "+491511234200" + std::to_string(people.size());
    people.push_back(std::make_unique<Person>(stack, dir.file(phone), phone, server, ca));
    people.back()->listen();
  };
  add(stack.server(), "");
  add(stack.websocket(), "");
  add("tls://127.0.0.1:" + std::to_string(tls_port), certificate);
  add("wss://127.0.0.1:" + std::to_string(stack.port(9)), certificate);
  for (const auto& from : people)
    for (const auto& to : people)
      if (from != to) {
        EXPECT_EQ(from->barid({"send", to->phone(), "from " + from->phone(), "--wait", "delivered"}).status, 0);
      }
  for (const auto& to : people) EXPECT_TRUE(test::wait_until([&] { return to->heard().size() == 3; })) << to->printed();
}

TEST(Expiry, TheSenderLearnsThatALetterExpiredAndTheRecipientNeverSeesIt) {
  Stack stack({{"messages", "ttl_s", "5"}, {"nats", "inbox_shards", "2"}});  // few inbox streams are soon swept
  const test::TempDir dir;
  Person alice(stack, dir.file("alice"), "+4915112341001"), bob(stack, dir.file("bob"), "+4915112341002");
  ASSERT_EQ(alice.barid({"send", bob.phone(), "too late", "--wait", "accepted"}).status, 0);
  alice.listen();
  ASSERT_TRUE(test::wait_until([&] { return alice.state_of_last(bob.phone()) == "failed"; }, kPatience));
  const auto last = json::parse(alice.barid({"history", bob.phone(), "--limit", "1"}).output);
  EXPECT_EQ(last.value("reason", ""), "expired") << last;
  bob.listen({"--timeout", "2"});
  EXPECT_TRUE(bob.listener().wait(kPatience).has_value());
  EXPECT_TRUE(bob.heard().empty());
}

}  // namespace
}  // namespace barid
