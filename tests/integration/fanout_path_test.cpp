// Group messages on the real edge, delivery and fan-out with the real nats-server. The directory's answers are the
// test's, so that it can say who is in a group at which place of the stream, and be away.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/log.h"
#include "base/partition.h"
#include "broker/topology.h"
#include "schemas/envelope.h"
#include "tests/integration/edge_fixture.h"

namespace barid::edge {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::wait_until;
using wire::GroupEventKind;

constexpr auto kPatience = 60s;
DeviceId device_of(UserId user) { return DeviceId(user.value * 10); }

// A member's phone: reads, stores, acknowledges, drops repeats; connects again when it is cut off, and offers what was
// not accepted again, from the lowest number on. Reads on a thread of its own.
class Phone {
 public:
  Phone(EdgeProcess& edge, UserId user) : edge_(edge), user_(user) {
    connect();
    thread_ = std::thread([this] { run(); });
  }
  ~Phone() {
    stopping_ = true;
    {
      const std::lock_guard lock(mutex_);
      ::shutdown(client_->fd(), SHUT_RDWR);
    }
    thread_.join();
  }
  std::uint64_t write(GroupId to, const std::string& content) {
    wire::Send send;
    send.kind = wire::SendKind::group;
    send.content = content;
    return post(to, std::move(send));
  }
  void tell_read(GroupId in, DeviceId author, SeqRange range) {
    wire::Send send;
    send.kind = wire::SendKind::group_read;
    send.author = author;
    send.ranges = {range};
    post(in, std::move(send));
  }
  std::vector<std::string> texts() const { return locked(texts_); }  // each once, in the order shown
  std::vector<std::uint64_t> versions() const { return locked(versions_); }
  std::map<std::uint64_t, wire::Code> failed() const { return locked(failed_); }
  std::set<UserId> have(std::uint64_t seq, wire::ReceiptKind kind) const {
    const std::lock_guard lock(mutex_);
    const auto found = receipts_.find({kind, seq});
    return found == receipts_.end() ? std::set<UserId>() : found->second;
  }
  std::size_t accepted() const { return locked(accepted_); }

 private:
  template <class T>
  T locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }
  std::uint64_t post(GroupId to, wire::Send send) {
    const std::lock_guard lock(mutex_);
    send.seq = ++seq_;
    send.to = edge_.address(UserId(to.value), DeviceId());
    client_->send(send);
    outbox_.emplace(send.seq, send);
    return send.seq;
  }
  void connect() {
    while (!stopping_) {
      auto client = std::make_unique<TestClient>(edge_.port());
      const auto challenge = client->next();
      if (!challenge || !std::holds_alternative<wire::Challenge>(*challenge)) continue;
      client->send(edge_.login(std::get<wire::Challenge>(*challenge), user_, device_of(user_), ++session_));
      const auto welcome = client->next();
      if (!welcome || !std::holds_alternative<wire::Welcome>(*welcome)) continue;
      const std::lock_guard lock(mutex_);
      client_ = std::move(client);
      taken_ = 0;
      for (const auto& [seq, send] : outbox_) client_->send(send);
      return;
    }
  }
  void run() {
    while (!stopping_) {
      if (const auto frame = client_->next(false)) {
        const std::lock_guard lock(mutex_);
        take(*frame);
      } else if (char byte = 0; ::recv(client_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 || errno != EAGAIN) {
        connect();
      }
    }
  }
  void take(const wire::Frame& frame) {
    if (const auto* accepted = std::get_if<wire::Accepted>(&frame)) {
      for (const SeqRange& r : accepted->ranges)
        for (std::uint64_t seq = r.first; seq < r.first + r.count; ++seq) accepted_ += outbox_.erase(seq);
      return;
    }
    if (const auto* ping = std::get_if<wire::Ping>(&frame)) return client_->send(wire::Pong{ping->token});
    if (const auto* deliver = std::get_if<wire::Deliver>(&frame)) {
      if (seen_.insert({deliver->from_device, deliver->seq}).second) texts_.push_back(deliver->content);
    } else if (const auto* event = std::get_if<wire::GroupEvent>(&frame)) {
      if (seen_events_.insert(event->version).second) versions_.push_back(event->version);
    } else if (const auto* receipt = std::get_if<wire::Receipt>(&frame)) {
      if (receipt->kind == wire::ReceiptKind::failed)
        for (const SeqRange& r : receipt->ranges) failed_[r.first] = receipt->reason;
    } else if (const auto* gathered = std::get_if<wire::GroupReceipt>(&frame)) {
      for (const auto& part : gathered->parts)
        for (const SeqRange& r : part.ranges)
          for (std::uint64_t seq = r.first; seq < r.first + r.count; ++seq)
            receipts_[{gathered->kind, seq}].insert(part.users.begin(), part.users.end());
    } else {
      return;
    }
    client_->send(wire::Ack{++taken_});
  }

  EdgeProcess& edge_;
  UserId user_;
  std::unique_ptr<TestClient> client_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::atomic<bool> stopping_{false};
  std::uint64_t seq_ = 0, session_ = 0, taken_ = 0;
  std::size_t accepted_ = 0;
  std::map<std::uint64_t, wire::Send> outbox_;  // not yet accepted
  std::set<std::pair<DeviceId, std::uint64_t>> seen_;
  std::set<std::uint64_t> seen_events_;
  std::vector<std::string> texts_;
  std::vector<std::uint64_t> versions_;
  std::map<std::uint64_t, wire::Code> failed_;
  std::map<std::pair<wire::ReceiptKind, std::uint64_t>, std::set<UserId>> receipts_;
};

class FanoutPath : public testing::Test {
 protected:
  static constexpr GroupId kChoir{7'000}, kBand{7'001};

  void SetUp() override {
    EdgeOptions options;
    options.worker_roles = "delivery,fanout";
    options.edge_lines = "sends_per_device = { per_second = 100000, burst = 100000 }";
    edge_ = std::make_unique<EdgeProcess>(options);
    NatsConfig config;
    config.url = edge_->nats.url();
    directory_ = std::make_unique<broker::Control>(config, "directory");
    directory_->serve(control::kGroupSubject, control::kDirectoryQueue, 1, [this](std::string_view request) {
      const auto call = control::decode_group_snapshot_call(request);
      control::GroupSnapshot answer;
      const std::lock_guard lock(mutex_);
      ++calls_;
      answer.unavailable = !call || away_;
      if (!answer.unavailable)
        for (const auto& [place, snapshot] : groups_[call->group])
          if (place < call->before_seq) answer = snapshot;
      return control::encode(answer);
    });
  }
  void TearDown() override { directory_.reset(); }

  // From `place` on, the group has these members.
  void set(GroupId group, std::uint64_t version, const std::vector<UserId>& members, StreamSeq place = StreamSeq(0)) {
    control::GroupSnapshot s;
    s.found = true;
    s.version = version;
    for (const UserId user : members) s.members.push_back({user, wire::GroupRole::member, {device_of(user)}});
    const std::lock_guard lock(mutex_);
    groups_[group][place] = s;
  }
  // As the directory publishes it; the snapshots from there on say the same.
  void change(GroupId group, GroupEventKind kind, std::uint64_t version, UserId who,
              const std::vector<UserId>& members) {
    wire::GroupEvent event;
    event.group = group, event.version = version, event.kind = kind, event.actor = UserId(1), event.users = {who};
    if (kind == GroupEventKind::members_added) event.devices = {{who, device_of(who)}};
    std::string frame, bytes;
    wire::append(frame, event);
    envelope::Envelope e;
    e.kind = envelope::Kind::event, e.to_user = UserId(group.value), e.frame = frame;
    envelope::encode_batch(bytes, 1, version, {e});
    const Partition gp = partition_of(UserId(group.value), EdgeProcess::kPartitions);
    const std::lock_guard lock(publishing_);
    const auto reply = edge_->control->request(broker::fanout_subject(gp), bytes, 5s);
    ASSERT_TRUE(reply.has_value());
    set(group, version, members, StreamSeq(json::parse(*reply).at("seq").get<std::uint64_t>()));
  }
  void set_away(bool away) {
    const std::lock_guard lock(mutex_);
    away_ = away;
  }
  std::size_t calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  void kill_worker() {
    edge_->worker->signal(SIGKILL);
    ASSERT_TRUE(edge_->worker->wait(kPatience).has_value());
    edge_->start_worker();
  }
  std::size_t stored(const char* stream) {
    const json info = json::parse(edge_->control->js_api(std::string("STREAM.INFO.") + stream, ""));
    return info.at("state").at("messages").get<std::size_t>();
  }
  Phone& phone(std::uint64_t user) {
    auto& slot = phones_[user];
    if (!slot) slot = std::make_unique<Phone>(*edge_, UserId(user));
    return *slot;
  }

  std::unique_ptr<EdgeProcess> edge_;
  std::unique_ptr<broker::Control> directory_;
  std::mutex mutex_, publishing_;
  std::map<GroupId, std::map<StreamSeq, control::GroupSnapshot>> groups_;
  bool away_ = false;
  std::size_t calls_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Phone>> phones_;
};

TEST_F(FanoutPath, AMessageReachesEveryOtherMemberAndTheAuthorLearnsWhoHasItAndWhoReadIt) {
  set(kChoir, 1, {UserId(1), UserId(2), UserId(3), UserId(4)});
  for (std::uint64_t user = 1; user <= 3; ++user) phone(user);
  const std::uint64_t seq = phone(1).write(kChoir, "hello");
  for (std::uint64_t user = 2; user <= 3; ++user)
    ASSERT_TRUE(wait_until([&] { return phone(user).texts() == std::vector<std::string>{"hello"}; }, kPatience));
  using wire::ReceiptKind;
  EXPECT_TRUE(wait_until([&] { return phone(1).have(seq, ReceiptKind::delivered).size() == 2; }, kPatience));
  phone(3).tell_read(kChoir, device_of(UserId(1)), {seq, 1});
  EXPECT_TRUE(wait_until([&] { return phone(1).have(seq, ReceiptKind::read) == std::set{UserId(3)}; }, kPatience));
  EXPECT_TRUE(wait_until([&] { return phone(4).texts() == std::vector<std::string>{"hello"}; }, kPatience))
      << "who was away finds it in the inbox";
  EXPECT_TRUE(wait_until([&] { return phone(1).have(seq, ReceiptKind::delivered).size() == 3; }, kPatience));
  EXPECT_TRUE(phone(1).texts().empty());
  EXPECT_TRUE(wait_until([&] { return stored("FANOUT") == 0 && stored("INGRESS_0") == 0; }, kPatience));
}

TEST_F(FanoutPath, AWorkerKilledInMidExpansionLosesNothingDoublesNothingAndKeepsTheOrder) {
  constexpr std::uint64_t kMembers = 24;
  constexpr std::size_t kMessages = 600, kKills = 4;
  std::vector<UserId> members;
  for (std::uint64_t user = 1; user <= kMembers; ++user) members.emplace_back(user);
  set(kChoir, 1, members);
  set(kBand, 1, members);
  for (std::uint64_t user = 1; user <= kMembers; ++user) phone(user);
  std::size_t written = 0;
  for (std::size_t kill = 0; kill <= kKills; ++kill) {
    for (std::size_t i = 0; i < kMessages / (kKills + 1); ++i, ++written) {
      phone(1).write(kChoir, "c" + std::to_string(written));
      phone(2).write(kBand, "b" + std::to_string(written));
      ASSERT_TRUE(wait_until([&] { return phone(1).accepted() + 32 > written && phone(2).accepted() + 32 > written; },
                             kPatience));
    }
    if (kill < kKills) {
      ASSERT_TRUE(wait_until([&] { return phone(3).texts().size() > written / 2; }, kPatience));
      kill_worker();
    }
  }
  for (std::uint64_t user = 1; user <= kMembers; ++user) {
    const std::size_t expected = user <= 2 ? written : 2 * written;
    ASSERT_TRUE(wait_until([&] { return phone(user).texts().size() >= expected; }, kPatience))
        << user << " has " << phone(user).texts().size() << " of " << expected;
    std::vector<std::string> choir, band;
    for (const std::string& text : phone(user).texts()) (text[0] == 'c' ? choir : band).push_back(text);
    for (std::size_t i = 0; i < written; ++i) {
      if (user != 1) {
        ASSERT_EQ(choir[i], "c" + std::to_string(i));
      }
      if (user != 2) {
        ASSERT_EQ(band[i], "b" + std::to_string(i));
      }
    }
    EXPECT_EQ(phone(user).texts().size(), expected);
  }
  EXPECT_TRUE(wait_until([&] { return stored("FANOUT") == 0 && stored("INGRESS_0") == 0; }, kPatience));
}

TEST_F(FanoutPath, WhoIsNoMemberIsRefusedAndNobodyGetsIt) {
  set(kChoir, 1, {UserId(1), UserId(2)});
  const std::uint64_t strangers = phone(5).write(kChoir, "let me in");
  phone(2);
  ASSERT_TRUE(wait_until([&] { return phone(5).failed().contains(strangers); }, kPatience));
  EXPECT_EQ(phone(5).failed()[strangers], wire::Code::not_member);
  const std::uint64_t nobodys = phone(5).write(GroupId(9'999), "is there anybody");
  ASSERT_TRUE(wait_until([&] { return phone(5).failed().contains(nobodys); }, kPatience));
  phone(1).write(kChoir, "hello");
  ASSERT_TRUE(wait_until([&] { return !phone(2).texts().empty(); }, kPatience));
  EXPECT_EQ(phone(2).texts(), std::vector<std::string>{"hello"});
}

TEST_F(FanoutPath, AddedAndRemovedMembersAreCutCleanlyAlsoWhenTheWorkerStartsInTheMiddle) {
  const std::vector<UserId> three{UserId(1), UserId(2), UserId(3)},
      with_four{UserId(1), UserId(2), UserId(3), UserId(4)}, without_three{UserId(1), UserId(2), UserId(4)};
  set(kChoir, 1, three);
  for (std::uint64_t user = 1; user <= 4; ++user) phone(user);
  const auto write = [&](const std::string& text) {
    const std::size_t before = phone(1).accepted();
    phone(1).write(kChoir, text);
    ASSERT_TRUE(wait_until([&] { return phone(1).accepted() > before; }, kPatience));
  };
  write("to three");
  ASSERT_TRUE(wait_until([&] { return !phone(3).texts().empty(); }, kPatience));
  // What follows waits in the stream, and is taken by a worker that knows nothing of the group.
  edge_->worker->signal(SIGKILL);
  ASSERT_TRUE(edge_->worker->wait(kPatience).has_value());
  write("still to three");
  change(kChoir, GroupEventKind::members_added, 2, UserId(4), with_four);
  write("to four");
  change(kChoir, GroupEventKind::members_removed, 3, UserId(3), without_three);
  write("to those who are left");
  edge_->start_worker();
  using Texts = std::vector<std::string>;
  const Texts all{"to three", "still to three", "to four", "to those who are left"};
  EXPECT_TRUE(wait_until([&] { return phone(2).texts() == all; }, kPatience));
  EXPECT_TRUE(wait_until([&] { return phone(4).texts() == Texts{"to four", "to those who are left"}; }, kPatience));
  EXPECT_TRUE(wait_until([&] { return stored("FANOUT") == 0 && stored("INGRESS_0") == 0; }, kPatience));
  EXPECT_EQ(phone(3).texts(), (Texts{"to three", "still to three", "to four"}));
  EXPECT_EQ(phone(2).versions(), (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(phone(3).versions(), (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(phone(4).versions(), (std::vector<std::uint64_t>{2, 3}));
}

TEST_F(FanoutPath, WithoutTheDirectoryKnownGroupsGoOnAndUnknownOnesWaitInOrder) {
  set(kChoir, 1, {UserId(1), UserId(2)});
  set(kBand, 1, {UserId(1), UserId(2)});
  phone(1), phone(2);
  phone(1).write(kChoir, "known");
  ASSERT_TRUE(wait_until([&] { return phone(2).texts().size() == 1; }, kPatience));
  set_away(true);
  const std::size_t before = calls();
  phone(1).write(kBand, "b1");
  phone(1).write(kBand, "b2");
  ASSERT_TRUE(wait_until([&] { return calls() > before + 1; }, kPatience));  // asked, and asked again
  phone(1).write(kChoir, "goes on");
  ASSERT_TRUE(wait_until([&] { return phone(2).texts().size() == 2; }, kPatience));
  set_away(false);
  ASSERT_TRUE(wait_until([&] { return phone(2).texts().size() == 4; }, kPatience));
  EXPECT_EQ(phone(2).texts(), (std::vector<std::string>{"known", "goes on", "b1", "b2"}));
}

}  // namespace
}  // namespace barid::edge
