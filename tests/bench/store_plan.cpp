#include "tests/bench/store_plan.h"

#include <utility>

namespace barid::bench {
namespace {
constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kAliveNs = 10'000 * kMs;
}  // namespace

StorePlan::StorePlan(const Options& options, Control& control, const Mint& mint, Return how)
    : options_(options),
      control_(control),
      how_(how),
      recipients_(options.clients),
      each_(options.messages_each),
      content_(options.size),
      identities_(mint.identities(0, kSenders + recipients_)),
      rounds_(recipients_, Tracker(0)),
      has_first_(recipients_, 0) {}

void StorePlan::attach(Crowd& crowd) {
  crowd_ = &crowd;
  for (std::uint32_t s = 0; s < kSenders; ++s) {
    Client& client = crowd.add(s, &identities_[s]);
    client.first_seq = client.next_seq = options_.first_seq;
    client.accepted = client.receipts = Tracker(options_.first_seq);
    client.intended_ns.resize(kSendWindow);
    crowd.connect(client);
  }
}

StorePlan::Route StorePlan::route_of(std::uint32_t sender, std::uint64_t seq) const {
  const std::uint64_t n = seq - options_.first_seq;
  const std::uint32_t all = recipients_of(sender);
  return {sender + static_cast<std::uint32_t>(n % all) * kSenders, static_cast<std::uint32_t>(n / all)};
}

std::int64_t StorePlan::on_turn(std::int64_t now) {
  const Stage stage = control_.stage.load(std::memory_order_relaxed);
  if (now - kept_alive_ > kAliveNs) {
    kept_alive_ = now;
    for (std::size_t i = 0; i < crowd_->size(); ++i) {
      Client& client = crowd_->at(i);
      if (client.state != ClientState::online) continue;
      crowd_->dialect().ping(client);
      crowd_->touch(client);
    }
  }
  if (stage == Stage::send) {
    if (!std::exchange(primed_, true))
      for (std::uint32_t s = 0; s < kSenders; ++s) send_some(crowd_->at(s));
    if (!refused_.empty()) resume(now);
    tally.done = tally.accepted.get() == messages() ? stage : Stage::connect;
  }
  if (stage == Stage::come_back) {
    come_back();
    tally.done = complete_ == recipients_ && tally.receipts.get() == messages() ? stage : Stage::connect;
    return kMs;
  }
  return 5 * kMs;
}

// ---- sending

void StorePlan::send_some(Client& sender) {
  while (sender.resume_seq == 0 && sender.sent() < quota_of(sender.index) &&
         sender.sent() - sender.accepted.taken() < kSendWindow) {
    sender.intended_ns[sender.next_seq % kSendWindow] = crowd_->turn_now();
    put(sender, sender.next_seq++);
    tally.sent.add();
  }
}

void StorePlan::put(Client& sender, std::uint64_t seq) {
  const Route route = route_of(sender.index, seq);
  const Recipient to{identities_[kSenders + route.recipient].address, 0};
  crowd_->dialect().send(sender, seq, to, content_.make(sender.index, seq));
  crowd_->touch(sender);
}

void StorePlan::on_accepted(Client& client, std::uint64_t first, std::uint64_t count) {
  if (client.name >= kSenders || first < client.first_seq || first + count > client.next_seq)
    return tally.corrupted.add();
  tally.accepted.add(client.accepted.take(first, count));
  for (std::uint64_t seq = first; seq < first + count; ++seq)
    tally.latency.record(crowd_->turn_now() - client.intended_ns[seq % kSendWindow]);
  send_some(client);
}

void StorePlan::on_refused(Client& client, std::uint64_t seq, std::uint32_t retry_after_ms, std::string_view why) {
  tally.refused.add();
  if (retry_after_ms == 0) return control_.fail("a send was refused for good: " + std::string(why));
  if (client.resume_seq == 0) refused_.push_back(&client);
  if (client.resume_seq == 0 || seq < client.resume_seq) client.resume_seq = seq;
  client.resume_ns = crowd_->turn_now() + std::int64_t{retry_after_ms} * kMs;
}

void StorePlan::resume(std::int64_t now) {
  std::erase_if(refused_, [&](Client* client) {
    if (client->resume_ns > now) return false;
    for (std::uint64_t seq = std::exchange(client->resume_seq, 0); seq < client->next_seq; ++seq)
      if (!client->accepted.has(seq)) put(*client, seq);
    send_some(*client);
    return true;
  });
}

// ---- coming back

void StorePlan::come_back() {
  while (returned_ < recipients_ && logging_in_ < how_.logins_under_way) {
    const std::uint32_t recipient = returned_++;
    Client* client = nullptr;
    if (free_.empty()) {
      client = &crowd_->add(0, nullptr);
    } else {
      client = free_.back();
      free_.pop_back();
    }
    client->name = kSenders + recipient;
    client->identity = &identities_[client->name];
    client->session_no = 0;
    ++logging_in_;
    crowd_->connect(*client);
  }
}

void StorePlan::on_online(Client& client) {
  client.state = ClientState::online;
  client.since_ns = crowd_->turn_now();
  tally.online.add();
  if (client.name < kSenders) {
    ++senders_online_;
    return;
  }
  if (back_first_ == 0) back_first_ = client.since_ns;
  if (how_.stay) --logging_in_;
}

void StorePlan::on_message(Client& client, const From& from, std::uint64_t seq, std::string_view content) {
  if (client.name < kSenders) return tally.corrupted.add();
  const std::uint32_t recipient = client.name - kSenders, sender = recipient % kSenders;
  const Client& author = crowd_->at(sender);
  if (from.device != author.identity->address.device.value || seq < author.first_seq || seq >= author.next_seq)
    return tally.corrupted.add();
  const Route route = route_of(sender, seq);
  if (route.recipient != recipient || !content_.verify(content, sender, seq)) return tally.corrupted.add();
  if (rounds_[recipient].take(route.round) == 0) return;
  tally.delivered.add();
  back_last_ = crowd_->turn_now();
  tally.latency.record(back_last_ - client.since_ns);
  if (std::exchange(has_first_[recipient], std::uint8_t{1}) == 0)
    tally.first_latency.record(back_last_ - client.since_ns);
  if (rounds_[recipient].taken() < each_) return;
  ++complete_;
  if (!how_.stay) crowd_->close_when_written(client);  // behind the Ack, which is written at the end of this read
}

void StorePlan::on_delivered(Client& client, std::uint64_t first, std::uint64_t count) {
  if (client.name >= kSenders || first < client.first_seq || first + count > client.next_seq)
    return tally.corrupted.add();
  tally.receipts.add(client.receipts.take(first, count));
}

void StorePlan::on_trouble(Client& client, std::string_view what) {
  control_.fail("client " + std::to_string(client.name) + ": " + std::string(what));
}

void StorePlan::on_gone(Client& client) {
  const bool meant = !how_.stay && client.name >= kSenders && rounds_[client.name - kSenders].taken() == each_;
  if (!meant) return control_.fail("the connection of client " + std::to_string(client.name) + " ended");
  --logging_in_;
  free_.push_back(&client);
}

Verdict StorePlan::judge() const {
  Verdict v;
  v.sent += tally.sent.get();
  v.unaccepted += tally.sent.get() - tally.accepted.get();
  for (const Tracker& rounds : rounds_) {
    v.delivered += rounds.taken();
    v.doubled += rounds.repeated();
    v.reordered += rounds.late();
  }
  v.lost += tally.accepted.get() - v.delivered;
  v.corrupted += tally.corrupted.get();
  v.receipts_missing += v.delivered - tally.receipts.get();
  return v;
}

}  // namespace barid::bench
