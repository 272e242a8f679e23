// Content as another person's client made it. Input: one byte (bit 0: the rest is to be packed first), then
// content.
#include "fuzz.h"
#include "schemas/vectors/bridge.h"

namespace barid::fuzz {
std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string& content : vector_bytes("content")) {
    all.push_back(std::string(1, '\0') + content);
    all.push_back(std::string(1, '\1') + unpack(content));
  }
  return all;
}
}  // namespace barid::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace barid;
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 1) != 0) bytes = fuzz::pack(bytes);
  const auto content = content::decode(bytes);
  if (!content) return 0;
  const auto again = content::encode(*content);
  if (!again) {
    fuzz::require(again.error() == content::Errc::too_large, "what was valid stays valid");
    return 0;
  }
  const auto second = content::decode(*again);
  fuzz::require(second.has_value(), "content that was decoded and encoded is decoded again");
  fuzz::require(vectors::to_json(*second) == vectors::to_json(*content), "and says the same");
  return 0;
}
