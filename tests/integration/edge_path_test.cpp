// The edge between real clients and a real broker, on both engines.
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/partition.h"
#include "broker/topology.h"
#include "tests/integration/edge_fixture.h"

namespace barid::edge {
namespace {

using test::wait_until;
using wire::Code;

const UserId kAlice(1), kBob(2);
const DeviceId kAliceDevice(11), kBobDevice(22);

class EdgePath : public ::testing::TestWithParam<const char*> {
 protected:
  void start(EdgeOptions options = {}) {
    options.engine = GetParam();
    edge_ = std::make_unique<EdgeProcess>(options);
  }
  FakeOwner& owner() { return *edge_->owner; }
  Partition home(UserId user) const { return partition_of(user, EdgeProcess::kPartitions); }
  // Waits until `count` sessions were opened with the owner and returns the last.
  control::SessionOpen opened(std::size_t count) {
    EXPECT_TRUE(wait_until([&] { return owner().opens().size() >= count; }));
    return owner().opens().at(count - 1);
  }
  static std::string deliver_frame(const std::string& content) {
    std::string frame;
    wire::append(frame, wire::Deliver{kBob, kBobDevice, 1, 0, 0, content});
    return frame;
  }
  void deliver(const control::SessionOpen& to, std::uint64_t epoch, const std::string& content) {
    const std::string frame = deliver_frame(content);
    control::ToEdge message;
    message.worker = Incarnation(1);
    message.deliveries.push_back({home(to.user), Epoch(epoch), to.conn, frame});
    owner().say(message);
  }
  std::unique_ptr<EdgeProcess> edge_;
};

TEST_P(EdgePath, AcceptsOnlyWhatTheBrokerHasStored) {
  start();
  TestClient alice(edge_->port());
  const auto welcome = edge_->log_in(alice, kAlice, kAliceDevice);
  EXPECT_EQ(welcome.user, kAlice);
  EXPECT_NE(welcome.incarnation, 0U);
  alice.send(edge_->message(1, "hello"));
  EXPECT_EQ(alice.expect<wire::Accepted>().ranges, (std::vector<SeqRange>{{1, 1}}));
  EXPECT_EQ(edge_->ingress_messages(), 1U);
}

TEST_P(EdgePath, AWindowfulIsAcceptedInRangesWithoutAnyRefusal) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  constexpr std::uint64_t kCount = 1'000;  // far more than the window: the edge stops reading, it does not complain
  std::string bytes;
  for (std::uint64_t seq = 1; seq <= kCount; ++seq) wire::append(bytes, edge_->message(seq, std::string(200, 'x')));
  std::thread writer([&] { alice.send_raw(bytes); });
  std::uint64_t accepted = 0, frames = 0;
  while (accepted < kCount) {
    const auto frame = alice.expect<wire::Accepted>();
    if (frame.ranges.empty()) break;
    ++frames;
    for (const SeqRange& range : frame.ranges) {
      EXPECT_EQ(range.first, accepted + 1);
      accepted += range.count;
    }
  }
  writer.join();
  EXPECT_EQ(accepted, kCount);
  EXPECT_LT(frames, kCount / 4) << "acceptances of a turn travel together";
}

TEST_P(EdgePath, WithoutTheBrokerNothingIsAcceptedAndAfterwardsEverythingIsOnce) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  edge_->nats.kill();
  alice.send(edge_->message(1, "while it is away"));
  edge_->nats.start();
  EXPECT_EQ(alice.expect<wire::Accepted>().ranges, (std::vector<SeqRange>{{1, 1}}));
  EXPECT_EQ(edge_->ingress_messages(), 1U);
}

TEST_P(EdgePath, AFullBrokerIsARefusalThatGoesBackAndLaterSucceeds) {
  start();
  edge_->limit_ingress(1);
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  alice.send(edge_->message(1, "fits"));
  EXPECT_EQ(alice.expect<wire::Accepted>().ranges, (std::vector<SeqRange>{{1, 1}}));
  alice.send(edge_->message(2, "does not"));
  const auto refused = alice.expect<wire::Refused>();
  EXPECT_EQ(refused.seq, 2U);
  EXPECT_EQ(refused.code, Code::broker_full);
  EXPECT_EQ(refused.retry_after_ms, 1000U);
  edge_->limit_ingress(-1);
  alice.send(edge_->message(3, "may not overtake"));
  alice.send(edge_->message(2, "does not"));
  alice.send(edge_->message(3, "may not overtake"));
  std::uint64_t next = 2;
  while (next < 4)
    for (const SeqRange& range : alice.expect<wire::Accepted>().ranges) {
      ASSERT_EQ(range.first, next);
      next += range.count;
    }
  EXPECT_GE(edge_->ingress_messages(), 2U);  // 2 and 3 may have shared a batch
}

TEST_P(EdgePath, OpensDeliversAcknowledgesAndCloses) {
  start();
  auto alice = std::make_unique<TestClient>(edge_->port());
  edge_->log_in(*alice, kAlice, kAliceDevice, 7);
  const auto open = opened(1);
  EXPECT_EQ(open.user, kAlice);
  EXPECT_EQ(open.session_no, SessionNo(7));
  deliver(open, 1, "one");
  deliver(open, 1, "two");
  EXPECT_EQ(alice->expect<wire::Deliver>().content, "one");
  EXPECT_EQ(alice->expect<wire::Deliver>().content, "two");
  alice->send(wire::Ack{2});
  ASSERT_TRUE(wait_until([&] { return !owner().acks().empty(); }));
  EXPECT_EQ(owner().acks().back().up_to, 2U);
  EXPECT_EQ(owner().acks().back().conn, open.conn);
  alice.reset();
  ASSERT_TRUE(wait_until([&] { return !owner().closes().empty(); }));
  EXPECT_EQ(owner().closes().back().conn, open.conn);
}

TEST_P(EdgePath, ANewEpochIsAnnouncedAndNothingOfTheOldOneCounts) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const auto first = opened(1);
  deliver(first, 1, "of epoch 1");
  EXPECT_EQ(alice.expect<wire::Deliver>().content, "of epoch 1");
  edge_->own(2);
  const auto second = opened(2);
  EXPECT_NE(second.conn, first.conn);
  EXPECT_EQ(second.session_no, first.session_no);
  ASSERT_TRUE(wait_until([&] {
    const auto announced = owner().announced();
    return std::any_of(announced.begin(), announced.end(), [&](const control::PartitionEpoch& a) {
      return a.partition == home(kAlice) && a.epoch == Epoch(2);
    });
  }));
  alice.send(wire::Ack{1});  // a frame of epoch 1: the new owner must not hear of it
  deliver(first, 1, "too late");
  deliver(second, 2, "of epoch 2");
  EXPECT_EQ(alice.expect<wire::Deliver>().content, "of epoch 2");
  alice.send(wire::Ack{2});
  ASSERT_TRUE(wait_until([&] { return !owner().acks().empty(); }));
  EXPECT_EQ(owner().acks().size(), 1U);
  EXPECT_EQ(owner().acks().back().up_to, 1U);
  EXPECT_EQ(owner().acks().back().conn, second.conn);
}

TEST_P(EdgePath, AnOwnerThatLostCountGetsEverySessionAgain) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const auto first = opened(1);
  control::ToEdge message;
  message.worker = Incarnation(1);
  message.reannounce = true;
  owner().say(message);
  EXPECT_NE(opened(2).conn, first.conn);
}

TEST_P(EdgePath, ALostBusMessageOpensEverySessionAnew) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const auto first = opened(1);
  deliver(first, 1, "one");
  EXPECT_EQ(alice.expect<wire::Deliver>().content, "one");
  owner().lose_a_message();
  deliver(first, 1, "three");  // behind the lost one: to be given again, in the new session
  const auto second = opened(2);
  EXPECT_NE(second.conn, first.conn);
  deliver(second, 1, "two");
  EXPECT_EQ(alice.expect<wire::Deliver>().content, "two");
}

TEST_P(EdgePath, AKickIsToldAndCloses) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const auto open = opened(1);
  control::ToEdge message;
  message.kicks.push_back({home(kAlice), Epoch(1), open.conn, Code::session_replaced});
  owner().say(message);
  EXPECT_EQ(alice.expect<wire::Error>().code, Code::session_replaced);
  EXPECT_TRUE(alice.closed());
}

TEST_P(EdgePath, OwnersHearAHeartbeatEverySecond) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  opened(1);
  const std::size_t before = owner().messages();
  EXPECT_TRUE(wait_until([&] { return owner().messages() >= before + 2; }));
}

TEST_P(EdgePath, ARevokedDeviceIsClosedAndStaysOut) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const auto before = steady_now();
  edge_->control->put(broker::kRevokedBucket, hex_id(kAliceDevice.value), R"({"at_ms":1})");
  EXPECT_EQ(alice.expect<wire::Error>().code, Code::device_revoked);
  EXPECT_LT(steady_now() - before, std::chrono::seconds(5));
  TestClient again(edge_->port());
  again.send(edge_->login(again.expect<wire::Challenge>(), kAlice, kAliceDevice, 2));
  EXPECT_EQ(again.expect<wire::Error>().code, Code::device_revoked);
  TestClient bob(edge_->port());
  edge_->log_in(bob, kBob, kBobDevice);
  bob.send(edge_->message(1, "to a revoked device", kAlice, kAliceDevice));
  EXPECT_EQ(bob.expect<wire::Refused>().code, Code::recipient_gone);
}

TEST_P(EdgePath, RequestsReachTheDirectoryAndFailClearlyWithoutOne) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  alice.send(wire::Request{5, wire::ListDevices{}});
  auto response = alice.expect<wire::Response>();
  EXPECT_EQ(response.id, 5U);
  EXPECT_EQ(std::get<wire::Error>(response.body).code, Code::unavailable);
  edge_->control->serve(control::kDirectorySubject, control::kDirectoryQueue, 1, [](std::string_view bytes) {
    const auto call = control::decode_directory_call(bytes).value();
    wire::Response answer{call.request.id, wire::Users{{call.user}}};
    EXPECT_EQ(call.address, "127.0.0.1");
    return control::encode(answer);
  });
  do {  // until the subscription is known to the broker
    alice.send(wire::Request{6, wire::ListBlocked{}});
    response = alice.expect<wire::Response>();
  } while (std::holds_alternative<wire::Error>(response.body) && !HasFailure());
  EXPECT_EQ(response.id, 6U);
  EXPECT_EQ(std::get<wire::Users>(response.body).users, std::vector<UserId>{kAlice});
  TestClient stranger(edge_->port());
  const auto challenge = stranger.expect<wire::Challenge>();
  stranger.send(wire::Request{1, wire::RequestCode{"+4915112345678"}});
  EXPECT_EQ(std::get<wire::Users>(stranger.expect<wire::Response>().body).users, std::vector<UserId>{UserId()});
  stranger.send(edge_->login(challenge, kBob, kBobDevice, 1));  // the same challenge still serves
  EXPECT_EQ(stranger.expect<wire::Welcome>().user, kBob);
}

TEST_P(EdgePath, ASilentClientIsPingedThenClosed) {
  start({.engine = "",
         .edge_lines = "half_open_deadline_s = 2\nheartbeat_s = 1",
         .listener_lines = "",
         .more_listeners = ""});
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const auto ping = alice.next(false);
  ASSERT_TRUE(ping && std::holds_alternative<wire::Ping>(*ping));
  EXPECT_EQ(alice.expect<wire::Error>().code, Code::heartbeat_timeout);
  EXPECT_TRUE(alice.closed());
  EXPECT_TRUE(wait_until([&] { return !owner().closes().empty(); }));
}

TEST_P(EdgePath, ASlowReaderIsClosedAndItsOwnerHearsOfIt) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const auto open = opened(1);
  const std::string content(60'000, 'x');
  for (int i = 0; i < 400 && owner().closes().empty(); ++i) deliver(open, 1, content);
  EXPECT_TRUE(wait_until([&] { return !owner().closes().empty(); }));
  EXPECT_TRUE(wait_until([&] { return edge_->http("/metrics").find("limit=\"out_buffer\"} 1") != std::string::npos; }));
}

TEST_P(EdgePath, HostileBytesGetTheirCodeAndDisturbNobody) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const struct {
    std::string bytes;
    Code code;
  } cases[] = {
      {std::string("\x09\x0a\x00\x00", 4), Code::unsupported_version},
      {std::string("\x01\xc8\x00\x01x", 5), Code::unknown_frame},
      {std::string("\x01\x02\x00\x04\xff\xff\xff\xff", 8), Code::malformed},
      {std::string("\x01\x02\xff\xff", 4) + std::string(20'000, 'x'), Code::frame_too_large},
      {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n") + std::string(30'000, ' '), Code::frame_too_large},
  };
  for (const auto& c : cases) {
    TestClient mallory(edge_->port());
    mallory.expect<wire::Challenge>();
    mallory.send_raw(c.bytes);
    EXPECT_EQ(mallory.expect<wire::Error>().code, c.code);
    EXPECT_TRUE(mallory.closed());
  }
  alice.send(edge_->message(1, "still here"));
  EXPECT_EQ(alice.expect<wire::Accepted>().ranges, (std::vector<SeqRange>{{1, 1}}));
}

TEST_P(EdgePath, ConnectionsPerAddressAreBoundedWithATimeToRetry) {
  start({.engine = "", .edge_lines = "connections_per_address = 1", .listener_lines = "", .more_listeners = ""});
  TestClient first(edge_->port());
  first.expect<wire::Challenge>();
  TestClient second(edge_->port());
  const auto error = second.expect<wire::Error>();
  EXPECT_EQ(error.code, Code::too_many_connections);
  EXPECT_GT(error.retry_after_ms, 0U);
  EXPECT_TRUE(second.closed());
}

TEST_P(EdgePath, AWebSocketCarriesTheSameFrames) {
  start({.engine = "", .edge_lines = "", .listener_lines = "kind = \"websocket\"", .more_listeners = ""});
  TestClient alice(edge_->port(),
                   "GET /v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_NE(alice.read_raw("\r\n\r\n").find("101"), std::string::npos);
  const auto read_message = [&] {
    std::string header(2, '\0');
    EXPECT_EQ(::recv(alice.fd(), header.data(), 2, MSG_WAITALL), 2);
    EXPECT_EQ(static_cast<unsigned char>(header[0]), 0x82);
    std::size_t size = static_cast<unsigned char>(header[1]);
    if (size == 126) {
      unsigned char more[2];
      EXPECT_EQ(::recv(alice.fd(), more, 2, MSG_WAITALL), 2);
      size = static_cast<std::size_t>(more[0] << 8 | more[1]);
    }
    std::string payload(size, '\0');
    EXPECT_EQ(::recv(alice.fd(), payload.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return wire::decode(*wire::split(payload)).value();
  };
  const auto send_message = [&](const auto& frame) {
    std::string payload;
    wire::append(payload, frame);
    std::string bytes{static_cast<char>(0x82)};
    if (payload.size() < 126) {
      bytes.push_back(static_cast<char>(0x80 | payload.size()));
    } else {
      bytes.push_back(static_cast<char>(0x80 | 126));
      bytes.push_back(static_cast<char>(payload.size() >> 8));
      bytes.push_back(static_cast<char>(payload.size() & 0xff));
    }
    alice.send_raw(bytes + std::string(4, '\0') + payload);  // a mask of zeros is a mask
  };
  const auto challenge = std::get<wire::Challenge>(read_message());
  send_message(edge_->login(challenge, kAlice, kAliceDevice, 1));
  EXPECT_EQ(std::get<wire::Welcome>(read_message()).user, kAlice);
  send_message(edge_->message(1, "over WebSocket"));
  EXPECT_EQ(std::get<wire::Accepted>(read_message()).ranges, (std::vector<SeqRange>{{1, 1}}));
}

TEST_P(EdgePath, TheProxyHeadersAddressIsTheOneThatCounts) {
  start({.engine = "",
         .edge_lines = "connections_per_address = 1",
         .listener_lines = "proxy_protocol = true",
         .more_listeners = ""});
  const auto header = [](char last) {
    return std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00", 19) + last +
           std::string("\x7f\0\0\1\x12\x34\x00\x50", 8);
  };
  TestClient first(edge_->port(), header(1)), other(edge_->port(), header(2));
  first.expect<wire::Challenge>();
  other.expect<wire::Challenge>();
  TestClient again(edge_->port(), header(1));
  EXPECT_EQ(again.expect<wire::Error>().code, Code::too_many_connections);
  TestClient bare(edge_->port(), "no header at all");
  EXPECT_TRUE(bare.closed());
}

TEST_P(EdgePath, StopsInTimeAndTellsEveryClientWhenToComeBack) {
  start();
  TestClient alice(edge_->port()), bob(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  bob.expect<wire::Challenge>();
  const auto before = steady_now();
  edge_->process->signal(SIGTERM);
  for (TestClient* client : {&alice, &bob}) {
    const auto error = client->expect<wire::Error>();
    EXPECT_EQ(error.code, Code::going_away);
    EXPECT_GT(error.retry_after_ms, 0U);
    EXPECT_TRUE(client->closed());
  }
  EXPECT_EQ(edge_->process->wait(std::chrono::seconds(10)), 0);
  EXPECT_LT(steady_now() - before, std::chrono::seconds(6));
}

TEST_P(EdgePath, WhatWasSentBeforeItStopsIsAnsweredAndNothingAfterwardsIsTaken) {
  start();
  TestClient alice(edge_->port());
  edge_->log_in(alice, kAlice, kAliceDevice);
  const std::string frames_in = "\nbarid_edge_frames_total{direction=\"in\"} ";
  edge_->nats.freeze();
  for (std::uint64_t seq = 1; seq <= 20; ++seq) alice.send(edge_->message(seq, "before"));
  ASSERT_TRUE(test::wait_until([&] {
    const std::string metrics = edge_->http("/metrics");
    const auto at = metrics.find(frames_in);
    return at != std::string::npos && std::atof(metrics.c_str() + at + frames_in.size()) >= 21;  // the login too
  }));
  edge_->process->signal(SIGTERM);
  ASSERT_TRUE(test::wait_until([&] { return edge_->http("/readyz").find("200 OK") == std::string::npos; }));
  alice.send(edge_->message(21, "too late"));
  edge_->nats.thaw();
  std::uint64_t accepted = 0;
  auto frame = alice.next();
  for (; frame && std::holds_alternative<wire::Accepted>(*frame); frame = alice.next())
    for (const auto& range : std::get<wire::Accepted>(*frame).ranges) accepted += range.count;
  EXPECT_EQ(accepted, 20U);
  ASSERT_TRUE(frame && std::holds_alternative<wire::Error>(*frame));
  EXPECT_EQ(std::get<wire::Error>(*frame).code, Code::going_away);
  EXPECT_TRUE(alice.closed());
}

TEST_P(EdgePath, SeveralReactorsServeOnePort) {
  start({.engine = "", .edge_lines = "threads = 3", .listener_lines = "", .more_listeners = ""});
  std::vector<std::unique_ptr<TestClient>> clients;
  for (std::uint64_t i = 0; i < 30; ++i) {
    clients.push_back(std::make_unique<TestClient>(edge_->port()));
    edge_->log_in(*clients.back(), UserId(100 + i), DeviceId(200 + i));
    clients.back()->send(edge_->message(1, "from many"));
  }
  for (auto& client : clients) EXPECT_EQ(client->expect<wire::Accepted>().ranges, (std::vector<SeqRange>{{1, 1}}));
}

TEST_P(EdgePath, ATakenPortIsOneClearSentence) {
  start({.engine = "", .edge_lines = "threads = 2", .listener_lines = "", .more_listeners = ""});
  const std::string log = edge_->folder() + "/second.log";
  const auto self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  test::ChildProcess second({self / "barid-edge", "--config", edge_->folder() + "/barid.toml", "--observe-port", "0"},
                            log);
  const auto status = second.wait(std::chrono::seconds(10));
  ASSERT_TRUE(status && WIFEXITED(*status));
  EXPECT_EQ(WEXITSTATUS(*status), 1);
  EXPECT_NE(test::read_file(log).find("cannot listen on 127.0.0.1:" + std::to_string(edge_->port())),
            std::string::npos);
}

TEST_P(EdgePath, SaysWhatIsMissingUntilEveryPartitionHasAnOwner) {
  start();
  edge_->control->remove(broker::kOwnersBucket, broker::owner_key(Partition(1)));
  EXPECT_TRUE(wait_until([&] { return edge_->http("/readyz").find("partition 1 has no owner") != std::string::npos; }));
  edge_->own(2);
  EXPECT_TRUE(edge_->wait_ready());
  EXPECT_NE(edge_->http("/metrics").find("barid_edge_connections"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Both, EdgePath, ::testing::Values("epoll", "io_uring"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace barid::edge
