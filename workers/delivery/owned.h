// One partition in this worker's hands: the core, and its Port onto the broker and the bus. Belongs to the owner's
// loop.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/config.h"
#include "broker/continuity.h"
#include "broker/lane.h"
#include "broker/nats_link.h"
#include "workers/delivery/core.h"
#include "workers/delivery/edges.h"
#include "workers/delivery/parks.h"
#include "workers/delivery/presence_link.h"
#include "workers/delivery/receipt_lanes.h"

namespace barid::delivery {

class Owned final : public Port {
 public:
  static constexpr std::size_t kDeletesUnderWay = 4, kDeletesBurst = 64;
  static constexpr std::size_t kDeletesHeldMax = 65'536;  // beyond it they leave whatever is under way
  static constexpr milliseconds kDeleteHold{50};
  static constexpr std::size_t kKeptBytes = 96 << 20;         // copies of parked letters, all partitions together
  using Doubt = std::function<void(const std::string& why)>;  // the stream can't be trusted any more: take over anew

  Owned(Partition partition, Epoch epoch, const Config& config, const Directory& directory, broker::NatsLink& link,
        Edges& edges, ReceiptLanes& receipts, broker::HighWater& high_water, Doubt doubt);
  ~Owned() override;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  const std::string& deliver_subject() const { return deliver_subject_; }
  void start_when_announced(TimePoint latest) { start_by_ = latest; }
  bool consuming() const { return subscription_ != 0; }
  Core& core() { return core_; }
  Presence& presence() { return presence_.core(); }
  Partition partition() const { return partition_; }
  Epoch epoch() const { return epoch_; }

  void on_tick(TimePoint now);
  void end_turn(TimePoint now, WallMs wall, bool under_load);  // receipts are made, parked letters leave
  void look_at_lag();                                          // asks the broker what waits for us in the stream
  std::uint64_t lag_batches() const { return waiting_batches_ + core_.ingress_hands(); }
  void sweep(WallMs wall);  // looks at the head of the next inbox stream for expired letters

 private:
  // Port
  void deliver(EdgeRef edge, ConnId conn, std::string_view frame) override;
  void kick(EdgeRef edge, ConnId conn, wire::Code code) override;
  void park(const Address& to, const Envelope& letter, Tag tag) override;
  void publish_receipt(const Envelope& receipt, Tag tag) override;
  void bury(const Envelope& letter, wire::Code reason, Tag tag) override;
  void bury_raw(std::string_view batch, Tag tag) override;
  void acknowledge(StreamSeq ingress) override;
  void read_inbox(const Address& of, StreamSeq from, std::uint64_t read) override;
  void delete_from_inbox(const Address& of, StreamSeq seq) override;
  void session_changed(UserId user, bool open) override;

  void doubt(const std::string& why);
  bool all_edges_announced() const;
  void start();
  void on_message(const broker::Message& message);
  void on_inbox_reply(const Address& of, std::uint64_t read, const broker::Message* reply);
  void sweep_on(std::uint16_t shard, StreamSeq from);
  void flush_deletes(TimePoint now);
  void send_oldest_deletes();

  Partition partition_;
  Epoch epoch_;
  const Config& config_;
  broker::NatsLink& link_;
  Edges& edges_;
  ReceiptLanes& receipts_;
  ReceiptLanes::From from_;  // our receipts
  Doubt on_doubt_;
  bool doubted_ = false;  // from then on nothing is taken from the stream
  Core core_;
  PresenceLink presence_;
  std::string deliver_subject_;
  broker::NatsLink::Subscription subscription_ = 0;
  TimePoint start_by_ = TimePoint::max();
  std::uint64_t next_delivery_ = 1;                          // consumer sequence that must come next
  std::unordered_map<StreamSeq, std::string> ack_subjects_;  // of batches in hand
  std::map<wire::Code, std::unique_ptr<broker::Lane>> dead_lanes_;
  Parks parks_;
  // Deletions of what devices took out of their inboxes, in bursts of one device, latest first: so the broker need not
  // look for the device's next one each time. If they are lost, the
  // letters are given again after a takeover, and dropped by the device.
  struct Deletes {
    Address of;
    std::vector<StreamSeq> seqs;
    TimePoint since{};
  };
  std::unordered_map<DeviceId, Deletes> deletes_;
  std::deque<DeviceId> delete_order_;
  std::size_t deletes_held_ = 0, deletes_under_way_ = 0;
  std::uint16_t sweep_shard_ = 0;
  std::uint64_t waiting_batches_ = 0;  // in the stream, not given to us yet, when the broker was last asked
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // replies that come after our end are dropped
};

}  // namespace barid::delivery
