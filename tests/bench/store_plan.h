// Messages for users who are away: a few senders write to many recipients who are offline (park), then the recipients
// come back and take what waits for them (drain). Owner: the runner; lives on one crowd's thread.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/bench/content.h"
#include "tests/bench/run.h"

namespace barid::bench {

class StorePlan final : public Scenario {
 public:
  static constexpr std::uint32_t kSenders = 16;
  static constexpr std::uint64_t kSendWindow = 64;

  struct Return {
    std::uint32_t logins_under_way = 128;
    bool stay = true;  // else each recipient leaves with its mail, so that there may be more than files
    bool measured = true;
  };

  StorePlan(const Options& options, Control& control, const Mint& mint, Return how);

  void attach(Crowd& crowd) override;
  Verdict judge() const override;
  std::int64_t come_back_ns() const { return back_last_ - back_first_; }  // first Welcome to last message
  std::uint64_t messages() const { return std::uint64_t{recipients_} * each_; }

  std::int64_t on_turn(std::int64_t now) override;
  void on_online(Client& client) override;
  void on_accepted(Client& client, std::uint64_t first, std::uint64_t count) override;
  void on_refused(Client& client, std::uint64_t seq, std::uint32_t retry_after_ms, std::string_view why) override;
  void on_message(Client& client, const From& from, std::uint64_t seq, std::string_view content) override;
  void on_delivered(Client& client, std::uint64_t first, std::uint64_t count) override;
  void on_trouble(Client& client, std::string_view what) override;
  void on_gone(Client& client) override;

 private:
  // Sender s writes to recipients s, s + kSenders, … in turn, then all over again: `each_` rounds.
  struct Route {
    std::uint32_t recipient = 0, round = 0;
  };
  std::uint32_t recipients_of(std::uint32_t sender) const { return (recipients_ - sender - 1) / kSenders + 1; }
  Route route_of(std::uint32_t sender, std::uint64_t seq) const;
  std::uint64_t quota_of(std::uint32_t sender) const { return std::uint64_t{recipients_of(sender)} * each_; }

  void send_some(Client& sender);
  void put(Client& sender, std::uint64_t seq);
  void resume(std::int64_t now);
  void come_back();
  void leave_slot(Client& client);

  const Options options_;
  Control& control_;
  const Return how_;
  const std::uint32_t recipients_, each_;
  ContentMaker content_;
  std::vector<Identity> identities_;  // senders, then recipients
  std::vector<Tracker> rounds_;       // by recipient: what it has got
  std::vector<std::uint8_t> has_first_;
  std::vector<Client*> refused_, free_;
  Crowd* crowd_ = nullptr;
  std::uint32_t senders_online_ = 0, returned_ = 0, logging_in_ = 0, complete_ = 0;
  bool primed_ = false;
  std::int64_t kept_alive_ = 0, back_first_ = 0, back_last_ = 0;
};

}  // namespace barid::bench
