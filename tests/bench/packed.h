// The four frames of the message path, written and read without Cap'n Proto's library, from docs/protocol.md alone: the
// generator shares its cores with the server that it measures, so a frame may cost it tens of nanoseconds. All other
// frames go through schemas/wire.h. bench_packed_test.cpp holds the two against each other. Any thread, no allocation
// but the output's own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "schemas/wire.h"

namespace barid::bench {

void append_send(std::string& out, std::uint64_t seq, const wire::Address& to, std::int64_t sent_at_ms,
                 std::string_view content, wire::SendKind kind = wire::SendKind::message);
void append_ack(std::string& out, std::uint64_t up_to);

// One unpacked message at a time; its views live until the next open().
class PackedReader {
 public:
  PackedReader() : words_(new std::uint64_t[kWordsMax]) {}

  bool open(std::string_view payload);        // false: malformed
  std::uint64_t word(unsigned index) const {  // of the root struct's data; absent reads as zero
    return index < data_count_ ? data_[index] : 0;
  }
  std::string_view bytes(unsigned pointer) const;  // a Data field; empty when null or malformed

  // A list of Range, element by element.
  struct Ranges {
    const std::uint64_t* words = nullptr;
    std::uint32_t count = 0, stride = 0;
    SeqRange operator[](std::uint32_t i) const {
      const std::uint64_t* at = words + std::size_t{i} * stride;
      return {at[0], static_cast<std::uint32_t>(at[1])};
    }
  };
  Ranges ranges(unsigned pointer) const;

 private:
  static constexpr std::size_t kWordsMax = limits::kUnpackedBytesMax / 8;
  bool unpack(std::string_view payload);
  // The word that a pointer's offset leads to, if `needed` words from there are in the message.
  const std::uint64_t* follow(const std::uint64_t* pointer, std::size_t needed) const;

  std::unique_ptr<std::uint64_t[]> words_;
  std::size_t count_ = 0;
  const std::uint64_t *data_ = nullptr, *pointers_ = nullptr;
  unsigned data_count_ = 0, pointer_count_ = 0;
};

}  // namespace barid::bench
