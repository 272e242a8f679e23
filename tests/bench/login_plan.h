// Logs in as often as it can: connect, challenge, signature, Welcome, and away, a number of them at once. Owner: the
// runner; lives on one crowd's thread.
#pragma once

#include <utility>
#include <vector>

#include "tests/bench/run.h"

namespace barid::bench {

class LoginPlan final : public Scenario {
 public:
  static constexpr std::uint32_t kUsers = 10'000;  // in turn, so that none comes again while its last session is open

  LoginPlan(const Options& options, Control& control, std::vector<Identity> identities)
      : options_(options), control_(control), identities_(std::move(identities)) {}

  void attach(Crowd& crowd) override {
    crowd_ = &crowd;
    for (std::uint32_t i = 0; i < options_.clients; ++i) idle_.push_back(&crowd.add(i, nullptr));
  }
  Verdict judge() const override { return {}; }

  std::int64_t on_turn(std::int64_t) override {
    closing_ = true;
    for (Client* client : welcome_) crowd_->close_now(*client);
    closing_ = false;
    welcome_.clear();
    const Stage stage = control_.stage.load(std::memory_order_relaxed);
    if (stage == Stage::send) {
      for (Client* client : idle_) {
        client->identity = &identities_[next_++ % identities_.size()];
        crowd_->connect(*client);
      }
      idle_.clear();
    }
    tally.done = idle_.size() == options_.clients ? stage : Stage::connect;
    return 5'000'000;
  }
  void on_online(Client& client) override {
    client.state = ClientState::online;
    tally.online.add();
    tally.delivered.add();
    tally.latency.record(crowd_->turn_now() - client.since_ns);
    welcome_.push_back(&client);
  }
  void on_gone(Client& client) override {
    if (!closing_) control_.fail("a connection ended before its Welcome");
    idle_.push_back(&client);
  }
  void on_trouble(Client&, std::string_view what) override { control_.fail("a login failed: " + std::string(what)); }
  void on_accepted(Client&, std::uint64_t, std::uint64_t) override { unexpected(); }
  void on_refused(Client&, std::uint64_t, std::uint32_t, std::string_view) override { unexpected(); }
  void on_message(Client&, const From&, std::uint64_t, std::string_view) override { unexpected(); }
  void on_delivered(Client&, std::uint64_t, std::uint64_t) override { unexpected(); }

 private:
  void unexpected() { tally.corrupted.add(); }

  const Options options_;
  Control& control_;
  std::vector<Identity> identities_;
  Crowd* crowd_ = nullptr;
  std::vector<Client*> idle_, welcome_;
  std::size_t next_ = 0;
  bool closing_ = false;  // it is we who end a connection
};

}  // namespace barid::bench
