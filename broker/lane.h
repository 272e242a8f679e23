// Adaptive group commit onto one stream subject: one batch under way at a time, all that is added meanwhile
// rides in the next. A lone envelope leaves at the next flush. A batch whose fate is unknown is published
// again under the same message id before anything newer, so order on the subject is the order of add().
// Belongs to its loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/nats_link.h"
#include "schemas/envelope.h"

namespace barid::broker {

class Lane {
 public:
  static constexpr std::size_t kBatchLarge = 256;  // envelopes
  using Tag = std::uint64_t;                       // the caller's name for an envelope
  struct Callbacks {
    // In order of add(). The batch is durable; seq is its place in the stream.
    std::function<void(const std::vector<Tag>&, StreamSeq)> on_durable;
    // JetStream refused the batch for good: these, under way and waiting, are not stored.
    std::function<void(const std::vector<Tag>&, const std::string& why)> on_refused;
  };
  enum class WhenFull {
    refuse,      // a full stream is a refusal: the sender is told (edges)
    keep_trying  // a full stream passes: only a full subject is a refusal (owners, who must not give up a
                 // letter)
  };

  // origin: who publishes, random per process and lane: part of the message id, "<origin hex>-<number>".
  Lane(NatsLink& link, std::string subject, std::uint64_t origin, Callbacks callbacks,
       WhenFull when_full = WhenFull::refuse);
  ~Lane();  // whatever is under way is forgotten, its callbacks never run
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Copies the frame and the recipients. False: limits::kOpenBatchBytesMax is waiting already, nothing was added
  // (backpressure). A lane that keeps trying always takes it: what its owner adds is bounded by the batches in the
  // owner's hand.
  [[nodiscard]] bool add(const envelope::Envelope& envelope, Tag tag);
  // Publishes what is waiting, unless a batch is under way; call once a turn. A batch leaves no sooner than `interval`
  // after the last, unless it is large: the broker's price is by the batch, so under load, when other turns follow
  // soon, patience pays. A lone envelope never waits with an interval of 0.
  void flush(TimePoint now, std::chrono::microseconds interval = {});
  bool idle() const;               // nothing waiting, nothing under way
  bool empty() const;              // nothing waiting
  void aim(std::string subject);   // at another subject; only while idle
  std::string_view batch() const;  // what on_durable tells of, valid inside it
  std::size_t waiting() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace barid::broker
