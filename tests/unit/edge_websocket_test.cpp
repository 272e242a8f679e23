#include "edge/websocket.h"

#include <gtest/gtest.h>

#include <random>

namespace barid::edge {
namespace {

// ---- the upgrade

const std::string kRequest =
    "GET /v1?x=1 HTTP/1.1\r\nHost: example.org\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

std::string status_of(std::string request, WebSocketUpgrade::Status expected = WebSocketUpgrade::Status::refused) {
  WebSocketUpgrade upgrade;
  std::size_t used = 0;
  std::string out;
  EXPECT_EQ(upgrade.receive(request, used, out), expected);
  return out.substr(0, 12);
}
std::string replaced(std::string text, std::string_view from, std::string_view to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(WebSocketUpgrade, AnswersTheKeyOfTheSpecification) {  // RFC 6455, 1.3
  WebSocketUpgrade upgrade;
  std::size_t used = 0;
  std::string out;
  ASSERT_EQ(upgrade.receive(kRequest + "\x82\x80", used, out), WebSocketUpgrade::Status::upgraded);
  EXPECT_EQ(used, kRequest.size()) << "what follows belongs to the frames";
  EXPECT_NE(out.find("101 Switching Protocols"), std::string::npos);
  EXPECT_NE(out.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
}

TEST(WebSocketUpgrade, WorksByteByByte) {
  WebSocketUpgrade upgrade;
  std::string out;
  auto status = WebSocketUpgrade::Status::incomplete;
  for (std::size_t i = 0; i < kRequest.size(); ++i) {
    ASSERT_EQ(status, WebSocketUpgrade::Status::incomplete) << i;
    std::size_t used = 0;
    status = upgrade.receive(kRequest.substr(i, 1), used, out);
    ASSERT_EQ(used, 1U);
  }
  EXPECT_EQ(status, WebSocketUpgrade::Status::upgraded);
}

TEST(WebSocketUpgrade, RefusesWhatIsNotAnUpgradeWithTheRightStatus) {
  EXPECT_EQ(status_of(replaced(kRequest, "/v1?x=1", "/admin")), "HTTP/1.1 404");
  EXPECT_EQ(status_of(replaced(kRequest, "GET", "POST")), "HTTP/1.1 405");
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 426");
  EXPECT_EQ(status_of(replaced(kRequest, "Version: 13", "Version: 8")), "HTTP/1.1 426");
  EXPECT_EQ(status_of(replaced(kRequest, "dGhlIHNhbXBsZSBub25jZQ==", "short")), "HTTP/1.1 400");
  EXPECT_EQ(status_of(replaced(kRequest, "HTTP/1.1", "HTTP/1.0")), "HTTP/1.1 400");
  EXPECT_EQ(status_of(std::string("\x01\x02\x00\x00garbage", 11)), "HTTP/1.1 400");
}

TEST(WebSocketUpgrade, BoundsTheRequest) {
  WebSocketUpgrade upgrade;
  std::string out = "";
  std::size_t used = 0;
  auto status = upgrade.receive("GET / HTTP/1.1\r\n", used, out);
  for (int i = 0; i < 200 && status == WebSocketUpgrade::Status::incomplete; ++i)
    status = upgrade.receive("X-Filler: " + std::string(90, 'x') + "\r\n", used, out);
  EXPECT_EQ(status, WebSocketUpgrade::Status::refused);
  EXPECT_EQ(out.substr(0, 12), "HTTP/1.1 431");
}

// ---- frames

std::string frame(int opcode, std::string payload, bool fin = true, bool masked = true, int rsv = 0) {
  std::string out;
  out.push_back(static_cast<char>((fin ? 0x80 : 0) | (rsv << 4) | opcode));
  const int mask_bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    out.push_back(static_cast<char>(mask_bit | static_cast<int>(payload.size())));
  } else if (payload.size() < 65'536) {
    out.push_back(static_cast<char>(mask_bit | 126));
    out.push_back(static_cast<char>(payload.size() >> 8));
    out.push_back(static_cast<char>(payload.size() & 0xff));
  } else {
    out.push_back(static_cast<char>(mask_bit | 127));
    for (int shift = 56; shift >= 0; shift -= 8)
      out.push_back(static_cast<char>(static_cast<std::uint64_t>(payload.size()) >> shift));
  }
  if (masked) {
    const char key[4] = {0x11, 0x22, 0x33, 0x44};
    out.append(key, 4);
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(payload[i] ^ key[i % 4]);
  }
  return out + payload;
}

class EdgeWebSocket : public ::testing::Test {
 protected:
  // Until the codec has nothing more to say; messages end up in messages_.
  WebSocketCodec::Status feed(std::string_view bytes) {
    while (true) {
      const auto status = codec_.receive(state_, bytes, data_, out_);
      if (status != WebSocketCodec::Status::message_ended) return status;
      messages_.push_back(std::exchange(data_, {}));
    }
  }
  int close_code() const {
    for (std::size_t i = 0; i + 3 < out_.size(); ++i)
      if (static_cast<unsigned char>(out_[i]) == 0x88)
        return (static_cast<unsigned char>(out_[i + 2]) << 8) | static_cast<unsigned char>(out_[i + 3]);
    return 0;
  }
  WebSocketCodec codec_;
  WebSocketState state_;
  std::string data_, out_;
  std::vector<std::string> messages_;
};

TEST_F(EdgeWebSocket, TakesSeveralMessagesOfOneRead) {
  const std::string big(70'000, 'b');
  EXPECT_EQ(feed(frame(2, "one") + frame(2, std::string(300, 'a')) + frame(2, big)), WebSocketCodec::Status::open);
  EXPECT_EQ(messages_, (std::vector<std::string>{"one", std::string(300, 'a'), big}));
}

TEST_F(EdgeWebSocket, PutsFragmentsTogetherAndAnswersPingsBetweenThem) {
  EXPECT_EQ(feed(frame(2, "he", false) + frame(9, "p") + frame(0, "ll", false) + frame(0, "o")),
            WebSocketCodec::Status::open);
  EXPECT_EQ(messages_, std::vector<std::string>{"hello"});
  EXPECT_EQ(out_, std::string("\x8a\x01p"));
}

TEST_F(EdgeWebSocket, ARestingConnectionOwnsNoContext) {
  feed(frame(2, "hello"));
  EXPECT_EQ(state_.context, nullptr);
  const std::string bytes = frame(2, "hello");
  feed(bytes.substr(0, 3));
  EXPECT_NE(state_.context, nullptr) << "in the middle of a header";
  feed(bytes.substr(3));
  EXPECT_EQ(state_.context, nullptr);
  EXPECT_EQ(messages_.size(), 2U);
}

TEST_F(EdgeWebSocket, ConnectionsInTheMiddleOfFramesDoNotDisturbEachOther) {
  WebSocketState other;
  std::string other_data;
  const std::string bytes = frame(2, "first"), more = frame(2, "second");
  feed(bytes.substr(0, 8));
  std::string_view half = std::string_view(more).substr(0, 9);
  EXPECT_EQ(codec_.receive(other, half, other_data, out_), WebSocketCodec::Status::open);
  feed(bytes.substr(8));
  std::string_view rest = std::string_view(more).substr(9);
  EXPECT_EQ(codec_.receive(other, rest, other_data, out_), WebSocketCodec::Status::message_ended);
  EXPECT_EQ(messages_, std::vector<std::string>{"first"});
  EXPECT_EQ(other_data, "second");
}

TEST_F(EdgeWebSocket, RefusesTextAndOversizeAndProtocolErrorsWithTheirCloseCode) {
  const struct {
    std::string bytes;
    int code;
  } cases[] = {
      {frame(1, "text"), 1003},
      {frame(2, std::string(WebSocketCodec::kMessageBytesMax + 1, 'x')), 1009},
      {frame(2, std::string(100'000, 'x'), false) + frame(0, std::string(100'000, 'x')), 1009},
      {frame(2, "x", true, false), 1002},            // not masked
      {frame(2, "x", true, true, 4), 1002},          // reserved bit
      {frame(0, "x"), 1002},                         // continues nothing
      {frame(2, "x", false) + frame(2, "y"), 1002},  // begins inside a message
      {frame(9, "x", false), 1002},                  // fragmented ping
      {frame(3, "x"), 1002},                         // unknown opcode
      {frame(11, "x"), 1002},
  };
  for (const auto& c : cases) {
    state_ = {};
    data_.clear();
    out_.clear();
    EXPECT_EQ(feed(c.bytes), WebSocketCodec::Status::failed);
    EXPECT_EQ(close_code(), c.code);
  }
}

TEST_F(EdgeWebSocket, AnswersGoodbyeOnce) {
  EXPECT_EQ(feed(frame(8, std::string("\x03\xe8", 2))), WebSocketCodec::Status::closed);
  EXPECT_EQ(close_code(), 1000);
  const std::size_t size = out_.size();
  codec_.append_close(state_, CloseCode::policy, out_);
  EXPECT_EQ(out_.size(), size);
}

TEST_F(EdgeWebSocket, AnyCutIntoReadsGivesTheSameMessages) {
  std::mt19937 random(20240101);
  std::string bytes;
  std::vector<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    std::string message(random() % 9000, static_cast<char>('a' + i % 26));
    const std::size_t cut = message.empty() ? 0 : random() % message.size();
    if (random() % 2 != 0) {
      bytes += frame(2, message.substr(0, cut), false) + frame(9, "x") + frame(0, message.substr(cut));
    } else {
      bytes += frame(2, message);
    }
    expected.push_back(std::move(message));
  }
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t n = std::min<std::size_t>(1 + random() % 5000, bytes.size() - at);
    ASSERT_EQ(feed(std::string_view(bytes).substr(at, n)), WebSocketCodec::Status::open);
    at += n;
  }
  EXPECT_EQ(messages_, expected);
  EXPECT_EQ(state_.context, nullptr);
}

TEST_F(EdgeWebSocket, GarbageEndsInAnErrorOrWaitsButNeverGrows) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    state_ = {};
    data_.clear();
    out_.clear();
    std::string bytes(1 + random() % 3000, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    feed(bytes);
    ASSERT_LE(data_.size(), bytes.size());
  }
}

TEST_F(EdgeWebSocket, WritesServerFramesOfEverySizeClass) {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{125}, std::size_t{126}, std::size_t{65'535}, std::size_t{65'536}}) {
    std::string out;
    codec_.append_message(std::string(size, 'm'), out);
    EXPECT_EQ(out, frame(2, std::string(size, 'm'), true, false)) << size;
  }
}

}  // namespace
}  // namespace barid::edge
