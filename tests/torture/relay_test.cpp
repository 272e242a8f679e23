// Each way of hurting a line does what it says, on real sockets.
#include "tests/torture/relay.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/process.h"

namespace barid::torture {
namespace {

using test::wait_until;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }
  void say(const std::string& bytes) const { (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // What has come, up to the wanted size; waits for it.
  std::string hear(std::size_t size) {
    (void)wait_until([&] { return take() || heard_.size() >= size; });
    return std::exchange(heard_, {});
  }
  bool over() {
    return wait_until([&] { return take(); });
  }

 private:
  bool take() {  // true: it has ended
    char bytes[4096];
    for (;;) {
      const ssize_t n = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
      if (n <= 0) return n == 0 || (errno != EAGAIN && errno != EINTR);
      heard_.append(bytes, static_cast<std::size_t>(n));
    }
  }
  int fd_;
  std::string heard_;
};

class Relays : public testing::Test {
 protected:
  Relays() {
    server_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(server_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(server_, 8), 0);
    EXPECT_EQ(::getsockname(server_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = relay_.add_line(ntohs(address.sin_port));
    relay_.start();
  }
  ~Relays() override { ::close(server_); }
  std::unique_ptr<Socket> call() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return std::make_unique<Socket>(fd);
  }
  std::unique_ptr<Socket> answer() const {
    pollfd p{server_, POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, 20'000), 1);
    return std::make_unique<Socket>(::accept(server_, nullptr, nullptr));
  }
  Relay relay_;
  int server_;
  std::uint16_t port_;
};

TEST_F(Relays, PassEverything) {
  auto client = call(), server = answer();
  client->say("hello");
  EXPECT_EQ(server->hear(5), "hello");
  const std::string much(1'000'000, 'm');
  std::thread writer([&] { server->say(much); });
  EXPECT_EQ(client->hear(much.size()), much);
  writer.join();
  client.reset();
  EXPECT_TRUE(server->over());
}

TEST_F(Relays, AStalledLineKeepsWhatWasSaid) {
  auto client = call(), server = answer();
  client->say("one");
  EXPECT_EQ(server->hear(3), "one");
  relay_.set(0, Relay::Mode::stalled);
  auto second = call(), at_server = answer();  // a turn of the relay has passed when this is there
  auto third = call(), fourth = answer();
  client->say("two");
  pollfd p{server->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 100), 0);
  relay_.set(0, Relay::Mode::pass);
  EXPECT_EQ(server->hear(3), "two");
}

TEST_F(Relays, ADeafLineForgetsWhatTheClientSaysAndIsResetAfterwards) {
  auto client = call(), server = answer();
  client->say("one");
  EXPECT_EQ(server->hear(3), "one");
  relay_.set(0, Relay::Mode::deaf);
  auto second = call(), at_server = answer();
  auto third = call(), fourth = answer();
  client->say("lost");
  server->say("heard");
  EXPECT_EQ(client->hear(5), "heard");
  relay_.set(0, Relay::Mode::pass);
  EXPECT_TRUE(client->over());
  EXPECT_TRUE(server->over());
  EXPECT_EQ(server->hear(0), "");
}

TEST_F(Relays, ACutLineIsResetAndSoAreNewOnes) {
  auto client = call(), server = answer();
  relay_.set(0, Relay::Mode::cut);
  EXPECT_TRUE(client->over());
  EXPECT_TRUE(server->over());
  EXPECT_TRUE(call()->over());
}

TEST_F(Relays, OnlyThoseWhoSayAWordAreHit) {
  auto ann = call(), at_ann = answer();
  auto bob = call(), at_bob = answer();
  ann->say("I am ann"), bob->say("I am bob");
  EXPECT_EQ(at_ann->hear(8), "I am ann");
  EXPECT_EQ(at_bob->hear(8), "I am bob");
  relay_.set(0, Relay::Mode::cut, "bob");
  EXPECT_TRUE(bob->over());
  ann->say("still here");
  EXPECT_EQ(at_ann->hear(10), "still here");
}

TEST_F(Relays, AMuteLineLosesNothingOfTheServer) {
  auto client = call(), server = answer();
  relay_.set(0, Relay::Mode::mute);
  auto second = call(), at_server = answer();
  auto third = call(), fourth = answer();
  server->say("later");
  client->say("now");
  EXPECT_EQ(server->hear(3), "now");
  pollfd p{client->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 100), 0);
  relay_.set(0, Relay::Mode::drip);
  EXPECT_EQ(client->hear(5), "later");
}

}  // namespace
}  // namespace barid::torture
