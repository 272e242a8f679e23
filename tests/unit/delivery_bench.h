// A core on a bench: what it asks of the world is written down, and a test answers as it likes.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "schemas/wire.h"
#include "workers/delivery/core.h"

namespace barid::delivery {

inline constexpr UserId kAlice{10}, kBob{20}, kCarol{30};
inline constexpr DeviceId kAlicePhone{1}, kBobPhone{2}, kCarolPhone{3};

class Bench : public ::testing::Test, public Port {
 protected:
  struct Delivered {
    EdgeRef edge;
    ConnId conn;
    std::string frame;
  };
  struct Kicked {
    EdgeRef edge;
    ConnId conn;
    wire::Code code;
    bool operator==(const Kicked&) const = default;
  };
  struct Parked {
    Address to;
    std::string frame;
    Tag tag;
    Envelope letter{};
  };
  struct Receipt {
    DeviceId to;
    wire::Receipt what;
    Tag tag;
  };
  struct GroupReceipt {
    DeviceId to;
    wire::GroupReceipt what;
    Tag tag;
  };
  struct Buried {
    std::string what;
    wire::Code reason;
    Tag tag;
  };
  struct Read {
    Address of;
    StreamSeq from;
    std::uint64_t number;
  };

  void SetUp() override {
    config.kept_bytes_max = 0;  // every letter out of the inbox; a test of kept letters says otherwise
    start();
  }
  void start() { core = std::make_unique<Core>(config, directory, *this); }

  // ---- what happens to the core

  Envelope letter(std::uint64_t seq, DeviceId from = kAlicePhone, DeviceId to = kBobPhone) {
    Envelope e;
    e.from_device = from, e.from_user = user_of(from), e.to_device = to, e.to_user = user_of(to);
    e.seq = seq;
    e.accepted_at = wall;
    e.expires_at = WallMs{wall.value + 3'600'000};
    e.frame = frame_of(seq);
    return e;
  }
  // The frame of letter `seq`, kept alive by the bench.
  std::string_view frame_of(std::uint64_t seq) {
    auto& frame = frames_[seq];
    if (frame.empty()) frame = "letter " + std::to_string(seq);
    return frame;
  }
  static UserId user_of(DeviceId device) { return UserId(device.value * 10); }
  static Address address(DeviceId device) { return {user_of(device), device}; }
  static Batch batch_of(const std::vector<Envelope>& envelopes) {
    std::string bytes;
    envelope::encode_batch(bytes, 1, 1, envelopes);
    return std::move(*Batch::decode(bytes));
  }

  StreamSeq give(const std::vector<Envelope>& envelopes) {
    const StreamSeq seq(++ingress_seq_);
    core->on_batch(seq, batch_of(envelopes), now, wall);
    return seq;
  }
  void open(ConnId conn, SessionNo number = SessionNo(1), EdgeRef edge = 1, DeviceId device = kBobPhone) {
    core->on_open(edge, {user_of(device), device, conn, number});
  }
  void open_live(ConnId conn, SessionNo number = SessionNo(1), EdgeRef edge = 1, DeviceId device = kBobPhone) {
    open(conn, number, edge, device);
    ASSERT_FALSE(reads.empty());
    end_of_inbox();
  }
  void acknowledge(ConnId conn, std::uint64_t up_to, EdgeRef edge = 1, DeviceId device = kBobPhone) {
    core->on_ack(edge, {user_of(device), device, conn, up_to}, now);
  }
  void close(ConnId conn, EdgeRef edge = 1, DeviceId device = kBobPhone) {
    core->on_close(edge, {user_of(device), device, conn});
  }
  void end_of_inbox() {
    const Read read = take(reads);
    core->on_inbox_end(read.of, read.number);
  }
  void inbox_holds(StreamSeq seq, const std::vector<Envelope>& envelopes) {
    const Read read = take(reads);
    core->on_inbox_batch(read.of, read.number, seq, batch_of(envelopes), now, wall);
  }
  // The first `count` letters that are being parked (all: 0) are durable, as one batch of the inbox.
  void parks_are_durable(StreamSeq seq, std::size_t count = 0) {
    const Address of = parks.front().to;
    std::vector<Envelope> letters;
    for (std::size_t i = 0; i < (count == 0 ? parks.size() : count); ++i) {
      letters.push_back(parks[i].letter);
      letters.back().frame = parks[i].frame;
    }
    std::string bytes;
    envelope::encode_batch(bytes, 1, 1, letters);
    core->on_parked(of, take_tags(count), seq, bytes);
  }
  void parks_are_refused() {
    const Address of = parks.front().to;
    core->on_park_refused(of, take_tags(0));
  }
  void receipts_are_durable() {
    for (const Receipt& receipt : std::exchange(receipts, {})) core->on_receipt_durable(receipt.tag);
    for (const GroupReceipt& receipt : std::exchange(group_receipts, {})) core->on_receipt_durable(receipt.tag);
  }
  void turn() { core->end_turn(now, wall); }
  void later(milliseconds by) {
    now += by;
    core->on_tick(now);
  }

  // ---- what the core did

  std::vector<std::string> frames_delivered() const {
    std::vector<std::string> frames;
    for (const Delivered& d : delivered) frames.push_back(d.frame);
    return frames;
  }
  std::vector<std::string> frames_parked() const {
    std::vector<std::string> frames;
    for (const Parked& p : parks) frames.push_back(p.frame);
    return frames;
  }
  static std::vector<std::string> frames(std::initializer_list<std::uint64_t> seqs) {
    std::vector<std::string> out;
    for (const std::uint64_t seq : seqs) out.push_back("letter " + std::to_string(seq));
    return out;
  }

  CoreConfig config;
  Directory directory;
  TimePoint now{std::chrono::hours(1)};
  WallMs wall{1'700'000'000'000};
  std::vector<Delivered> delivered;
  std::vector<Kicked> kicks;
  std::vector<Parked> parks;
  std::vector<Receipt> receipts;
  std::vector<GroupReceipt> group_receipts;
  std::vector<Buried> burials;
  std::vector<StreamSeq> acknowledged;
  std::deque<Read> reads;
  std::vector<StreamSeq> deleted;
  std::unique_ptr<Core> core;

 private:
  void deliver(EdgeRef edge, ConnId conn, std::string_view frame) override {
    delivered.push_back({edge, conn, std::string(frame)});
  }
  void kick(EdgeRef edge, ConnId conn, wire::Code code) override { kicks.push_back({edge, conn, code}); }
  void park(const Address& to, const Envelope& e, Tag tag) override {
    parks.push_back({to, std::string(e.frame), tag, e});
  }
  void publish_receipt(const Envelope& e, Tag tag) override {
    const auto frame = wire::decode(*wire::split(e.frame));
    if (const auto* of_group = std::get_if<wire::GroupReceipt>(&*frame))
      group_receipts.push_back({e.to_device, *of_group, tag});
    else
      receipts.push_back({e.to_device, std::get<wire::Receipt>(*frame), tag});
  }
  void bury(const Envelope& e, wire::Code reason, Tag tag) override {
    burials.push_back({std::string(e.frame), reason, tag});
  }
  void bury_raw(std::string_view bytes, Tag tag) override {
    burials.push_back({std::string(bytes), wire::Code::malformed, tag});
  }
  void acknowledge(StreamSeq seq) override { acknowledged.push_back(seq); }
  void read_inbox(const Address& of, StreamSeq from, std::uint64_t number) override {
    reads.push_back({of, from, number});
  }
  void delete_from_inbox(const Address&, StreamSeq seq) override { deleted.push_back(seq); }

  static Read take(std::deque<Read>& from) {
    const Read read = from.front();
    from.pop_front();
    return read;
  }
  std::vector<Tag> take_tags(std::size_t count) {
    if (count == 0) count = parks.size();
    std::vector<Tag> tags;
    for (std::size_t i = 0; i < count; ++i) tags.push_back(parks[i].tag);
    parks.erase(parks.begin(), parks.begin() + static_cast<std::ptrdiff_t>(count));
    return tags;
  }

  std::map<std::uint64_t, std::string> frames_;
  std::uint64_t ingress_seq_ = 0;
};

}  // namespace barid::delivery
