// What the messages of a run hold: bytes that follow from sender and number, so that a recipient can check every one of
// them. Printable, because XMPP carries text; no zero bytes, because ciphertext has few. Immutable, any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace barid::bench {

struct ContentName {
  std::uint32_t sender = 0;
  std::uint64_t seq = 0;
};

class ContentMaker {
 public:
  static constexpr std::size_t kNameBytes = 24;  // sender, 8 digits; number, 16 digits

  explicit ContentMaker(std::size_t size) : size_(size), pattern_(size + kOffsets, 'a') {
    std::uint32_t x = 2463534242U;  // xorshift32 (Marsaglia 2003)
    for (char& c : pattern_) {
      x ^= x << 13;
      x ^= x >> 17;
      x ^= x << 5;
      c = static_cast<char>('a' + x % 26);
    }
  }

  std::size_t size() const { return size_; }

  // Valid until the next call.
  std::string_view make(std::uint32_t sender, std::uint64_t seq) {
    made_.assign(slice(sender, seq));
    if (size_ >= kNameBytes) {
      put_hex(made_.data(), sender, 8);
      put_hex(made_.data() + 8, seq, 16);
    }
    return made_;
  }

  bool verify(std::string_view content, std::uint32_t sender, std::uint64_t seq) const {
    if (content.size() != size_) return false;
    const std::string_view expected = slice(sender, seq);
    if (size_ < kNameBytes) return content == expected;
    const ContentName name = name_in(content);
    return name.sender == sender && name.seq == seq && content.substr(kNameBytes) == expected.substr(kNameBytes);
  }

  // For protocols that do not say who sent which number. All zero when it can't be read.
  static ContentName name_in(std::string_view content) {
    if (content.size() < kNameBytes) return {};
    return {static_cast<std::uint32_t>(get_hex(content.data(), 8)), get_hex(content.data() + 8, 16)};
  }

 private:
  static constexpr std::size_t kOffsets = 4'096;

  std::string_view slice(std::uint32_t sender, std::uint64_t seq) const {
    return std::string_view(pattern_).substr((seq * 7 + sender * std::uint64_t{13}) % kOffsets, size_);
  }
  static void put_hex(char* out, std::uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; --i, value >>= 4) out[i] = "0123456789abcdef"[value & 15U];
  }
  static std::uint64_t get_hex(const char* in, int digits) {
    std::uint64_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = in[i];
      value = value << 4 | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return value;
  }

  std::size_t size_;
  std::string pattern_, made_;
};

}  // namespace barid::bench
