// Private to schemas/: bounded reading and scratch-space building of Cap'n Proto messages.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize-packed.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include <cstring>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/limits.h"

namespace barid::codec {

inline constexpr std::size_t kScratchWords = limits::kUnpackedBytesMax / sizeof(capnp::word);

// The limit serves twice: a message that unpacks to more is refused before anything is allocated for it, and structs
// that many pointers share cannot be read over and over.
inline capnp::ReaderOptions bounded() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = kScratchWords;
  options.nestingLimit = limits::kNestingMax;
  return options;
}

// Scratch of this thread: one message is built or read at a time, so no allocation in the common case.
inline kj::ArrayPtr<capnp::word> build_scratch() {
  thread_local auto words = kj::heapArray<capnp::word>(kScratchWords);
  thread_local bool zeroed = false;
  if (!zeroed) {  // builders want zeros and leave zeros behind
    std::memset(words.begin(), 0, words.size() * sizeof(capnp::word));
    zeroed = true;
  }
  return words;
}
inline kj::ArrayPtr<capnp::word> read_scratch() {
  thread_local auto words = kj::heapArray<capnp::word>(kScratchWords);
  return words;
}

inline kj::ArrayPtr<const kj::byte> bytes(std::string_view s) {
  return {reinterpret_cast<const kj::byte*>(s.data()), s.size()};
}
inline capnp::Data::Reader as_data(std::string_view s) { return capnp::Data::Reader(bytes(s)); }
inline std::string_view view(capnp::Data::Reader d) { return {reinterpret_cast<const char*>(d.begin()), d.size()}; }
inline std::string_view view(capnp::Text::Reader t) { return {t.begin(), t.size()}; }
inline capnp::Text::Reader text(const std::string& s) { return capnp::Text::Reader(s.c_str(), s.size()); }

// Reads one packed message. Throws kj::Exception on anything malformed or too large. Unpacks everything before anything
// is read: Cap'n Proto's own PackedMessageReader reads on in its destructor, and writes what it finds wrong there to
// standard error, a line for each hostile frame.
template <class Root, class Use>
void read_packed(std::string_view payload, Use&& use) {
  const auto packed = bytes(payload);
  const std::size_t size = capnp::computeUnpackedSizeInWords(packed);
  KJ_REQUIRE(size <= kScratchWords, "the message is too large");
  auto words = read_scratch().slice(0, size);
  kj::ArrayInputStream input(packed);
  capnp::_::PackedInputStream(input).read(words.begin(), size * sizeof(capnp::word));
  capnp::FlatArrayMessageReader reader(words, bounded());
  KJ_REQUIRE(reader.getEnd() == words.end(), "bytes after the message");
  use(reader.template getRoot<Root>());
}

class StringOutput final : public kj::BufferedOutputStream {
 public:
  explicit StringOutput(std::string& out) : out_(out) {}
  kj::ArrayPtr<kj::byte> getWriteBuffer() override { return kj::arrayPtr(buffer_, sizeof buffer_); }
  void write(const void* p, std::size_t n) override { out_.append(static_cast<const char*>(p), n); }

 private:
  std::string& out_;
  kj::byte buffer_[4096];
};

// Copies unaligned bytes to where capnp may read them. Valid until the next call on this thread.
inline kj::ArrayPtr<const capnp::word> aligned(std::string_view bytes_in) {
  thread_local kj::Array<capnp::word> words;
  const std::size_t count = (bytes_in.size() + 7) / 8;
  if (words.size() < count) words = kj::heapArray<capnp::word>(count);
  if (!bytes_in.empty()) std::memcpy(words.begin(), bytes_in.data(), bytes_in.size());
  return words.slice(0, bytes_in.size() / 8);
}

}  // namespace barid::codec
