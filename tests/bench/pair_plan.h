// Clients in pairs that write to each other: throughput, interactive, many, latency, latency-load, idle, and all that
// is compared with peers. Owner: the runner; lives on one crowd's thread.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/bench/content.h"
#include "tests/bench/run.h"

namespace barid::bench {

class PairPlan final : public Scenario {
 public:
  static constexpr std::uint32_t kConnectsUnderWay = 256;
  static constexpr std::uint64_t kSendWindow = 64;             // not yet accepted (docs/protocol.md, section 6)
  static constexpr std::uint64_t kFirstSendsUnderWay = 1'000;  // when each client sends a given number
  static constexpr std::uint32_t kOpenLoopInFlight =
      1'024;  // of one client, then its schedule waits, and the clock runs
  static constexpr std::int64_t kOpenLoopTurnNs = 200'000;  // what is due within this goes out together

  // Clients first, first + 1, …: `count` of them (even). `share` of options.rate is this plan's.
  PairPlan(const Options& options, Control& control, std::uint32_t first, std::uint32_t count, double rate,
           std::vector<Identity> identities);

  void attach(Crowd& crowd) override;
  Verdict judge() const override;

  std::int64_t on_turn(std::int64_t now) override;
  void on_online(Client& client) override;
  void on_accepted(Client& client, std::uint64_t first, std::uint64_t count) override;
  void on_refused(Client& client, std::uint64_t seq, std::uint32_t retry_after_ms, std::string_view why) override;
  void on_message(Client& client, const From& from, std::uint64_t seq, std::string_view content) override;
  void on_delivered(Client& client, std::uint64_t first, std::uint64_t count) override;
  void on_trouble(Client& client, std::string_view what) override;
  void on_gone(Client& client) override;

 private:
  bool sending() const { return control_.stage.load(std::memory_order_relaxed) == Stage::send; }
  void connect_some();
  void prime();
  void fill(Client& client);
  bool may_send(const Client& client) const;
  void send_next(Client& client, std::int64_t intended_ns);
  void put(Client& client, std::uint64_t seq);
  std::int64_t run_schedule(std::int64_t now);
  void resume(std::int64_t now);
  void arrived(Client& sender, std::uint64_t seq);
  void keep_alive(std::int64_t now);
  bool all_settled() const;
  std::int64_t& intended(Client& client, std::uint64_t seq) const {
    return client.intended_ns[seq & (client.intended_ns.size() - 1)];
  }

  const Options options_;
  Control& control_;
  const std::uint32_t first_, count_;
  const double interval_ns_;  // open loop: between two messages of this plan; 0: closed loop
  const std::uint32_t in_flight_max_;
  std::vector<Identity> identities_;
  ContentMaker content_;
  Crowd* crowd_ = nullptr;
  std::uint32_t begun_ = 0, online_ = 0, primed_ = 0;
  std::int64_t schedule_start_ = 0, kept_alive_ = 0, looked_ = 0;
  std::uint64_t schedule_at_ = 0;  // next message of the schedule
  std::vector<Client*> behind_;    // open loop: could not send on time
  std::vector<Client*> refused_;   // wait to resume
  std::uint32_t alive_at_ = 0;
};

}  // namespace barid::bench
