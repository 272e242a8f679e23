// A seeded simulation: the real fan-out core between a fake stream, a fake directory and fake partitions. The scheduler
// picks one possible thing after another at random; the core is killed and started again, snapshots come late or not at
// all, what was published may be durable without the core ever hearing of it. run() throws Failure as soon as a promise
// is broken. One thread; the same seed is the same run.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tests/unit/delivery_sim_parts.h"
#include "workers/fanout/core.h"

namespace barid::fanout::sim {

using delivery::sim::Failure;
using delivery::sim::Rng;

struct Tally {  // so that the test can prove that the simulation meets what it is meant to meet
  std::uint64_t messages = 0, events = 0, reads = 0, refused = 0, resent = 0, kills = 0, snapshots = 0, failed = 0,
                repeats = 0, removed = 0, added = 0, left_out = 0;
};

class World final : public Port {
 public:
  World(std::uint64_t seed, bool tracing);
  void run();
  const Tally& tally() const { return tally_; }

 private:
  static constexpr std::uint16_t kPartitions = 2;
  static constexpr std::size_t kRestRounds = 3'000;

  struct State {  // of a group, from the place of its version on
    std::map<UserId, wire::GroupRole> members;
    bool only_admins_send = false;
    StreamSeq place;
  };
  struct Group {
    GroupId id;
    std::vector<State> versions;  // index: version
  };
  struct User {
    UserId id;
    std::vector<DeviceId> devices;  // now
  };
  enum class What : std::uint8_t { message, event, read };
  struct Item {  // an envelope of the stream, at its first place
    What what{};
    std::size_t group{};
    StreamSeq place{};
    UserId from{};
    DeviceId from_device{};
    std::uint64_t seq = 0;
    std::string frame{};
    DeviceId author{};  // of a read notice
    bool resent = false;
    std::set<DeviceId> got{};  // durably
    bool refused = false;      // durably
  };
  struct Stored {
    std::string bytes;
    std::vector<std::size_t> items;
    bool repeat = false;
    bool acknowledged = false;  // by the present core
    bool gone = false;          // the broker knows
  };
  struct Expansion {
    std::string frame;
    std::vector<Recipient> recipients;
    envelope::Kind kind;
    GroupId group;
    DeviceId to_device;
    Tag tag;
  };

  // Port
  void publish(Partition to, const Envelope& envelope, Tag tag) override;
  void bury_raw(std::string_view, Tag) override { throw Failure("nothing here is unreadable"); }
  void ask_snapshot(GroupId group, StreamSeq before, Ask ask) override { asks_.push_back({group, before, ask}); }
  void acknowledge(StreamSeq seq) override;

  void note(const std::string& what) const {
    if (tracing_) std::fprintf(stderr, "%s\n", what.c_str());
  }
  void start();
  void kill();
  void step();
  void everything_once();
  void give();
  void land(std::size_t lane, bool hears);
  void hear();
  void answer_ask();
  void land_acknowledgement();
  void turn(milliseconds later);

  // people and the directory
  void append(std::vector<std::size_t> items, bool repeat = false);
  void write();
  void read();
  void resend();
  void change();
  void first_version(std::size_t group);
  void publish_event(std::size_t group, wire::GroupEvent event, State state);
  const State& state_at(std::size_t group, StreamSeq place) const;
  User& someone() { return users_[rng_.below(users_.size())]; }
  User& user(UserId id) { return users_[id.value - 1]; }
  bool may_send(const Item& item) const;

  // the judge
  std::set<UserId> who_should_get(const Item& item) const;
  bool came_later(DeviceId device, const Item& item) const;
  void judge_item(const Item& item, const char* when);
  void judge_letter(Item& item, const Recipient& to, Partition partition);
  void judge_receipt(const Expansion& expansion);

  Rng rng_;
  bool tracing_, faults_ = true;
  CoreConfig config_;
  unsigned failing_percent_, left_out_percent_, kill_percent_, resend_percent_;
  std::size_t hands_max_;
  Tally tally_;
  TimePoint now_{std::chrono::hours(1)};
  WallMs wall_{1'700'000'000'000};
  std::unique_ptr<Core> core_;

  std::vector<User> users_;
  std::map<DeviceId, std::uint64_t> next_seq_;
  std::map<DeviceId, UserId> every_device_;  // that ever was
  std::map<DeviceId, StreamSeq> born_;       // of those that replaced another: the place of the first event about it
  std::uint64_t next_device_ = 100;
  std::vector<Group> groups_;
  std::vector<Item> items_;
  std::map<std::string, std::size_t> item_of_;  // by frame
  std::vector<Stored> stream_;                  // sequence: index + 1
  std::size_t next_ = 0, in_hand_ = 0;
  std::deque<Expansion> lanes_[kPartitions];
  std::deque<Tag> durable_;  // the core has not heard
  std::deque<StreamSeq> acknowledgements_;
  struct Asked {
    GroupId group;
    StreamSeq before;
    Ask number;
  };
  std::vector<Asked> asks_;
  std::map<std::pair<DeviceId, std::size_t>, StreamSeq> last_;                     // (device, group): place
  std::set<std::tuple<DeviceId, std::size_t, UserId, std::uint64_t>> read_known_;  // author, group, reader, seq
};

}  // namespace barid::fanout::sim
