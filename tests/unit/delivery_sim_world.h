// A seeded simulation: the real delivery core in a fake world of one partition. The scheduler picks one possible thing
// after another at random; every effect of the core waits in a queue and comes back in any order that the real
// parts allow. World::run() first lets faults rain, then stops them, brings everybody online and waits for rest; it
// throws Failure as soon as a promise is broken. One thread; the same seed is the same run.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/unit/delivery_sim_parts.h"

namespace barid::delivery::sim {

struct Tally {  // so that the test can prove that the simulation meets what it is meant to meet
  std::uint64_t letters = 0, shown = 0, repeats = 0, takeovers = 0, parked = 0, drained = 0, kicked = 0, buried = 0,
                expired = 0, gone = 0, blocked = 0, lost_bus = 0, gaps = 0, repeated_publishes = 0, late_publishes = 0,
                refused = 0, swept = 0, redelivered = 0, group_letters = 0, group_receipts = 0, losses = 0;
};

class World {
 public:
  World(std::uint64_t seed, bool tracing);
  ~World();
  void run();
  const Tally& tally() const { return tally_; }
  const std::deque<std::string>& trace() const { return trace_; }

 private:
  struct Owner;  // one ownership of the partition: a Core, and its effects under way
  static constexpr std::size_t kTraceLines = 4'000;
  static constexpr std::size_t kRestRounds = 600;

  template <class... Parts>
  void note(const Parts&... parts);

  // the scheduler
  void chaos();
  void calm();
  void random_step();
  void everything_once();
  std::string unrest() const;
  void pass(milliseconds by) { now_ += by; }
  WallMs wall() const;

  // the owner and the broker
  void take_over();
  void crash_owner();
  void after_event();
  void give_batch();
  void redeliver();
  void step_lane(Lane& lane);
  void start_batch(Lane& lane);
  std::optional<StreamSeq> store(const std::optional<Address>& inbox, const std::string& bytes, const std::string& id);
  void answer(Lane& lane);
  void land_late();
  void answer_read();
  void land_delete(bool lost);
  void land_acknowledgement();
  void land_burial();
  void sweep();
  void tick();
  StreamSeq append_ingress(std::string bytes, bool readable);

  // edges
  void heartbeats();
  void edge_hears_of_owner(std::size_t edge);
  void announce_all(std::size_t edge);
  void open_session(std::size_t connection);
  void close_at_edge(std::size_t connection, bool tell_owner);
  template <class T>
  void tell_owner(std::size_t edge, T what);
  void to_owner_arrives(std::size_t edge);
  void to_edge_arrives(std::size_t edge);
  void lose_bus_message();
  void kill_edge();
  std::size_t live_edge();

  // people
  void connect(Device& device);
  void read_frame(Device& device);
  void acknowledge(Device& device);
  void vanish(Device& device);
  void write_letter(Device& device);
  void write_to_group(Device& device);
  void write_read_receipt(Device& device, const Truth& of);
  void post(Device& device);
  void resend_old();
  UserId user_of(DeviceId device) const;
  void toggle_block();
  void revoke();
  void bury_garbage();

  // the broker's losses
  void copy_store();
  void lose_store();
  void recount();
  void offer_again(Device& device);

  // the judge
  void judge_shown(Device& device, Truth& letter, const std::string& frame);
  void take_receipt(Device& device, const wire::Receipt& receipt, const std::string& frame);
  void take_group_receipt(Device& device, const wire::GroupReceipt& receipt, const std::string& frame);
  template <class Do>
  void each_named(DeviceId author, const wire::GroupReceipt& receipt, Do&& what);
  void show(Device& device, const std::string& frame);
  void judge_replaced(ConnId conn) const;
  void judge_publish(const Envelope& receipt);
  void receipt_is_durable(const Envelope& receipt);
  void judge_acknowledged(std::size_t index);
  void judge_deleted(const Address& of, StreamSeq seq);
  bool accounted_for(const Envelope& e, std::size_t own_copies) const;
  bool solid(const Truth& letter) const;
  bool block_in_force(const Truth& letter) const;
  void judge_end();
  std::string name_of(const Truth& letter) const;
  static std::string key_of(const Envelope& e);
  void count_copies(const std::string& bytes, int by);
  Truth* find(DeviceId from, std::uint64_t seq, DeviceId to);

  Rng rng_;
  bool tracing_;
  bool faults_ = true;
  bool reads_fail_ = false;  // for a while longer than the other faults: nothing else may have to wake a reader
  Profile profile_{};
  std::deque<std::string> trace_;
  Tally tally_;
  TimePoint now_{std::chrono::hours(1)};
  std::int64_t wall_offset_ = 1'700'000'000'000;

  Directory directory_;
  CoreConfig config_;
  std::unique_ptr<Owner> owner_;
  std::uint64_t epoch_ = 0, worker_ = 0, next_conn_ = 1;
  std::map<std::pair<std::uint64_t, std::size_t>, std::uint64_t> expected_;  // (worker, edge): number

  std::vector<IngressMessage> ingress_;  // sequence: index + 1
  std::map<DeviceId, std::map<std::uint64_t, InboxMessage>> inboxes_;
  std::uint64_t inbox_seq_ = 0;
  std::map<std::string, std::uint64_t> stored_ids_;
  std::vector<LatePublish> late_;
  struct Store {
    std::vector<IngressMessage> ingress;
    std::map<DeviceId, std::map<std::uint64_t, InboxMessage>> inboxes;
    std::uint64_t inbox_seq = 0;
    std::map<std::string, std::uint64_t> ids;
  } store_copy_;
  std::unordered_map<std::string, int> copies_;  // of a letter, in streams, not acknowledged and not deleted

  std::vector<Edge> edges_;
  std::vector<Connection> connections_;
  std::vector<Device> devices_;
  std::vector<Truth> letters_;
  std::map<std::tuple<DeviceId, std::uint64_t, DeviceId>, std::size_t> letter_of_;  // from, number, to
  std::map<std::pair<DeviceId, DeviceId>, std::uint64_t> last_shown_;
  std::unordered_set<std::string> receipts_seen_;              // by key_of
  std::map<std::pair<UserId, UserId>, std::uint64_t> blocks_;  // (who, whom): number of the block in force
  std::uint64_t block_no_ = 0, garbage_ = 0;
};

}  // namespace barid::delivery::sim
