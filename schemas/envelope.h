// What the durable streams hold. A Batch is one JetStream message: envelopes of one partition (ingress) or of
// one device (inbox). Encoded unpacked. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::envelope {

enum class Kind : std::uint8_t { message = 0, receipt = 1, event = 2 };

// A view: `frame` points into the batch that it came from, or into whatever the producer keeps.
struct Envelope {
  UserId from_user;
  DeviceId from_device;
  std::uint64_t seq = 0;  // of from_device; 0 for a receipt that the server made itself
  UserId to_user;
  DeviceId to_device;
  WallMs accepted_at, expires_at;
  Kind kind = Kind::message;
  std::uint8_t attempts = 0;  // sessions that were given it and did not acknowledge it
  std::string_view frame;     // complete client frame, header included

  MessageId id() const { return {from_device, seq}; }
};

// Appends nothing else: `out` is replaced. Origin and number name the batch in traces.
void encode_batch(std::string& out, std::uint64_t origin, std::uint64_t number, const std::vector<Envelope>& envelopes);

// A decoded batch owns its bytes; its envelopes stay valid as long as it lives, wherever it is moved.
class Batch {
 public:
  enum class Errc { malformed };
  static Result<Batch, Errc> decode(std::string_view bytes);
  const std::vector<Envelope>& envelopes() const { return envelopes_; }
  std::uint64_t origin() const { return origin_; }
  std::uint64_t number() const { return number_; }

 private:
  std::unique_ptr<std::uint64_t[]> words_;
  std::vector<Envelope> envelopes_;
  std::uint64_t origin_ = 0, number_ = 0;
};

}  // namespace barid::envelope
