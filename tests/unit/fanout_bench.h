// A fan-out core on a bench: what it asks of the world is written down, and a test answers as it likes.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/partition.h"
#include "workers/fanout/core.h"

namespace barid::fanout {

inline constexpr GroupId kGroup{700}, kOther{800};
// Users 1, 2, 3 …; the devices of user u are 10·u and, for some, 10·u + 1.
inline UserId user_of(DeviceId device) { return UserId(device.value / 10); }

class Bench : public ::testing::Test, public Port {
 protected:
  struct Published {
    Partition to;
    std::string frame;
    std::vector<Recipient> recipients;
    envelope::Kind kind;
    GroupId group;
    DeviceId from_device;
    std::uint64_t seq;
    UserId to_user;
    DeviceId to_device;
    WallMs expires_at;
    Tag tag;
  };
  struct Asked {
    GroupId group;
    StreamSeq before;
    Ask number;
  };

  void SetUp() override { start(); }
  void start() { core = std::make_unique<Core>(config, *this); }

  // ---- what happens to the core

  Envelope message(std::uint64_t seq, DeviceId from = DeviceId(10), GroupId group = kGroup) {
    Envelope e;
    e.from_device = from, e.from_user = user_of(from), e.to_user = UserId(group.value), e.seq = seq, e.group = group;
    e.accepted_at = wall, e.expires_at = WallMs{wall.value + 3'600'000};
    e.frame = keep("message " + std::to_string(from.value) + "/" + std::to_string(seq));
    return e;
  }
  Envelope read_notice(std::uint64_t seq, DeviceId from, DeviceId author, std::vector<SeqRange> ranges) {
    Envelope e = message(seq, from);
    e.kind = envelope::Kind::receipt;
    e.to_device = author;
    std::string frame;
    wire::append(frame, wire::GroupReceipt{e.group, wire::ReceiptKind::read, 0, {{{e.from_user}, std::move(ranges)}}});
    e.frame = keep(frame);
    return e;
  }
  Envelope event(const wire::GroupEvent& what) {
    Envelope e;
    e.kind = envelope::Kind::event;
    e.from_user = what.actor, e.to_user = UserId(what.group.value);
    std::string frame;
    wire::append(frame, what);
    e.frame = keep(frame);
    return e;
  }
  static wire::GroupEvent change(std::uint64_t version, wire::GroupEventKind kind,
                                 std::vector<std::uint64_t> users = {}, std::vector<std::uint64_t> devices = {}) {
    wire::GroupEvent what;
    what.group = kGroup, what.version = version, what.kind = kind, what.actor = UserId(1);
    for (const std::uint64_t user : users) what.users.emplace_back(user);
    for (const std::uint64_t device : devices) what.devices.push_back({user_of(DeviceId(device)), DeviceId(device)});
    return what;
  }
  static control::GroupSnapshot snapshot(std::uint64_t version, const std::vector<std::uint64_t>& devices) {
    control::GroupSnapshot s;
    s.found = true;
    s.version = version;
    for (const std::uint64_t d : devices) {
      const UserId user = user_of(DeviceId(d));
      if (s.members.empty() || s.members.back().user != user) s.members.push_back({user, wire::GroupRole::member, {}});
      s.members.back().devices.emplace_back(d);
    }
    return s;
  }

  StreamSeq give(const std::vector<Envelope>& envelopes) {
    const StreamSeq seq(++seq_);
    give_again(seq, envelopes);
    return seq;
  }
  void give_again(StreamSeq seq, const std::vector<Envelope>& envelopes) {
    std::string bytes;
    envelope::encode_batch(bytes, 1, 1, envelopes);
    core->on_batch(seq, std::move(*Batch::decode(bytes)), wall);
  }
  void answer(const control::GroupSnapshot& with) {
    ASSERT_FALSE(asked.empty());
    const Asked ask = take_ask();
    core->on_snapshot(ask.group, ask.number, with, wall);
  }
  void fail_ask() {
    const Asked ask = take_ask();
    core->on_snapshot_failed(ask.group, ask.number, now);
  }
  // The group is known from here on, and nothing is under way.
  void know(std::uint64_t version, const std::vector<std::uint64_t>& devices, GroupId group = kGroup) {
    give({message(1'000'000 + ++primers_, DeviceId(99'990), group)});
    answer(snapshot(version, devices));
    everything_is_durable();
    published.clear();
    acknowledged.clear();
  }
  void everything_is_durable() {
    while (!under_way.empty()) {
      const Tag tag = under_way.front();
      under_way.pop_front();
      core->on_durable(tag, wall);
    }
  }
  void turn(milliseconds later = milliseconds(0)) {
    now += later;
    core->end_turn(now, wall);
  }

  // ---- what the core did

  std::set<std::uint64_t> devices_that_get(const std::string& frame) const {
    std::set<std::uint64_t> devices;
    for (const Published& p : published)
      if (p.frame == frame)
        for (const Recipient& r : p.recipients) {
          EXPECT_TRUE(devices.insert(r.device.value).second) << "twice: " << r.device.value;
          EXPECT_EQ(p.to, partition_of(r.user, config.partitions));
          EXPECT_EQ(r.user, user_of(r.device));
        }
    return devices;
  }
  std::set<std::uint64_t> devices_that_get(const Envelope& e) const { return devices_that_get(std::string(e.frame)); }
  std::vector<wire::Receipt> refusals() const {
    std::vector<wire::Receipt> out;
    for (const Published& p : published)
      if (const auto* receipt = decoded<wire::Receipt>(p)) out.push_back(*receipt);
    return out;
  }
  std::vector<wire::GroupReceipt> group_receipts() const {
    std::vector<wire::GroupReceipt> out;
    for (const Published& p : published)
      if (const auto* receipt = decoded<wire::GroupReceipt>(p)) out.push_back(*receipt);
    return out;
  }

  CoreConfig config{.partitions = 4};
  TimePoint now{std::chrono::hours(1)};
  WallMs wall{1'700'000'000'000};
  std::vector<Published> published;
  std::deque<Tag> under_way;
  std::deque<Asked> asked;
  std::vector<StreamSeq> acknowledged;
  std::vector<std::string> buried;
  std::unique_ptr<Core> core;

 private:
  void publish(Partition to, const Envelope& e, Tag tag) override {
    published.push_back({to,
                         std::string(e.frame),
                         {e.recipients.begin(), e.recipients.end()},
                         e.kind,
                         e.group,
                         e.from_device,
                         e.seq,
                         e.to_user,
                         e.to_device,
                         e.expires_at,
                         tag});
    under_way.push_back(tag);
  }
  void bury_raw(std::string_view batch, Tag tag) override {
    buried.emplace_back(batch);
    under_way.push_back(tag);
  }
  void ask_snapshot(GroupId group, StreamSeq before, Ask ask) override { asked.push_back({group, before, ask}); }
  void acknowledge(StreamSeq seq) override { acknowledged.push_back(seq); }

  Asked take_ask() {
    const Asked ask = asked.front();
    asked.pop_front();
    return ask;
  }
  std::string_view keep(std::string frame) { return frames_.emplace_back(std::move(frame)); }
  template <class F>
  const F* decoded(const Published& p) const {
    const auto raw = wire::split(p.frame);
    if (!raw) return nullptr;
    const auto frame = wire::decode(*raw);
    if (!frame || !std::holds_alternative<F>(*frame)) return nullptr;
    static thread_local std::deque<wire::Frame> kept;
    kept.push_back(*frame);
    return std::get_if<F>(&kept.back());
  }

  std::deque<std::string> frames_;
  std::uint64_t seq_ = 0, primers_ = 0;
};

}  // namespace barid::fanout
