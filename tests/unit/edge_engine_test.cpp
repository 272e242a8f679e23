// Both engines on real loopback sockets, by the same claims.
#include "edge/engine.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <future>
#include <map>
#include <random>
#include <thread>

#include "edge/net.h"

namespace barid::edge {
namespace {

struct Peer final : Socket {
  std::string received, waiting;
};

// Echoes what it receives, one send at a time.
class Echo final : public SocketHandler {
 public:
  explicit Echo(Engine& engine) : engine_(engine) {}
  void on_accept(int, int fd) override {
    auto peer = std::make_unique<Peer>();
    peer->fd = fd;
    engine_.add(*peer);
    EXPECT_FALSE(peers.contains(fd)) << "a descriptor came again before its last socket was let go";
    peers[fd] = std::move(peer);
    ++accepted;
  }
  void on_bytes(Socket& socket, std::string_view bytes) override {
    auto& peer = static_cast<Peer&>(socket);
    bytes_in += bytes.size();
    peer.waiting.append(bytes);
    push(peer);
    if (on_received) on_received(peer);
  }
  void on_end(Socket& socket, int error) override {
    last_error = error;
    ++ended;
    engine_.close(socket);
  }
  void on_sent(Socket& socket) override { push(static_cast<Peer&>(socket)); }
  void on_closed(Socket& socket) override {
    ++closed;
    peers.erase(socket.fd);
  }
  void push(Peer& peer) {
    if (!peer.sending && !peer.closing && !peer.waiting.empty()) engine_.send(peer, std::exchange(peer.waiting, {}));
  }

  Engine& engine_;
  std::map<int, std::unique_ptr<Peer>> peers;
  int accepted = 0, ended = 0, closed = 0, last_error = -1;
  std::size_t bytes_in = 0;
  std::function<void(Peer&)> on_received;
};

class EdgeEngine : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      engine_ = Engine::make(GetParam());
    } catch (const std::system_error& error) {
      GTEST_SKIP() << "this kernel has no usable " << GetParam() << ": " << error.what();
    }
    echo_ = std::make_unique<Echo>(*engine_);
    engine_->set_handler(*echo_);
    listener_ = listen_on({"tcp", "127.0.0.1", 0, false, false}, false);  // shared, another test could answer
  }
  void TearDown() override {
    stop();
    engine_.reset();
    if (listener_ >= 0) ::close(listener_);
  }
  void start() {
    thread_ = std::thread([this] { engine_->run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    engine_->stop();
    thread_.join();
  }
  // Runs on the engine's thread and waits for it.
  template <class F>
  auto ask(F f) {
    std::promise<decltype(f())> answer;
    EXPECT_TRUE(engine_->post([&] {
      if constexpr (std::is_void_v<decltype(f())>) {
        f();
        answer.set_value();
      } else {
        answer.set_value(f());
      }
    }));
    return answer.get_future().get();
  }
  template <class F>
  bool eventually(F condition) {
    for (int i = 0; i < 1000; ++i) {
      if (ask(condition)) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }
  int connect() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_of(listener_));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    const timeval patience{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }
  static std::string read_exactly(int fd, std::size_t bytes) {
    std::string out(bytes, '\0');
    std::size_t got = 0;
    while (got < bytes) {
      const ssize_t n = ::recv(fd, out.data() + got, bytes - got, 0);
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    out.resize(got);
    return out;
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Echo> echo_;
  std::thread thread_;
  int listener_ = -1;
};

TEST_P(EdgeEngine, EchoesManyConnections) {
  engine_->listen(listener_, 0);
  start();
  std::vector<int> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(connect());
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const std::string text = "client " + std::to_string(i) + " round " + std::to_string(round);
      ASSERT_EQ(::send(clients[i], text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const std::string text = "client " + std::to_string(i) + " round " + std::to_string(round);
      ASSERT_EQ(read_exactly(clients[i], text.size()), text);
    }
  }
  for (const int fd : clients) ::close(fd);
  EXPECT_TRUE(eventually([this] { return echo_->closed == 100 && echo_->peers.empty(); }));
  EXPECT_EQ(ask([this] { return echo_->ended; }), 100);
}

TEST_P(EdgeEngine, CarriesMegabytesThroughAFullSocketUnchanged) {
  engine_->listen(listener_, 0);
  start();
  const int fd = connect();
  std::mt19937 random(1);
  std::string data(8 * 1024 * 1024, '\0');
  for (char& c : data) c = static_cast<char>(random());
  std::thread writer([&] {
    for (std::size_t at = 0; at < data.size();) {
      const ssize_t n = ::send(fd, data.data() + at, data.size() - at, 0);
      if (n <= 0) return;
      at += static_cast<std::size_t>(n);
    }
  });
  // Let the echo back up first, so that partial sends happen.
  ask([] {});
  EXPECT_TRUE(eventually([this] { return echo_->bytes_in > 1024 * 1024; }));
  const std::string back = read_exactly(fd, data.size());
  writer.join();
  EXPECT_TRUE(back == data);
  ::close(fd);
}

TEST_P(EdgeEngine, APausedSocketIsNotReadUntilResumed) {
  engine_->listen(listener_, 0);
  start();
  const int fd = connect();
  ASSERT_EQ(::send(fd, "a", 1, 0), 1);
  ASSERT_EQ(read_exactly(fd, 1), "a");
  ask([this] { engine_->pause(*echo_->peers.begin()->second); });
  ask([] { return 0; });  // the pause is with the kernel
  ASSERT_TRUE(eventually([this] {
    const Peer& peer = *echo_->peers.begin()->second;
    return !peer.armed;
  }));
  ASSERT_EQ(::send(fd, "b", 1, 0), 1);
  pollfd waiting{fd, POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 100), 0) << "nothing may come back while paused";
  ask([this] { engine_->resume(*echo_->peers.begin()->second); });
  EXPECT_EQ(read_exactly(fd, 1), "b");
  ::close(fd);
}

TEST_P(EdgeEngine, PauseAndResumeInOneTurnLosesNothing) {
  engine_->listen(listener_, 0);
  echo_->on_received = [this](Peer& peer) {
    engine_->pause(peer);
    engine_->resume(peer);
  };
  start();
  const int fd = connect();
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(::send(fd, "xyz", 3, 0), 3);
    ASSERT_EQ(read_exactly(fd, 3), "xyz");
  }
  ::close(fd);
}

TEST_P(EdgeEngine, ShutdownLetsThePeerReadEverythingThenSeesItsEnd) {
  engine_->listen(listener_, 0);
  start();
  const int fd = connect();
  ASSERT_EQ(::send(fd, "last words", 10, 0), 10);
  ASSERT_TRUE(eventually([this] { return echo_->bytes_in == 10; }));
  ask([this] { engine_->shutdown_write(*echo_->peers.begin()->second); });
  EXPECT_EQ(read_exactly(fd, 11), "last words") << "then the end of the stream";
  ::close(fd);
  EXPECT_TRUE(eventually([this] { return echo_->closed == 1; }));
}

TEST_P(EdgeEngine, CloseWhileSendingFreesTheSocketOnce) {
  engine_->listen(listener_, 0);
  start();
  const int fd = connect();
  ASSERT_TRUE(eventually([this] { return echo_->accepted == 1; }));
  ask([this] { engine_->send(*echo_->peers.begin()->second, std::string(32 * 1024 * 1024, 'x')); });
  ask([this] { engine_->close(*echo_->peers.begin()->second); });
  EXPECT_TRUE(eventually([this] { return echo_->closed == 1 && echo_->peers.empty(); }));
  ::close(fd);
}

TEST_P(EdgeEngine, AResetEndsTheSocketWithItsError) {
  engine_->listen(listener_, 0);
  start();
  const int fd = connect();
  ASSERT_TRUE(eventually([this] { return echo_->accepted == 1; }));
  const linger abort{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  ::close(fd);
  EXPECT_TRUE(eventually([&] { return echo_->closed == 1; }));
  EXPECT_EQ(ask([this] { return echo_->last_error; }), ECONNRESET);
}

TEST_P(EdgeEngine, ADescriptorIsNotReusedBeforeItsSocketIsLetGo) {
  engine_->listen(listener_, 0);
  start();
  for (int i = 0; i < 300; ++i) {
    const int leaving = connect();
    ASSERT_TRUE(eventually([&] { return echo_->accepted == 2 * i + 1; }));
    ask([&] {  // in one turn: the end of one connection and the start of the next
      ::close(leaving);
      ::close(connect());
    });
    ASSERT_TRUE(eventually([&] { return echo_->closed == 2 * i + 2; }));
  }
}

TEST_P(EdgeEngine, StopListeningRefusesNewConnectionsAndKeepsOldOnes) {
  engine_->listen(listener_, 0);
  start();
  const int fd = connect();
  ASSERT_TRUE(eventually([this] { return echo_->accepted == 1; }));
  ask([this] { engine_->stop_listening(); });
  ask([] {});
  const int late = connect();  // the kernel's queue takes it, nobody accepts it
  ASSERT_EQ(::send(fd, "x", 1, 0), 1);
  EXPECT_EQ(read_exactly(fd, 1), "x");
  EXPECT_EQ(ask([this] { return echo_->accepted; }), 1);
  ::close(fd);
  ::close(late);
}

TEST_P(EdgeEngine, WatchedDescriptorsFireAsLongAsTheyAreReady) {
  const int fd = eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE);
  int fired = 0;
  bool unwatched = false;
  engine_->watch(fd, EPOLLIN, [&](std::uint32_t events) {
    EXPECT_NE(events & EPOLLIN, 0U);
    std::uint64_t one = 0;
    ASSERT_EQ(::read(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));  // takes one of three
    if (++fired == 3) {
      engine_->unwatch(fd);  // inside its own callback
      unwatched = true;
    }
  });
  start();
  EXPECT_TRUE(eventually([&] { return unwatched; }));
  const std::uint64_t more = 1;
  ASSERT_EQ(::write(fd, &more, sizeof more), static_cast<ssize_t>(sizeof more));
  ask([] {});
  ask([] {});
  EXPECT_EQ(ask([&] { return fired; }), 3);
  ::close(fd);
}

TEST_P(EdgeEngine, ChangedInterestTakesEffect) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  std::uint32_t seen = 0;
  engine_->watch(ends[0], EPOLLIN, [&](std::uint32_t events) {
    seen |= events;
    engine_->change(ends[0], EPOLLIN);
  });
  start();
  ask([&] { engine_->change(ends[0], EPOLLIN | EPOLLOUT); });
  EXPECT_TRUE(eventually([&] { return (seen & EPOLLOUT) != 0; }));
  stop();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(EdgeEngine, TimersRunAndPostedWorkComesInOrder) {
  std::atomic<int> ticks{0};
  engine_->every(milliseconds(10), [&] { ++ticks; });
  std::vector<int> order;
  start();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(engine_->post([&order, i] { order.push_back(i); }));
  EXPECT_TRUE(eventually([&] { return ticks >= 3 && order.size() == 1000; }));
  stop();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

INSTANTIATE_TEST_SUITE_P(Both, EdgeEngine, ::testing::Values("epoll", "io_uring"),
                         [](const auto& test) { return std::string(test.param); });

TEST(EngineChoice, AutoAlwaysFindsOne) { EXPECT_NE(Engine::make("auto"), nullptr); }

}  // namespace
}  // namespace barid::edge
