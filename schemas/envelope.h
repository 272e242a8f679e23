// What the durable streams hold. A Batch is one JetStream message: envelopes of one partition (ingress) or of
// one device (inbox). Encoded unpacked. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::envelope {

enum class Kind : std::uint8_t { message = 0, receipt = 1, event = 2 };

struct Recipient {
  UserId user;
  DeviceId device;
  bool operator==(const Recipient&) const = default;
};

// A view: `frame` and `recipients` point into the batch that it came from, or into whatever the producer keeps.
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
  GroupId group{};            // 0: one to one
  // Not empty: the envelope is for these, and to_user and to_device mean nothing. Only where a batch is made: a decoded
  // batch shows one envelope for each recipient, all over the same frame.
  std::span<const Recipient> recipients{};

  MessageId id() const { return {from_device, seq}; }
};

// Appends nothing else: `out` is replaced. Origin and number name the batch in traces. What limits::kBatchEnvelopesMax,
// kBatchLettersMax and kEnvelopeRecipientsMax forbid is written, and refused by whoever reads it.
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
