// What a push consumer says with each message, in the subject that acknowledges it. Pure.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace barid::broker {

struct AckMeta {
  std::uint64_t delivered = 0, stream_seq = 0, consumer_seq = 0;
  std::uint64_t stored_ns = 0;  // when the message became durable: nanoseconds since 1970, the broker's clock
};

inline std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>; two tokens more before the
// stream when there is a domain. (NATS ADR-15.)
inline AckMeta read_ack_subject(std::string_view subject) {
  std::array<std::string_view, 12> tokens{};
  std::size_t count = 0;
  while (count < tokens.size()) {
    const auto dot = subject.find('.');
    tokens[count++] = subject.substr(0, dot);
    if (dot == std::string_view::npos) break;
    subject.remove_prefix(dot + 1);
  }
  const std::size_t shift = count > 9 ? 2 : 0;
  return {number(tokens[4 + shift]), number(tokens[5 + shift]), number(tokens[6 + shift]), number(tokens[7 + shift])};
}

}  // namespace barid::broker
