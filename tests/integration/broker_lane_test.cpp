// Lanes on the real nats-server: full, killed, and back.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "broker/control.h"
#include "broker/lane.h"
#include "broker/topology.h"
#include "tests/support/servers.h"

namespace barid::broker {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::PrivateNats;

constexpr std::size_t kFrameBytes = 60'000;

class Lanes : public testing::Test {
 protected:
  static void SetUpTestSuite() { crypto::init_crypto(); }
  void start(const std::string& file_store_max = {}) {
    nats_ = std::make_unique<PrivateNats>(file_store_max);
    config_.url = nats_->url();
    config_.inbox_shards = 1;
    control_ = std::make_unique<Control>(config_, "test");
    apply_topology(*control_, config_, MessagesConfig{});
    link_ = std::make_unique<NatsLink>(loop_, config_, "test", [](bool) {});
    loop_.every(5ms, [this] {
      if (done_() || steady_now() > latest_) loop_.stop();
    });
    loop_.at_turn_end([this] {
      for (Lane* lane : lanes_) lane->flush(steady_now());
      link_->flush();
      link_->expire_requests(loop_.now());
    });
  }
  std::unique_ptr<Lane> lane(Lane::WhenFull when_full) {
    auto made = std::make_unique<Lane>(*link_, ingress_subject(Partition(0)), crypto::random_u64(),
                                       Lane::Callbacks{[this](const auto& tags, StreamSeq) {
                                                         durable_.insert(durable_.end(), tags.begin(), tags.end());
                                                       },
                                                       [this](const auto& tags, const std::string&) {
                                                         refused_.insert(refused_.end(), tags.begin(), tags.end());
                                                       }},
                                       when_full);
    lanes_.push_back(made.get());
    return made;
  }
  void add(Lane& lane, Lane::Tag tag) {
    envelope::Envelope e;
    e.seq = tag;
    e.frame = frame_;
    ASSERT_TRUE(lane.add(e, tag));
  }
  // Runs the loop until the condition holds. A loop runs once.
  bool run_until(std::function<bool()> done) {
    done_ = std::move(done);
    latest_ = steady_now() + 60s;
    loop_.run();
    return done_();
  }
  std::size_t stored_batches() {
    return json::parse(control_->js_api("STREAM.INFO.INGRESS_0", "")).at("state").at("messages").get<std::size_t>();
  }

  Loop loop_;
  NatsConfig config_;
  std::unique_ptr<PrivateNats> nats_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<NatsLink> link_;
  std::vector<Lane*> lanes_;
  std::vector<Lane::Tag> durable_, refused_;
  std::function<bool()> done_;
  TimePoint latest_{};
  std::string frame_ = std::string(kFrameBytes, 'x');
};

TEST_F(Lanes, AFullBrokerRefusesAtOnceWhatAnEdgeAddsSoThatItsSendersAreTold) {
  start("4MB");
  const auto edge = lane(Lane::WhenFull::refuse);
  Lane::Tag next = 0;
  const bool told = run_until([&] {
    if (refused_.empty() && edge->idle())
      for (int i = 0; i < 10; ++i) add(*edge, ++next);
    return !refused_.empty();
  });
  EXPECT_TRUE(told);
  // What is durable and what was refused are all there is, each once, in order.
  std::vector<Lane::Tag> all = durable_;
  all.insert(all.end(), refused_.begin(), refused_.end());
  ASSERT_EQ(all.size(), next);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], i + 1);
}

TEST_F(Lanes, AnOwnersLaneWaitsForAFullBrokerAndGoesOnWhenThereIsRoom) {
  start("4MB");
  const auto owner = lane(Lane::WhenFull::keep_trying);
  for (Lane::Tag tag = 1; tag <= 100; ++tag) add(*owner, tag);  // 6 MB
  bool purged = false;
  EXPECT_TRUE(run_until([&] {
    if (!purged && durable_.size() >= 30 && durable_.size() < 100) {
      purged = true;
      control_->js_api("STREAM.PURGE.INGRESS_0", "{}");
    }
    return durable_.size() == 100;
  }));
  EXPECT_TRUE(refused_.empty());
  EXPECT_TRUE(std::is_sorted(durable_.begin(), durable_.end()));
}

TEST_F(Lanes, WhatIsUnderWayWhenTheBrokerIsKilledIsStoredOnceAndInOrder) {
  frame_ = "short";
  start();
  const auto edge = lane(Lane::WhenFull::refuse);
  Lane::Tag next = 0;
  std::size_t batches = 0, kills = 0;
  EXPECT_TRUE(run_until([&] {
    if (next < 300 && edge->idle()) {
      ++batches;
      for (int i = 0; i < 3; ++i) add(*edge, ++next);
      edge->flush(steady_now());
      link_->flush();
      if (batches % 25 == 0 && kills < 3) {  // with a batch under way
        ++kills;
        nats_->kill();
        nats_->start();
      }
    }
    return durable_.size() == 300;
  }));
  EXPECT_EQ(kills, 3U);
  EXPECT_TRUE(refused_.empty());
  for (std::size_t i = 0; i < durable_.size(); ++i) EXPECT_EQ(durable_[i], i + 1);
  EXPECT_EQ(stored_batches(), batches);  // a batch published again is stored once
}

}  // namespace
}  // namespace barid::broker
