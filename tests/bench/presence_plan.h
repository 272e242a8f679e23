// A storm of people who come and go, and others who watch them: how often is a watching client told? Watchers stay
// online, each with as many users in its Watch as fit; the users log in and out for ever, staying away for longer than
// the server's grace. Owner: the runner; lives on one crowd's thread.
#pragma once

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "tests/bench/run.h"

namespace barid::bench {

class PresencePlan final : public Scenario {
 public:
  static constexpr std::uint32_t kLoginsAtOnce = 256;
  static constexpr std::int64_t kMs = 1'000'000, kOnlineMs = 4'000, kAwayMs = 14'000, kJitterMs = 8'000;

  // What was told in the measured time.
  struct Told {
    std::uint64_t frames = 0, entries = 0;
    double frames_per_watcher_per_s = 0;
    std::uint64_t most_in_a_second = 0;  // frames of one watcher within any one second
    std::int64_t shortest_gap_ms = 0;    // between two frames of one watcher
  };

  PresencePlan(const Options& options, Control& control, std::vector<Identity> identities)
      : options_(options), control_(control), identities_(std::move(identities)), random_(options.seed) {
    watchers_ = watchers_for(options.clients);
  }
  static std::uint32_t watchers_for(std::uint32_t users) {
    return (users + limits::kWatchUsersMax - 1) / static_cast<std::uint32_t>(limits::kWatchUsersMax);
  }
  std::uint32_t watchers() const { return watchers_; }

  void attach(Crowd& crowd) override {
    crowd_ = &crowd;
    for (std::uint32_t i = 0; i < watchers_ + options_.clients; ++i) crowd.add(i, &identities_[i]);
    times_.resize(watchers_);
    for (std::uint32_t i = watchers_; i < crowd.size(); ++i) due_.emplace_back(0, i);
    std::shuffle(due_.begin(), due_.end(), random_);
  }
  Verdict judge() const override { return {}; }

  std::int64_t on_turn(std::int64_t now) override {
    const Stage stage = control_.stage.load(std::memory_order_relaxed);
    if (stage == Stage::connect) {
      while (next_watcher_ < watchers_ && logging_in_ < kLoginsAtOnce) begin(crowd_->at(next_watcher_++));
    } else if (stage == Stage::send) {
      if (started_ == 0) start(now);
      while (!due_.empty() && due_.front().first <= now && logging_in_ < kLoginsAtOnce) {
        std::pop_heap(due_.begin(), due_.end(), std::greater<>());
        const std::uint32_t who = due_.back().second;
        due_.pop_back();
        Client& client = crowd_->at(who);
        if (client.state == ClientState::offline) {
          begin(client);
        } else {
          closing_ = true;
          crowd_->close_now(client);
          closing_ = false;
          later(who, now, kAwayMs);
        }
      }
    } else {
      tally.done = stage;
    }
    return 5 * kMs;
  }
  void on_online(Client& client) override {
    client.state = ClientState::online;
    --logging_in_;
    tally.online.add();
    if (client.index < watchers_) return watch(client);
    tally.latency.record(crowd_->turn_now() - client.since_ns);
    later(client.index, crowd_->turn_now(), kOnlineMs);
  }
  void on_presence(Client& client, std::size_t entries) override {
    if (client.index >= watchers_) return unexpected();
    tally.delivered.add();
    times_[client.index].emplace_back(crowd_->turn_now(), entries);
  }
  void on_gone(Client&) override {
    if (!closing_) control_.fail("a connection ended that should not have");
  }
  void on_trouble(Client&, std::string_view what) override { control_.fail("a login failed: " + std::string(what)); }
  void on_accepted(Client&, std::uint64_t, std::uint64_t) override { unexpected(); }
  void on_refused(Client&, std::uint64_t, std::uint32_t, std::string_view) override { unexpected(); }
  void on_message(Client&, const From&, std::uint64_t, std::string_view) override { unexpected(); }
  void on_delivered(Client&, std::uint64_t, std::uint64_t) override { unexpected(); }

  // After the crowd has stopped. Times as of now_ns().
  Told told(std::int64_t from, std::int64_t to) const {
    Told all;
    std::int64_t gap = to - from;
    for (const auto& frames : times_) {
      std::size_t first = 0;
      for (std::size_t i = 0; i < frames.size(); ++i) {
        if (frames[i].first < from || frames[i].first >= to) continue;
        ++all.frames, all.entries += frames[i].second;
        if (i > 0) gap = std::min(gap, frames[i].first - frames[i - 1].first);
        while (frames[i].first - frames[first].first >= 1'000 * kMs) ++first;
        all.most_in_a_second = std::max<std::uint64_t>(all.most_in_a_second, i - first + 1);
      }
    }
    all.shortest_gap_ms = gap / kMs;
    all.frames_per_watcher_per_s = static_cast<double>(all.frames) / watchers_ / (static_cast<double>(to - from) / 1e9);
    return all;
  }

 private:
  void begin(Client& client) {
    ++logging_in_;
    crowd_->connect(client);
  }
  // Spread over one life, so that the storm is even from its start.
  void start(std::int64_t now) {
    started_ = now;
    for (auto& [at, who] : due_) at = now + static_cast<std::int64_t>(random_() % (kAwayMs + kJitterMs)) * kMs;
    std::make_heap(due_.begin(), due_.end(), std::greater<>());
  }
  void later(std::uint32_t who, std::int64_t now, std::int64_t ms) {
    due_.emplace_back(now + (ms + static_cast<std::int64_t>(random_() % kJitterMs)) * kMs, who);
    std::push_heap(due_.begin(), due_.end(), std::greater<>());
  }
  void watch(Client& client) {
    wire::Watch watch;
    const std::size_t first = watchers_ + client.index * limits::kWatchUsersMax;
    for (std::size_t i = first; i < std::min(first + limits::kWatchUsersMax, identities_.size()); ++i)
      watch.users.push_back(identities_[i].address.user);
    wire::append(client.out, watch);
    crowd_->touch(client);
  }
  void unexpected() { tally.corrupted.add(); }

  const Options options_;
  Control& control_;
  std::vector<Identity> identities_;
  std::mt19937_64 random_;
  Crowd* crowd_ = nullptr;
  std::uint32_t watchers_ = 0, next_watcher_ = 0, logging_in_ = 0;
  std::int64_t started_ = 0;
  std::vector<std::pair<std::int64_t, std::uint32_t>> due_;               // a heap: when a user comes or goes next
  std::vector<std::vector<std::pair<std::int64_t, std::size_t>>> times_;  // of a watcher's frames, with their entries
  bool closing_ = false;                                                  // it is we who end a connection
};

}  // namespace barid::bench
