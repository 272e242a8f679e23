// One partition of groups in this worker's hands: the core, and its Port onto the broker. Belongs to the fan-out's
// loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/config.h"
#include "broker/lane.h"
#include "broker/nats_link.h"
#include "workers/fanout/core.h"

namespace barid::fanout {

class Owned final : public Port {
 public:
  using Doubt = std::function<void(const std::string& why)>;  // the stream can't be trusted any more: take over anew

  Owned(Partition partition, Epoch epoch, const Config& config, broker::NatsLink& link, Doubt doubt);
  ~Owned() override;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  const std::string& deliver_subject() const { return deliver_subject_; }
  void start();  // consumes
  bool consuming() const { return subscription_ != 0; }
  const Core& core() const { return core_; }
  Partition partition() const { return partition_; }
  Epoch epoch() const { return epoch_; }

  void on_tick(TimePoint now) { core_.on_tick(now); }
  // Returns when it is to be called again, at the latest.
  TimePoint end_turn(TimePoint now, WallMs wall);
  void look_at_lag();  // asks the broker what waits for us in the stream
  std::uint64_t lag_batches() const { return waiting_batches_ + core_.hands(); }

 private:
  // The shortest time between two batches to one partition of users, so that the messages of many groups share them:
  // the broker's price, and the owner's, is by the batch. A message that comes alone leaves at once.
  static constexpr std::chrono::microseconds kBatchInterval{4'000};

  // Port
  void publish(Partition to, const Envelope& envelope, Tag tag) override;
  void bury_raw(std::string_view batch, Tag tag) override;
  void ask_snapshot(GroupId group, StreamSeq before, Ask ask) override;
  void acknowledge(StreamSeq seq) override;

  void doubt(const std::string& why);
  void on_message(const broker::Message& message);

  Partition partition_;
  Epoch epoch_;
  broker::NatsLink& link_;
  Doubt on_doubt_;
  bool doubted_ = false;  // from then on nothing is taken from the stream
  Core core_;
  std::string deliver_subject_;
  broker::NatsLink::Subscription subscription_ = 0;
  std::uint64_t waiting_batches_ = 0;  // in the stream, not given to us yet, when the broker was last asked
  std::uint64_t next_delivery_ = 1;    // consumer sequence that must come next
  std::unordered_map<StreamSeq, std::string> ack_subjects_;     // of batches in hand
  std::vector<std::unique_ptr<broker::Lane>> lanes_;            // by partition of users
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // replies that come after our end are dropped
};

}  // namespace barid::fanout
