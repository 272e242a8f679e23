#include "tests/bench/pair_plan.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace barid::bench {
namespace {
constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kAliveSliceNs = 1'000 * kMs;  // every slice of the clients speaks once in kAliveSlices of these
constexpr std::uint32_t kAliveSlices = 15;           // seconds; an edge wants to hear something every 20
}  // namespace

PairPlan::PairPlan(const Options& options, Control& control, std::uint32_t first, std::uint32_t count, double rate,
                   std::vector<Identity> identities)
    : options_(options),
      control_(control),
      first_(first),
      count_(count),
      interval_ns_(rate > 0 ? 1e9 / rate : 0),
      in_flight_max_(rate > 0 ? kOpenLoopInFlight : options.in_flight),
      identities_(std::move(identities)),
      content_(options.size) {}

void PairPlan::attach(Crowd& crowd) {
  crowd_ = &crowd;
  const std::size_t ring = std::bit_ceil<std::size_t>(std::size_t{in_flight_max_} * 2);
  for (std::uint32_t i = 0; i < count_; ++i) {
    Client& client = crowd.add(first_ + i, identities_.empty() ? nullptr : &identities_[i]);
    client.first_seq = client.next_seq = options_.first_seq;
    client.accepted = client.arrived = client.receipts = Tracker(options_.first_seq);
    client.intended_ns.resize(ring);
  }
}

std::int64_t PairPlan::on_turn(std::int64_t now) {
  if (online_ < count_) {
    connect_some();
    if (online_ > 0) keep_alive(now);
    return 10 * kMs;
  }
  keep_alive(now);
  std::int64_t wait = 10 * kMs;
  if (!refused_.empty()) {
    resume(now);
    wait = kMs;
  }
  if (sending()) {
    if (interval_ns_ > 0) return std::min(wait, run_schedule(now));
    prime();
  }
  const Stage stage = control_.stage.load(std::memory_order_relaxed);
  const bool may_end = stage == Stage::settle || (stage == Stage::send && options_.messages_each != 0);
  if (may_end && now - looked_ > 10 * kMs) {
    looked_ = now;
    tally.done = all_settled() ? stage : Stage::connect;
  }
  return wait;
}

void PairPlan::connect_some() {
  const std::uint32_t wanted = std::min(count_, control_.connections_max.load(std::memory_order_relaxed));
  while (begun_ < wanted && begun_ - online_ < kConnectsUnderWay) crowd_->connect(crowd_->at(begun_++));
}

void PairPlan::on_online(Client& client) {
  client.state = ClientState::online;
  ++online_;
  tally.online.add();
}

// ---- sending

bool PairPlan::may_send(const Client& client) const {
  return client.resume_seq == 0 && client.in_flight < in_flight_max_ &&
         client.sent() - client.accepted.taken() < kSendWindow &&
         (options_.messages_each == 0 || client.sent() < options_.messages_each);
}

// Closed loops begin all at once. Where every client only shows that it is alive (idle), they take turns: a burst of
// all of them would measure something else.
void PairPlan::prime() {
  const std::uint64_t open = options_.messages_each != 0 ? kFirstSendsUnderWay : ~std::uint64_t{0};
  while (primed_ < count_ && tally.sent.get() - tally.delivered.get() < open) fill(crowd_->at(primed_++));
}

void PairPlan::fill(Client& client) {
  while (sending() && may_send(client)) send_next(client, crowd_->turn_now());
}

void PairPlan::send_next(Client& client, std::int64_t intended_ns) {
  const std::uint64_t seq = client.next_seq++;
  intended(client, seq) = intended_ns;
  ++client.in_flight;
  tally.sent.add();
  put(client, seq);
}

void PairPlan::put(Client& client, std::uint64_t seq) {
  const Client& peer = crowd_->at(client.index ^ 1U);
  Recipient to;
  to.name = peer.name;
  if (peer.identity != nullptr) to.address = peer.identity->address;
  crowd_->dialect().send(client, seq, to, content_.make(client.name, seq));
  crowd_->touch(client);
}

// Message number g of the schedule is due at start + g · interval, from client g mod n. A client that may not send
// falls behind its schedule, and what it sends later counts from when it was due: no omission.
std::int64_t PairPlan::run_schedule(std::int64_t now) {
  if (schedule_start_ == 0) schedule_start_ = now;
  const auto due_of = [&](std::uint64_t g) {
    return schedule_start_ + static_cast<std::int64_t>(interval_ns_ * static_cast<double>(g));
  };
  const auto begun = [&](const Client& c) { return c.scheduled * count_ + c.index; };
  const auto catch_up = [&](Client& c) {
    while (begun(c) < schedule_at_ && may_send(c)) {
      send_next(c, due_of(begun(c)));
      ++c.scheduled;
    }
    return begun(c) >= schedule_at_;
  };
  std::erase_if(behind_, [&](Client* c) { return catch_up(*c); });
  while (due_of(schedule_at_) <= now) {
    Client& client = crowd_->at(schedule_at_ % count_);
    const bool was_behind = begun(client) < schedule_at_;
    ++schedule_at_;
    if (!was_behind && !catch_up(client)) behind_.push_back(&client);
  }
  return std::max(kOpenLoopTurnNs, due_of(schedule_at_) - now);
}

void PairPlan::on_refused(Client& client, std::uint64_t seq, std::uint32_t retry_after_ms, std::string_view why) {
  tally.refused.add();
  if (retry_after_ms == 0) return control_.fail("a send was refused for good: " + std::string(why));
  if (client.resume_seq == 0) refused_.push_back(&client);
  if (client.resume_seq == 0 || seq < client.resume_seq) client.resume_seq = seq;
  client.resume_ns = crowd_->turn_now() + std::int64_t{retry_after_ms} * kMs;
}

// Go-back-N (docs/protocol.md, section 6).
void PairPlan::resume(std::int64_t now) {
  std::erase_if(refused_, [&](Client* client) {
    if (client->resume_ns > now) return false;
    for (std::uint64_t seq = std::exchange(client->resume_seq, 0); seq < client->next_seq; ++seq)
      if (!client->accepted.has(seq)) put(*client, seq);
    fill(*client);
    return true;
  });
}

// ---- what comes

void PairPlan::on_accepted(Client& client, std::uint64_t first, std::uint64_t count) {
  if (first < client.first_seq || first + count > client.next_seq) return tally.corrupted.add();
  tally.accepted.add(client.accepted.take(first, count));
  if (interval_ns_ == 0) fill(client);
}

void PairPlan::on_message(Client& client, const From& from, std::uint64_t seq, std::string_view content) {
  Client& sender = crowd_->at(client.index ^ 1U);
  const bool genuine =
      sender.identity != nullptr ? from.device == sender.identity->address.device.value : from.name == sender.name;
  if (!genuine || seq < sender.first_seq || seq >= sender.next_seq || !content_.verify(content, sender.name, seq))
    return tally.corrupted.add();
  if (sender.arrived.take(seq) == 0) return;
  tally.delivered.add();
  if (!crowd_->dialect().says_accepted()) tally.accepted.add(sender.accepted.take(seq));
  if (!options_.until_receipt) arrived(sender, seq);
}

void PairPlan::on_delivered(Client& client, std::uint64_t first, std::uint64_t count) {
  if (first < client.first_seq || first + count > client.next_seq) return tally.corrupted.add();
  for (std::uint64_t seq = first; seq < first + count; ++seq) {
    if (client.receipts.take(seq) == 0) continue;
    tally.receipts.add();
    if (options_.until_receipt) arrived(client, seq);
  }
}

void PairPlan::arrived(Client& sender, std::uint64_t seq) {
  tally.latency.record(crowd_->turn_now() - intended(sender, seq));
  --sender.in_flight;
  if (interval_ns_ == 0) fill(sender);
}

void PairPlan::on_trouble(Client& client, std::string_view what) {
  control_.fail("client " + std::to_string(client.name) + ": " + std::string(what));
}
void PairPlan::on_gone(Client& client) {
  control_.fail("the connection of client " + std::to_string(client.name) + " ended");
}

// Whoever was silent speaks: an edge closes what it has not heard of for 30 s.
void PairPlan::keep_alive(std::int64_t now) {
  if (now - kept_alive_ < kAliveSliceNs / 10) return;
  kept_alive_ = now;
  const std::uint32_t share = count_ / (kAliveSlices * 10) + 1;
  for (std::uint32_t i = 0; i < share; ++i) {
    Client& client = crowd_->at(alive_at_++ % count_);
    if (client.state != ClientState::online || (sending() && client.in_flight > 0)) continue;
    crowd_->dialect().ping(client);
    crowd_->touch(client);
  }
}

// ---- the end

bool PairPlan::all_settled() const {
  const bool receipts = crowd_->dialect().has_receipts();
  for (std::uint32_t i = 0; i < count_; ++i) {
    const Client& c = crowd_->at(i);
    if (c.arrived.taken() != c.sent() || c.accepted.taken() != c.sent()) return false;
    if (receipts && c.receipts.taken() != c.sent()) return false;
    if (options_.messages_each != 0 && c.sent() < options_.messages_each) return false;
  }
  return true;
}

Verdict PairPlan::judge() const {
  Verdict v;
  const bool receipts = crowd_->dialect().has_receipts();
  for (std::uint32_t i = 0; i < count_; ++i) {
    const Client& c = crowd_->at(i);
    v.sent += c.sent();
    v.unaccepted += c.sent() - c.accepted.taken();
    v.delivered += c.arrived.taken();
    if (c.accepted.taken() > c.arrived.taken()) v.lost += c.accepted.taken() - c.arrived.taken();
    v.doubled += c.arrived.repeated();
    v.reordered += c.arrived.late();
    if (receipts) v.receipts_missing += c.sent() - c.receipts.taken();
  }
  v.corrupted += tally.corrupted.get();
  return v;
}

}  // namespace barid::bench
