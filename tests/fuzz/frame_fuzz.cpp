// Frames as a peer sends them. Input: one byte of mode (bit 0: what follows the type is to be packed first),
// one of type, then the payload; mode 2: a raw byte stream for split().
#include "fuzz.h"
#include "schemas/vectors/bridge.h"

namespace barid::fuzz {

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (const std::string& frame : vector_bytes("frames")) {
    const std::string type(1, frame[1]), payload = frame.substr(limits::kFrameHeaderBytes);
    all.push_back(std::string(1, '\0') + type + payload);
    all.push_back(std::string(1, '\1') + type + unpack(payload));
    all.push_back(std::string(1, '\2') + frame + frame);
  }
  return all;
}

namespace {

// What can be read can be said again, unless it says the same bytes so often that it no longer fits a frame.
bool may_not_fit(const wire::Frame& frame) {
  if (const auto* response = std::get_if<wire::Response>(&frame))
    return std::holds_alternative<wire::Contacts>(response->body) ||
           std::holds_alternative<wire::Devices>(response->body);
  if (const auto* send = std::get_if<wire::Send>(&frame)) return !send->content.empty() && !send->ranges.empty();
  return std::holds_alternative<wire::Request>(frame);
}

void decode_one(const wire::RawFrame& raw) {
  const auto frame = wire::decode(raw);
  if (!frame || may_not_fit(*frame)) return;
  const std::string again = vectors::encode_frame(*frame);
  const auto second = wire::decode(*wire::split(again));
  require(second.has_value(), "a frame that was decoded and encoded is decoded again");
  require(vectors::to_json(*second) == vectors::to_json(*frame), "and says the same");
}

}  // namespace
}  // namespace barid::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace barid;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (size < 2) return 0;
  if ((data[0] & 2) != 0) {
    input.remove_prefix(1);
    while (const auto raw = wire::split(input)) {
      fuzz::require(raw->bytes >= limits::kFrameHeaderBytes && raw->bytes <= input.size(), "split() makes progress");
      fuzz::decode_one(*raw);
      input.remove_prefix(raw->bytes);
    }
    return 0;
  }
  std::string payload(input.substr(2));
  if ((data[0] & 1) != 0) payload = fuzz::pack(payload);
  if (payload.size() > limits::kPayloadBytesMax) return 0;
  fuzz::decode_one({limits::kProtocolVersion, static_cast<wire::FrameType>(data[1]), payload, payload.size() + 4});
  return 0;
}
