// Events of groups on a real nats-server and Postgres: their place and order in the stream FANOUT, and what the fan-out
// is told about a place.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.h"
#include "base/observe.h"
#include "base/partition.h"
#include "broker/control.h"
#include "broker/topology.h"
#include "schemas/envelope.h"
#include "tests/integration/directory_harness.h"
#include "workers/directory/group_frames.h"
#include "workers/directory/service.h"

namespace barid::directory {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::wait_until;

class GroupEvents : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    crypto::init_crypto();
    postgres = std::make_unique<test::PrivatePostgres>();
  }
  static void TearDownTestSuite() { postgres.reset(); }

  void SetUp() override {
    config.code_resend = std::chrono::seconds(0);
    const std::string url = postgres->new_database();
    storage::migrate(url);
    nats_config.url = nats.url();
    control = std::make_unique<broker::Control>(nats_config, "test");
    broker::apply_topology(*control, nats_config, MessagesConfig{});
    pool = std::make_unique<storage::Pool>(url, 6);
    start();
    alice = register_phone("+4915123456780"), bob = register_phone("+4915123456781");
    carol = register_phone("+4915123456782");
  }
  void TearDown() override { service.reset(); }

  void start() {
    service = std::make_unique<DirectoryService>(*control, *pool, config, secrets, sender, observe);
    service->start(2);
  }
  wire::Response ask(const control::DirectoryCall& request) {
    const auto reply = control->request(control::kDirectorySubject, control::encode(request), 12s);
    if (!reply) return {0, wire::Error{wire::Code::unavailable, 0, "no answer"}};
    return control::decode_response(*reply).value();
  }
  template <class Expected>
  Expected as(const wire::Registered& who, decltype(wire::Request::body) body) {
    const auto response = ask(call(std::move(body), who.user, who.device));
    if (const auto* expected = std::get_if<Expected>(&response.body)) return *expected;
    const auto* error = std::get_if<wire::Error>(&response.body);
    ADD_FAILURE() << (error ? std::string(wire::name_of(error->code)) + ": " + error->text : "another kind of answer");
    return {};
  }
  wire::Registered register_phone(const std::string& phone) {
    as<wire::CodeSent>({}, wire::RequestCode{phone});
    if (sender.sent().empty()) throw std::runtime_error("no code was sent to " + phone);
    return as<wire::Registered>({}, verification(phone, sender.last_code()));
  }
  GroupId create(std::vector<UserId> members, std::uint64_t key = crypto::random_u64() | 1) {
    return GroupId(
        as<wire::Group>(alice, wire::CreateGroup{key, "Choir", "", "", {}, std::move(members)}).address.user.value);
  }

  // Everything in the stream, in order.
  struct InStream {
    std::uint64_t seq = 0;
    std::string subject;
    envelope::Envelope envelope;
    wire::GroupEvent event;
    std::string message_id;
  };
  std::vector<InStream> stream() {
    const json info = json::parse(control->js_api(std::string("STREAM.INFO.") + broker::kFanoutStream, ""));
    std::vector<InStream> all;
    for (std::uint64_t seq = info["state"]["first_seq"]; seq <= info["state"]["last_seq"].get<std::uint64_t>(); ++seq) {
      const json got = json::parse(
          control->js_api(std::string("STREAM.MSG.GET.") + broker::kFanoutStream, json{{"seq", seq}}.dump()));
      if (got.contains("error")) continue;
      const auto batch = envelope::Batch::decode(from_base64(got["message"]["data"]));
      EXPECT_TRUE(batch && batch->envelopes().size() == 1);
      InStream one{seq, got["message"]["subject"], batch->envelopes()[0], {}, from_base64(got["message"]["hdrs"])};
      one.event = std::get<wire::GroupEvent>(wire::decode(*wire::split(one.envelope.frame)).value());
      one.envelope.frame = {};
      all.push_back(std::move(one));
    }
    return all;
  }
  static std::string from_base64(const std::string& text) {
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
      static const std::string kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      const auto at = kAlphabet.find(c);
      if (at == std::string::npos) break;
      bits = bits << 6 | static_cast<std::uint32_t>(at);
      if ((count += 6) >= 8) out.push_back(static_cast<char>(bits >> (count -= 8)));
    }
    return out;
  }
  control::GroupSnapshot snapshot(GroupId group, std::uint64_t before = 0) {
    const auto reply = control->request(control::kGroupSubject,
                                        control::encode(control::GroupSnapshotCall{group, StreamSeq(before)}), 12s);
    EXPECT_TRUE(reply);
    return reply ? control::decode_group_snapshot(*reply).value() : control::GroupSnapshot{};
  }
  std::vector<UserId> users(const control::GroupSnapshot& snapshot) {
    std::vector<UserId> all;
    for (const auto& m : snapshot.members) all.push_back(m.user);
    return all;
  }
  std::vector<UserId> sorted(std::vector<UserId> users) {
    std::sort(users.begin(), users.end());
    return users;
  }

  static inline std::unique_ptr<test::PrivatePostgres> postgres;
  test::PrivateNats nats;
  NatsConfig nats_config;
  DirectoryConfig config;
  DirectorySecrets secrets = test_secrets();
  RememberingSender sender;
  Observe observe{"test", 0, [] { return std::string(); }};
  std::unique_ptr<broker::Control> control;
  std::unique_ptr<storage::Pool> pool;
  std::unique_ptr<DirectoryService> service;
  wire::Registered alice, bob, carol;
};

TEST_F(GroupEvents, AChangeIsInTheStreamWhenItsAnswerArrives) {
  const GroupId group = create({bob.user});
  auto in = stream();
  ASSERT_EQ(in.size(), 1U);
  EXPECT_EQ(in[0].subject, broker::fanout_subject(partition_of(UserId(group.value), nats_config.partitions)));
  EXPECT_EQ(in[0].envelope.kind, envelope::Kind::event);
  EXPECT_EQ(in[0].envelope.to_user, UserId(group.value));
  EXPECT_EQ(in[0].envelope.to_device, DeviceId(0));
  EXPECT_EQ(in[0].event.users, (std::vector{alice.user, bob.user}));
  EXPECT_NE(in[0].message_id.find("ge-" + hex_id(group.value) + "-1\r\n"), std::string::npos) << in[0].message_id;
  as<wire::GroupChanged>(alice, wire::AddMembers{group, {carol.user}});
  in = stream();
  ASSERT_EQ(in.size(), 2U);
  EXPECT_EQ(in[1].event.version, 2U);
}

TEST_F(GroupEvents, ASnapshotIsOfThePlaceAndNotOfNow) {
  const GroupId group = create({bob.user});
  as<wire::GroupChanged>(alice, wire::AddMembers{group, {carol.user}});
  as<wire::GroupChanged>(alice, wire::SetRole{group, carol.user, wire::GroupRole::admin});
  as<wire::GroupChanged>(alice, wire::EditGroup{group, 0, {}, {}, {}, wire::GroupSettings{true, false, false}});
  as<wire::GroupChanged>(alice, wire::RemoveMembers{group, {bob.user}});
  const auto in = stream();
  ASSERT_EQ(in.size(), 5U);
  EXPECT_FALSE(snapshot(group, in[0].seq).found);  // not yet
  EXPECT_EQ(users(snapshot(group, in[1].seq)), sorted({alice.user, bob.user}));
  const auto three = snapshot(group, in[2].seq);
  EXPECT_EQ(three.version, 2U);
  EXPECT_EQ(users(three), sorted({alice.user, bob.user, carol.user}));
  for (const auto& m : three.members)
    if (m.user == carol.user) {
      EXPECT_EQ(m.role, wire::GroupRole::member);
      EXPECT_EQ(m.devices, std::vector{carol.device});
    }
  EXPECT_FALSE(snapshot(group, in[3].seq).only_admins_send);
  const auto four = snapshot(group, in[4].seq);
  EXPECT_TRUE(four.only_admins_send);
  EXPECT_EQ(four.members.size(), 3U);
  for (const auto& m : four.members) {
    EXPECT_EQ(m.role, m.user == alice.user   ? wire::GroupRole::owner
                      : m.user == carol.user ? wire::GroupRole::admin
                                             : wire::GroupRole::member);
  }
  const auto last = snapshot(group);
  EXPECT_EQ(last.version, 5U);
  EXPECT_EQ(users(last), sorted({alice.user, carol.user}));
  EXPECT_EQ(users(snapshot(group, in[4].seq + 1)), users(last));
  EXPECT_FALSE(snapshot(GroupId(404)).found);
  EXPECT_FALSE(snapshot(GroupId(404)).unavailable);
  as<wire::GroupChanged>(alice, wire::DeleteGroup{group});
  EXPECT_FALSE(snapshot(group).found);
  EXPECT_EQ(snapshot(group, in[4].seq + 1).members.size(), 2U);
}

TEST_F(GroupEvents, WhatACrashLeftBehindIsPublishedInOrder) {
  const GroupId group = create({bob.user});
  service.reset();
  storage::Groups groups = make_groups(*pool, config);  // as if a worker had died after its commits
  for (const bool add : {true, false, true}) {
    if (add)
      ASSERT_TRUE(groups.add(alice.user, group, {carol.user}, wall_now()));
    else
      ASSERT_TRUE(groups.remove(alice.user, group, {carol.user}, wall_now()));
  }
  EXPECT_EQ(stream().size(), 1U);
  start();
  EXPECT_TRUE(wait_until([&] { return stream().size() == 4; }));
  std::uint64_t version = 0;
  for (const auto& one : stream()) EXPECT_EQ(one.event.version, ++version);
  EXPECT_TRUE(wait_until([&] { return groups.with_unpublished(1).empty(); }));
}

TEST_F(GroupEvents, ManyWorkersAtOnceKeepTheOrderAndPublishEachOnce) {
  const GroupId group = create({bob.user});
  broker::Control other_control(nats_config, "other");
  DirectoryService other(other_control, *pool, config, secrets, sender, observe);
  other.start(2);
  std::vector<std::thread> people;
  for (int p = 0; p < 3; ++p)
    people.emplace_back([&, p] {
      for (int i = 0; i < 10; ++i)
        as<wire::GroupChanged>(
            alice, wire::EditGroup{group, 0, "Choir " + std::to_string(p) + "." + std::to_string(i), {}, {}, {}});
    });
  for (auto& person : people) person.join();
  std::uint64_t version = 0;
  for (const auto& one : stream()) EXPECT_EQ(one.event.version, ++version);
  EXPECT_EQ(version, 31U);
}

TEST_F(GroupEvents, WithoutTheBrokerAChangeIsUnavailableAndFollows) {
  const GroupId group = create({bob.user});
  // The stream is gone, the connection that carries requests is not.
  control->js_api(std::string("STREAM.DELETE.") + broker::kFanoutStream, "");
  const auto response = ask(call(wire::AddMembers{group, {carol.user}}, alice.user, alice.device));
  const auto* error = std::get_if<wire::Error>(&response.body);
  ASSERT_TRUE(error != nullptr);
  EXPECT_EQ(error->code, wire::Code::unavailable);
  EXPECT_GT(error->retry_after_ms, 0U);
  EXPECT_TRUE(snapshot(group).unavailable);
  broker::apply_topology(*control, nats_config, MessagesConfig{});
  EXPECT_TRUE(wait_until([&] { return stream().size() == 1; }));
  EXPECT_EQ(stream()[0].event.kind, wire::GroupEventKind::members_added);
  EXPECT_EQ(as<wire::GroupChanged>(alice, wire::AddMembers{group, {carol.user}}).version, 2U);
}

TEST_F(GroupEvents, PlacesOfALostStreamComeBeforeAllOfTheNewOne) {
  const GroupId group = create({bob.user});
  for (int i = 0; i < 5; ++i)
    as<wire::GroupChanged>(alice, wire::EditGroup{group, 0, "Choir " + std::to_string(i), {}, {}, {}});
  nats.kill();
  nats.lose_disk();
  nats.start();
  ASSERT_TRUE(wait_until([&] {
    try {
      broker::apply_topology(*control, nats_config, MessagesConfig{});
      return true;
    } catch (const broker::Error&) {
      return false;
    }
  }));
  EXPECT_EQ(snapshot(group, 1).members.size(), 2U);
  as<wire::GroupChanged>(alice, wire::AddMembers{group, {carol.user}});
  ASSERT_EQ(stream().size(), 1U);
  EXPECT_EQ(snapshot(group, stream()[0].seq).members.size(), 2U);
  EXPECT_EQ(snapshot(group).members.size(), 3U);
}

TEST_F(GroupEvents, WithoutPostgresSnapshotsAreUnavailable) {
  const GroupId group = create({bob.user});
  postgres->freeze();
  EXPECT_TRUE(snapshot(group).unavailable);
  postgres->thaw();
  EXPECT_TRUE(wait_until([&] { return snapshot(group).found; }));
}

TEST_F(GroupEvents, GarbageIsNoSnapshot) {
  const auto reply = control->request(control::kGroupSubject, "garbage", 5s);
  ASSERT_TRUE(reply);
  const auto answer = control::decode_group_snapshot(*reply);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->found);
}

TEST_F(GroupEvents, ANewDeviceIsInTheStream) {
  const GroupId group = create({bob.user});
  const auto fresh = register_phone("+4915123456781");
  ASSERT_EQ(stream().size(), 2U);
  EXPECT_EQ(stream()[1].event.kind, wire::GroupEventKind::devices_changed);
  for (const auto& m : snapshot(group).members) {
    if (m.user == bob.user) {
      EXPECT_EQ(m.devices, std::vector{fresh.device});
    }
  }
}

}  // namespace
}  // namespace barid::directory
