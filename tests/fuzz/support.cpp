#include <capnp/serialize-packed.h>
#include <kj/io.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "fuzz.h"
#include "schemas/vectors/bridge.h"

namespace barid::fuzz {

std::string pack(std::string_view words) {
  std::vector<std::uint64_t> aligned((words.size() + 7) / 8);
  std::copy(words.begin(), words.end(), reinterpret_cast<char*>(aligned.data()));
  kj::VectorOutputStream out;
  kj::BufferedOutputStreamWrapper buffered(out);
  capnp::_::PackedOutputStream(buffered).write(aligned.data(), aligned.size() * 8);
  buffered.flush();
  return {out.getArray().asChars().begin(), out.getArray().size()};
}

std::string unpack(std::string_view packed) {
  kj::ArrayInputStream input({reinterpret_cast<const kj::byte*>(packed.data()), packed.size()});
  capnp::_::PackedInputStream unpacker(input);
  std::string words(
      capnp::computeUnpackedSizeInWords({reinterpret_cast<const kj::byte*>(packed.data()), packed.size()}) * 8, '\0');
  std::vector<std::uint64_t> aligned(words.size() / 8);
  unpacker.read(aligned.data(), words.size());
  std::copy_n(reinterpret_cast<const char*>(aligned.data()), words.size(), words.begin());
  return words;
}

std::vector<std::string> vector_bytes(const std::string& name) {
  std::ifstream file(std::string(BARID_VECTORS_DIR) + "/" + name + ".json");
  if (!file) throw std::runtime_error("cannot read " + name + ".json");
  const auto json = nlohmann::json::parse(file);
  std::vector<std::string> bytes;
  const auto take = [&](const nlohmann::json& entry) {
    bytes.push_back(vectors::unhex(entry.at("hex").get<std::string>()));
  };
  if (json.is_array()) {
    for (const auto& entry : json) take(entry);
  } else {
    take(json);
  }
  return bytes;
}

}  // namespace barid::fuzz
