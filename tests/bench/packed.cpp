#include "tests/bench/packed.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"

namespace barid::bench {
namespace {

static_assert(std::endian::native == std::endian::little, "words are written as they lie in memory");

constexpr std::uint64_t struct_pointer(std::int32_t offset, std::uint64_t data, std::uint64_t pointers) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(offset) << 2) | data << 32 | pointers << 48;
}
constexpr std::uint64_t byte_list_pointer(std::int32_t offset, std::uint64_t count) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(offset) << 2 | 1U) | std::uint64_t{2} << 32 |
         count << 35;
}

std::size_t begin_frame(std::string& out, wire::FrameType type) {
  const std::size_t start = out.size();
  const char header[limits::kFrameHeaderBytes] = {static_cast<char>(limits::kProtocolVersion), static_cast<char>(type)};
  out.append(header, sizeof header);
  return start;
}
void end_frame(std::string& out, std::size_t start) {
  const std::size_t length = out.size() - start - limits::kFrameHeaderBytes;
  BARID_ASSERT(length <= limits::kPayloadBytesMax);
  out[start + 2] = static_cast<char>(length >> 8);
  out[start + 3] = static_cast<char>(length & 0xff);
}

// Word by word; runs are never joined, which costs a byte a word and no time.
void pack_words(std::string& out, const std::uint64_t* words, std::size_t count) {
  char packed[10];
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t word = words[i];
    unsigned tag = 0;
    std::size_t used = 1;
    for (unsigned bit = 0; bit < 8; ++bit, word >>= 8) {
      const auto byte = static_cast<std::uint8_t>(word);
      packed[used] = static_cast<char>(byte);
      const unsigned set = byte != 0 ? 1 : 0;
      tag |= set << bit;
      used += set;
    }
    packed[0] = static_cast<char>(tag);
    if (tag == 0 || tag == 0xff) packed[used++] = 0;  // no further words in this run
    out.append(packed, used);
  }
}

// Content has few zero bytes: unpacked runs of up to 256 words, the last one padded with zeros.
void pack_content(std::string& out, std::string_view content) {
  constexpr std::size_t kRunBytes = std::size_t{256} * 8;
  while (!content.empty()) {
    const std::string_view run = content.substr(0, kRunBytes);
    content.remove_prefix(run.size());
    const std::size_t words = (run.size() + 7) / 8;
    char first[10] = {static_cast<char>(0xff)};
    std::memcpy(first + 1, run.data(), std::min<std::size_t>(8, run.size()));
    first[9] = static_cast<char>(words - 1);
    out.append(first, sizeof first);
    if (run.size() > 8) out.append(run.substr(8));
    const std::size_t padding = words * 8 - std::max<std::size_t>(run.size(), 8);
    out.append(padding, '\0');
  }
}

}  // namespace

void append_send(std::string& out, std::uint64_t seq, const wire::Address& to, std::int64_t sent_at_ms,
                 std::string_view content, wire::SendKind kind) {
  const std::uint64_t content_words = (content.size() + 7) / 8;
  const std::uint64_t words[11] = {(10 + content_words) << 32,  // one segment, its size without this word
                                   struct_pointer(0, 3, 3),
                                   seq,
                                   static_cast<std::uint64_t>(kind),  // and the server's time to live
                                   static_cast<std::uint64_t>(sent_at_ms),
                                   struct_pointer(2, 3, 0),
                                   byte_list_pointer(4, content.size()),
                                   0,  // no ranges
                                   to.user.value,
                                   to.device.value,
                                   to.tag};
  const std::size_t start = begin_frame(out, wire::FrameType::send);
  pack_words(out, words, 11);
  pack_content(out, content);
  end_frame(out, start);
}

void append_ack(std::string& out, std::uint64_t up_to) {
  const std::uint64_t words[3] = {std::uint64_t{2} << 32, struct_pointer(0, 1, 0), up_to};
  const std::size_t start = begin_frame(out, wire::FrameType::ack);
  pack_words(out, words, 3);
  end_frame(out, start);
}

bool PackedReader::unpack(std::string_view payload) {
  const auto* in = reinterpret_cast<const std::uint8_t*>(payload.data());
  const auto* end = in + payload.size();
  std::size_t count = 0;
  const auto room = [&](std::size_t words) { return count + words <= kWordsMax; };
  while (in < end) {
    const unsigned tag = *in++;
    if (tag == 0) {
      if (in == end || !room(std::size_t{1} + *in)) return false;
      const std::size_t words = std::size_t{1} + *in++;
      std::memset(&words_[count], 0, words * 8);
      count += words;
    } else if (tag == 0xff) {
      if (end - in < 9) return false;
      const std::size_t more = in[8];
      if (static_cast<std::size_t>(end - in) < 9 + more * 8 || !room(1 + more)) return false;
      std::memcpy(&words_[count], in, 8);
      std::memcpy(&words_[count + 1], in + 9, more * 8);
      in += 9 + more * 8;
      count += 1 + more;
    } else {
      if (end - in < std::popcount(tag) || !room(1)) return false;
      std::uint64_t word = 0;
      for (unsigned bit = 0; bit < 8; ++bit)
        if ((tag >> bit & 1U) != 0) word |= static_cast<std::uint64_t>(*in++) << (8 * bit);
      words_[count++] = word;
    }
  }
  count_ = count;
  return true;
}

const std::uint64_t* PackedReader::follow(const std::uint64_t* pointer, std::size_t needed) const {
  const std::int64_t offset = static_cast<std::int32_t>(static_cast<std::uint32_t>(*pointer)) >> 2;
  const std::int64_t at = (pointer - words_.get()) + 1 + offset;
  if (at < 1 || static_cast<std::size_t>(at) + needed > count_) return nullptr;
  return words_.get() + at;
}

bool PackedReader::open(std::string_view payload) {
  data_count_ = pointer_count_ = 0;
  if (!unpack(payload) || count_ < 2) return false;
  if (static_cast<std::uint32_t>(words_[0]) != 0 || (words_[0] >> 32) + 1 != count_) return false;  // one segment
  const std::uint64_t root = words_[1];
  if ((root & 3U) != 0) return false;
  const auto data = static_cast<unsigned>(root >> 32 & 0xffff), pointers = static_cast<unsigned>(root >> 48);
  data_ = follow(&words_[1], std::size_t{data} + pointers);
  if (data_ == nullptr) return false;
  data_count_ = data;
  pointers_ = data_ + data;
  pointer_count_ = pointers;
  return true;
}

std::string_view PackedReader::bytes(unsigned pointer) const {
  if (pointer >= pointer_count_) return {};
  const std::uint64_t p = pointers_[pointer];
  if (p == 0 || (p & 3U) != 1 || (p >> 32 & 7U) != 2) return {};
  const std::size_t size = p >> 35;
  const auto* at = follow(&pointers_[pointer], (size + 7) / 8);
  if (at == nullptr) return {};
  return {reinterpret_cast<const char*>(at), size};
}

PackedReader::Ranges PackedReader::ranges(unsigned pointer) const {
  if (pointer >= pointer_count_) return {};
  const std::uint64_t p = pointers_[pointer];
  if (p == 0 || (p & 3U) != 1 || (p >> 32 & 7U) != 7) return {};
  const std::size_t words = p >> 35;
  const auto* at = follow(&pointers_[pointer], words + 1);
  if (at == nullptr) return {};
  const auto count = static_cast<std::uint32_t>(static_cast<std::uint32_t>(*at) >> 2);
  const auto stride = static_cast<std::uint32_t>((*at >> 32 & 0xffff) + (*at >> 48));
  if (stride < 2 || std::uint64_t{count} * stride > words) return {};
  return {at + 1, count, stride};
}

}  // namespace barid::bench
