// Groups whose members are devices of their own: some of them write, all acknowledge, and every copy and every gathered
// receipt is accounted for. The groups are made by requests of their first members. Owner: the runner; lives on one
// crowd's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "tests/bench/content.h"
#include "tests/bench/group_order.h"
#include "tests/bench/run.h"

namespace barid::bench {

class GroupPlan final : public Scenario {
 public:
  static constexpr std::uint32_t kConnectsUnderWay = 256;
  static constexpr std::uint32_t kRequestsUnderWay = 4;   // of the plan: fewer than one connection may have
  static constexpr std::uint32_t kUsersPerRequest = 256;  // a group grows by so many
  static constexpr std::uint64_t kSendWindow = 64;        // not yet accepted (docs/protocol.md, section 6)
  static constexpr std::uint32_t kOpenLoopInFlight = 64;  // of one writer, then its schedule waits
  static constexpr std::size_t kBehindMax = 1'024;        // messages that one writer may be late with
  static constexpr std::uint32_t kJoinsUnderWay = 16;     // of rooms, on a peer

  // Member k of group g is user (g · members + k) mod users; members 0 to writers - 1 write.
  struct Shape {
    std::uint32_t groups = 1, members = 256, writers = 8, users = 256;
    std::uint32_t in_flight = 4;  // of each writer in each group, until the last member has the message
    double rate = 0;              // open loop: messages a second of all groups
    std::int64_t pause_ns = 0;    // closed loop: quiet before a writer's next message
    bool others_away = false;     // who does not write connects in Stage::come_back
  };

  // The first user is number `first` of the run.
  GroupPlan(const Options& options, Control& control, const Shape& shape, std::uint32_t first,
            std::vector<Identity> identities);

  void attach(Crowd& crowd) override;
  Verdict judge() const override;

  // For the main thread.
  bool ready() const { return ready_.load(std::memory_order_relaxed); }  // all groups are made, members know of them
  std::uint64_t progress() const { return progress_.get(); }             // grows while they are being made
  std::uint64_t events_of_the_away() const { return away_events_.get(); }
  std::int64_t last_sent_ns() const { return static_cast<std::int64_t>(last_sent_.get()); }
  std::uint32_t present() const { return shape_.others_away ? shape_.writers : shape_.users; }

  std::int64_t on_turn(std::int64_t now) override;
  void on_online(Client& client) override;
  void on_accepted(Client& client, std::uint64_t first, std::uint64_t count) override;
  void on_refused(Client& client, std::uint64_t seq, std::uint32_t retry_after_ms, std::string_view why) override;
  void on_message(Client& client, const From& from, std::uint64_t seq, std::string_view content) override;
  void on_delivered(Client& client, std::uint64_t first, std::uint64_t count) override;
  void on_response(Client& client, const wire::Response& response) override;
  void on_group_event(Client& client, const wire::GroupEvent& event) override;
  void on_group_receipt(Client& client, const wire::GroupReceipt& receipt) override;
  void on_joined(Client& client) override;
  void on_trouble(Client& client, std::string_view what) override;
  void on_gone(Client& client) override;

 private:
  struct Group {
    wire::Address address;
    std::uint64_t version = 0;
    std::uint32_t asked = 0, added = 0;   // members in requests so far, in answers so far
    std::vector<std::uint64_t> versions;  // by member: of the last event
    GroupOrder order;
  };
  struct Under {
    std::int64_t intended_ns = 0;
    std::uint32_t left = 0;  // members who do not have it
  };
  struct Writer {  // one member in one group
    std::uint32_t group = 0, member = 0;
    std::uint64_t next = 1;  // its messages in this group, counted
    std::uint32_t in_flight = 0;
    std::int64_t not_before = 0;
    std::vector<Under> under;                // ring by number
    std::deque<std::int64_t> due;            // open loop: late ones
    std::vector<Tracker> arrived, receipts;  // by member
  };
  struct Sent {  // what a device's number stands for
    std::uint32_t writer = 0;
    std::uint64_t number = 0;
  };

  struct News {  // an event before all groups were made
    std::uint32_t client;
    GroupId group;
    std::uint64_t version;
  };

  bool sending() const { return control_.stage.load(std::memory_order_relaxed) == Stage::send; }
  std::uint32_t copies_of_each() const { return shape_.members - (echo_ ? 0 : 1); }
  std::uint32_t user_of(std::uint32_t group, std::uint32_t member) const {
    return static_cast<std::uint32_t>((std::uint64_t{group} * shape_.members + member) % shape_.users);
  }
  std::uint32_t member_of(std::uint32_t group, std::uint32_t user) const {  // shape_.members or more: none
    return static_cast<std::uint32_t>((user + shape_.users - std::uint64_t{group} * shape_.members % shape_.users) %
                                      shape_.users);
  }

  void connect_some();
  void make_some();
  void ask(std::uint32_t group);
  void join_some();
  bool all_know();
  bool may_send(const Writer& w, std::int64_t now) const;
  void fill(Writer& w, std::int64_t now);
  void run_schedule(std::int64_t now);
  void send_next(Writer& w, std::int64_t intended_ns);
  void put(Client& client, std::uint64_t seq);
  void resume(std::int64_t now);
  void keep_alive(std::int64_t now);
  bool all_settled() const;
  Under& under(Writer& w, std::uint64_t number) const { return w.under[number & (w.under.size() - 1)]; }

  const Options options_;
  Control& control_;
  const Shape shape_;
  const std::uint32_t first_, in_flight_max_;
  std::vector<Identity> identities_;
  ContentMaker content_;
  Crowd* crowd_ = nullptr;
  bool echo_ = false;
  std::vector<Group> groups_;
  std::vector<Writer> writers_;
  std::vector<std::vector<Sent>> sent_;  // by client: of number first_seq, …
  std::unordered_map<std::uint64_t, std::uint32_t> group_index_, user_index_;
  std::uint32_t begun_ = 0, online_ = 0, next_to_make_ = 0, requests_ = 0, made_ = 0, joins_ = 0, joined_ = 0;
  std::vector<News> news_;  // as many as members and requests make
  std::vector<Client*> refused_;
  std::vector<Writer*> behind_;
  std::int64_t schedule_start_ = 0, kept_alive_ = 0, looked_ = 0;
  std::uint64_t schedule_at_ = 0;
  std::atomic<bool> ready_{false};
  Counter progress_, away_events_, last_sent_;
};

}  // namespace barid::bench
