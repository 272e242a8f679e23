#include "base/observe.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>

namespace barid {
namespace {

// A loopback port that was free a moment ago.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string get(std::uint16_t port, const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  EXPECT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string reply;
  char buffer[4096];
  for (ssize_t got; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
    reply.append(buffer, static_cast<std::size_t>(got));
  ::close(fd);
  return reply;
}

TEST(Observe, ServesHealthReadinessAndMetrics) {
  std::atomic<bool> ready = false;
  const auto port = free_port();
  Observe observe("test", port, [&] { return ready ? std::string() : std::string("waiting for the broker"); });
  observe.counter("barid_test_total", "Tests counted.", {{"kind", "unit"}}).Increment(3);
  EXPECT_NE(get(port, "/healthz").find("200 OK"), std::string::npos);
  EXPECT_NE(get(port, "/readyz").find("503"), std::string::npos);
  EXPECT_NE(get(port, "/readyz").find("waiting for the broker"), std::string::npos);
  ready = true;
  EXPECT_NE(get(port, "/readyz").find("200 OK"), std::string::npos);
  EXPECT_NE(get(port, "/metrics").find("barid_test_total{kind=\"unit\"} 3"), std::string::npos);
}

TEST(Observe, ATakenPortIsNamed) {
  const auto port = free_port();
  Observe first("first", port, [] { return std::string(); });
  try {
    Observe second("second", port, [] { return std::string(); });
    FAIL() << "two listeners on one port";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find(std::to_string(port)), std::string::npos);
  }
}

TEST(Observe, WithoutAPortMetricsStillCount) {
  Observe observe("test", 0, [] { return std::string(); });
  auto& counter = observe.counter("barid_test_total", "Tests counted.");
  counter.Increment();
  EXPECT_EQ(counter.Value(), 1);
}

}  // namespace
}  // namespace barid
