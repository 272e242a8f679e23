#include <gtest/gtest.h>

#include "edge/connection.h"
#include "edge/gate.h"
#include "edge/proxy_protocol.h"
#include "edge/token_bucket.h"
#include "edge/wheel.h"

namespace barid::edge {
namespace {

using std::chrono::seconds;
const TimePoint kStart = TimePoint(seconds(1000));

TEST(TokenBucket, AllowsTheBurstThenSaysWhenToComeBack) {
  const RateConfig rate{10, 3};
  TokenBucket bucket;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.take(rate, kStart), 0U);
  EXPECT_EQ(bucket.take(rate, kStart), 100U);
  EXPECT_EQ(bucket.take(rate, kStart + milliseconds(50)), 50U);
  EXPECT_EQ(bucket.take(rate, kStart + milliseconds(100)), 0U);
}

TEST(TokenBucket, NeverHoldsMoreThanTheBurst) {
  const RateConfig rate{10, 2};
  TokenBucket bucket;
  EXPECT_EQ(bucket.take(rate, kStart), 0U);
  EXPECT_FALSE(bucket.full(rate, kStart));
  const TimePoint later = kStart + seconds(3600);
  EXPECT_TRUE(bucket.full(rate, later));
  EXPECT_EQ(bucket.take(rate, later), 0U);
  EXPECT_EQ(bucket.take(rate, later), 0U);
  EXPECT_NE(bucket.take(rate, later), 0U);
}

TEST(TokenBucket, ZeroRateMeansNoLimit) {
  TokenBucket bucket;
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(bucket.take({0, 0}, kStart), 0U);
}

TEST(TokenBucket, ASlowRateStillSaysAFiniteWait) {
  TokenBucket bucket;
  const RateConfig rate{0.001, 1};
  EXPECT_EQ(bucket.take(rate, kStart), 0U);
  EXPECT_EQ(bucket.take(rate, kStart), 1'000'000U);
}

PeerAddress address(std::uint8_t last) { return PeerAddress::from_ipv4({10, 0, 0, last}); }

TEST(Gate, BoundsConnectionsInAllAndPerAddress) {
  EdgeConfig config;
  config.connections_max = 3;
  config.connections_per_address = 2;
  Gate gate(config);
  EXPECT_EQ(gate.enter(address(1), kStart).verdict, Gate::Verdict::admitted);
  EXPECT_EQ(gate.enter(address(1), kStart).verdict, Gate::Verdict::admitted);
  const auto third = gate.enter(address(1), kStart);
  EXPECT_EQ(third.verdict, Gate::Verdict::too_many_from_address);
  EXPECT_GT(third.retry_after_ms, 0U);
  EXPECT_EQ(gate.enter(address(2), kStart).verdict, Gate::Verdict::admitted);
  EXPECT_EQ(gate.enter(address(3), kStart).verdict, Gate::Verdict::too_many);
  gate.leave(address(1));
  EXPECT_EQ(gate.enter(address(3), kStart).verdict, Gate::Verdict::admitted);
  EXPECT_EQ(gate.connections(), 3U);
}

TEST(Gate, BoundsTheConnectRateAndForgetsOnlyWhatSaysNothing) {
  EdgeConfig config;
  config.connects_per_address = {1, 2};
  config.requests_per_address = {1, 1};
  Gate gate(config);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(gate.enter(address(1), kStart).verdict, Gate::Verdict::admitted);
    gate.leave(address(1));
  }
  gate.forget_idle(kStart);  // must not give the burst back
  const auto fast = gate.enter(address(1), kStart);
  EXPECT_EQ(fast.verdict, Gate::Verdict::too_fast);
  EXPECT_EQ(fast.retry_after_ms, 1000U);
  EXPECT_EQ(gate.enter(address(1), kStart + seconds(1)).verdict, Gate::Verdict::admitted);
  EXPECT_EQ(gate.request(address(1), kStart), 0U);
  EXPECT_GT(gate.request(address(1), kStart), 0U);
}

TEST(Gate, CountsAWholeIpv6NetworkAsOneAddress) {
  EdgeConfig config;
  config.connections_per_address = 1;
  Gate gate(config);
  PeerAddress one, neighbour, elsewhere;
  one.bytes[0] = neighbour.bytes[0] = elsewhere.bytes[0] = 0x20;
  neighbour.bytes[15] = 9;
  elsewhere.bytes[7] = 1;
  EXPECT_EQ(gate.enter(one, kStart).verdict, Gate::Verdict::admitted);
  EXPECT_EQ(gate.enter(neighbour, kStart).verdict, Gate::Verdict::too_many_from_address);
  EXPECT_EQ(gate.enter(elsewhere, kStart).verdict, Gate::Verdict::admitted);
}

TEST(PeerAddress, PrintsBothFamilies) {
  EXPECT_EQ(address(7).text(), "10.0.0.7");
  PeerAddress six;
  six.bytes[15] = 1;
  EXPECT_EQ(six.text(), "::1");
}

TEST(Wheel, VisitsEachEntryOnceItIsDueAndNotBefore) {
  Wheel wheel(kStart);
  const std::uint32_t tick = wheel.put(ConnId(7), kStart + seconds(2));
  int visits = 0;
  const auto visit = [&](ConnId id, std::uint32_t at) {
    EXPECT_EQ(id, ConnId(7));
    EXPECT_EQ(at, tick);
    ++visits;
  };
  wheel.advance(kStart + milliseconds(1999), visit);
  EXPECT_EQ(visits, 0);
  wheel.advance(kStart + milliseconds(2000) + Wheel::kTick, visit);
  EXPECT_EQ(visits, 1);
  wheel.advance(kStart + seconds(1000), visit);
  EXPECT_EQ(visits, 1);
}

TEST(Wheel, WhatIsFarAwayIsLookedAtEarlierAndCanBePutBack) {
  Wheel wheel(kStart);
  const TimePoint due = kStart + seconds(300);
  wheel.put(ConnId(1), due);
  int visits = 0;
  TimePoint now = kStart;
  TimePoint last{};
  while (now < kStart + seconds(400)) {
    now += Wheel::kTick;
    wheel.advance(now, [&](ConnId id, std::uint32_t) {
      ++visits;
      last = now;
      if (now < due) wheel.put(id, due);
    });
  }
  EXPECT_EQ(visits, 3);  // twice early, then on time
  EXPECT_GE(last, due);
  EXPECT_LE(last, due + 2 * Wheel::kTick);
}

// ---- PROXY protocol

std::string proxy(std::uint8_t command, std::uint8_t family, std::string_view body) {
  std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
  header.push_back(static_cast<char>(0x20 | command));
  header.push_back(static_cast<char>(family));
  header.push_back(static_cast<char>(body.size() >> 8));
  header.push_back(static_cast<char>(body.size() & 0xff));
  return header.append(body);
}
const std::string kIpv4Body("\x0a\x01\x02\x03\x7f\0\0\1\x12\x34\x00\x50", 12);

TEST(ProxyHeader, GivesTheClientsIpv4Address) {
  const std::string bytes = proxy(1, 0x11, kIpv4Body) + "rest";
  const ProxyHeader header = parse_proxy_header(bytes);
  ASSERT_EQ(header.status, ProxyHeader::Status::complete);
  EXPECT_EQ(bytes.substr(header.bytes), "rest");
  ASSERT_TRUE(header.client);
  EXPECT_EQ(header.client->text(), "10.1.2.3");
}

TEST(ProxyHeader, GivesTheClientsIpv6AddressAndSkipsExtensions) {
  std::string body(36, '\0');
  body[0] = 0x20, body[1] = 0x01, body[15] = 0x05;
  body += std::string("\x04\x00\x03\x61\x62\x63", 6);
  const ProxyHeader header = parse_proxy_header(proxy(1, 0x21, body));
  ASSERT_EQ(header.status, ProxyHeader::Status::complete);
  EXPECT_EQ(header.bytes, 16 + body.size());
  EXPECT_EQ(header.client->text(), "2001::5");
}

TEST(ProxyHeader, AHealthCheckKeepsTheSocketsAddress) {
  const ProxyHeader header = parse_proxy_header(proxy(0, 0, ""));
  EXPECT_EQ(header.status, ProxyHeader::Status::complete);
  EXPECT_FALSE(header.client);
}

TEST(ProxyHeader, EveryPrefixIsIncompleteAndNothingElse) {
  const std::string bytes = proxy(1, 0x11, kIpv4Body);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    ASSERT_EQ(parse_proxy_header(std::string_view(bytes).substr(0, n)).status, ProxyHeader::Status::incomplete) << n;
}

TEST(ProxyHeader, RefusesGarbageAtItsFirstByte) {
  EXPECT_EQ(parse_proxy_header("G").status, ProxyHeader::Status::invalid);
  EXPECT_EQ(parse_proxy_header("PROXY TCP4 1.2.3.4").status, ProxyHeader::Status::invalid);
  EXPECT_EQ(parse_proxy_header(std::string_view("\r\n\r\nx")).status, ProxyHeader::Status::invalid);
}

TEST(ProxyHeader, RefusesWrongVersionsCommandsFamiliesAndLengths) {
  std::string version = proxy(1, 0x11, kIpv4Body);
  version[12] = 0x11;
  EXPECT_EQ(parse_proxy_header(version).status, ProxyHeader::Status::invalid);
  EXPECT_EQ(parse_proxy_header(proxy(2, 0x11, kIpv4Body)).status, ProxyHeader::Status::invalid);
  EXPECT_EQ(parse_proxy_header(proxy(1, 0x41, kIpv4Body)).status, ProxyHeader::Status::invalid);
  EXPECT_EQ(parse_proxy_header(proxy(1, 0x11, "short")).status, ProxyHeader::Status::invalid);
  EXPECT_EQ(parse_proxy_header(proxy(1, 0x11, std::string(2000, 'x'))).status, ProxyHeader::Status::invalid);
}

// ---- memory

TEST(Connection, AnIdleTcpConnectionIsSmall) {
  EXPECT_LT(sizeof(Connection), 448U);  // plus a pointer in the table and an entry in the wheel: under 512 bytes
}
TEST(Connection, AnIdleWebSocketAddsLittle) {
  EXPECT_LT(sizeof(Layers), 256U);  // its codec context is lent, not owned
}

}  // namespace
}  // namespace barid::edge
