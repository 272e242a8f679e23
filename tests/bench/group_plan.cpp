#include "tests/bench/group_plan.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace barid::bench {
namespace {
constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kAliveNs = 10'000 * kMs;
}  // namespace

GroupPlan::GroupPlan(const Options& options, Control& control, const Shape& shape, std::uint32_t first,
                     std::vector<Identity> identities)
    : options_(options),
      control_(control),
      shape_(shape),
      first_(first),
      in_flight_max_(shape.rate > 0 ? kOpenLoopInFlight : shape.in_flight),
      identities_(std::move(identities)),
      content_(options.size) {}

void GroupPlan::attach(Crowd& crowd) {
  crowd_ = &crowd;
  echo_ = crowd.dialect().echoes_group();
  sent_.resize(shape_.users);
  for (std::uint32_t i = 0; i < shape_.users; ++i) {
    Client& client = crowd.add(first_ + i, identities_.empty() ? nullptr : &identities_[i]);
    client.first_seq = client.next_seq = options_.first_seq;
    client.accepted = Tracker(options_.first_seq);
    if (client.identity != nullptr) user_index_.emplace(client.identity->address.user.value, i);
  }
  const std::size_t ring = std::bit_ceil<std::size_t>(in_flight_max_);
  for (std::uint32_t g = 0; g < shape_.groups; ++g) {
    groups_.push_back({{},
                       0,
                       0,
                       0,
                       std::vector<std::uint64_t>(shape_.members, 0),
                       GroupOrder(shape_.members, shape_.writers, echo_)});
    for (std::uint32_t k = 0; k < shape_.writers; ++k) {
      Writer& w = writers_.emplace_back();
      w.group = g;
      w.member = k;
      w.under.resize(ring);
      w.arrived.resize(shape_.members);
      w.receipts.resize(shape_.members);
    }
  }
}

std::int64_t GroupPlan::on_turn(std::int64_t now) {
  const Stage stage = control_.stage.load(std::memory_order_relaxed);
  connect_some();
  keep_alive(now);
  if (!ready()) {
    if (online_ < present()) return kMs;
    identities_.empty() ? join_some() : make_some();
    if (made_ == shape_.groups && all_know()) ready_ = true;
    return kMs;
  }
  if (!refused_.empty()) resume(now);
  if (sending()) {
    if (shape_.rate > 0)
      run_schedule(now);
    else
      for (Writer& w : writers_) fill(w, now);
  }
  const bool may_end =
      stage == Stage::settle || stage == Stage::come_back || (stage == Stage::send && options_.messages_each != 0);
  if (may_end && now - looked_ > 10 * kMs) {
    looked_ = now;
    tally.done = all_settled() ? stage : Stage::connect;
  }
  return kMs;
}

// ---- connections and groups

void GroupPlan::connect_some() {
  const bool all = !shape_.others_away || control_.stage.load(std::memory_order_relaxed) == Stage::come_back;
  const std::uint32_t wanted = all ? shape_.users : present();
  while (online_ < wanted && begun_ < wanted && begun_ - online_ < kConnectsUnderWay)
    crowd_->connect(crowd_->at(begun_++));
}

void GroupPlan::on_online(Client& client) {
  client.state = ClientState::online;
  ++online_;
  tally.online.add();
}

void GroupPlan::make_some() {
  while (next_to_make_ < shape_.groups && requests_ < kRequestsUnderWay) ask(next_to_make_++);
}

// The first request makes the group, the following ones add to it. The id of a request says which group it is about.
void GroupPlan::ask(std::uint32_t group) {
  Group& g = groups_[group];
  const std::uint32_t from = std::max(g.asked, 1U);
  g.asked = std::min(shape_.members, from + kUsersPerRequest - 1);
  std::vector<UserId> users;
  for (std::uint32_t k = from; k < g.asked; ++k) users.push_back(identities_[user_of(group, k)].address.user);
  wire::Request request;
  request.id = group + 1;
  if (g.added == 0) {
    wire::CreateGroup create;
    create.key = identities_[user_of(group, 0)].address.device.value ^ (group + 1);
    create.name = "bench";
    create.members = std::move(users);
    request.body = std::move(create);
  } else {
    request.body = wire::AddMembers{GroupId(g.address.user.value), std::move(users)};
  }
  Client& client = crowd_->at(user_of(group, 0));
  ++requests_;
  crowd_->dialect().request(client, request);
  crowd_->touch(client);
}

void GroupPlan::on_response(Client&, const wire::Response& response) {
  if (response.id == 0 || response.id > shape_.groups) return tally.corrupted.add();
  const std::uint32_t group = response.id - 1;
  Group& g = groups_[group];
  --requests_;
  if (const auto* error = std::get_if<wire::Error>(&response.body))
    return control_.fail("a group could not be made: " + std::string(wire::name_of(error->code)) + " " + error->text);
  if (const auto* made = std::get_if<wire::Group>(&response.body)) {
    if (made->members.size() != g.asked) return control_.fail("not every member could be put into a new group");
    g.address = made->address;
    g.version = made->version;
    group_index_.emplace(g.address.user.value, group);
  } else if (const auto* changed = std::get_if<wire::GroupChanged>(&response.body)) {
    if (!changed->skipped.empty()) return control_.fail("not every member could be added to a group");
    g.version = changed->version;
  }
  g.added = g.asked;
  progress_.add();
  if (shape_.others_away) away_events_.add(g.added - shape_.writers);
  if (g.added < shape_.members) return ask(group);
  ++made_;
}

void GroupPlan::on_group_event(Client& client, const wire::GroupEvent& event) {
  progress_.add();
  if (!ready()) news_.push_back({client.index, event.group, event.version});
}

// An event may be faster than the answer that says which group it is about.
bool GroupPlan::all_know() {
  for (const News& n : std::exchange(news_, {})) {
    const auto group = group_index_.find(n.group.value);
    const std::uint32_t member = group == group_index_.end() ? shape_.members : member_of(group->second, n.client);
    if (member >= shape_.members) {
      control_.fail("an event of a group came to somebody who is not in it");
      return false;
    }
    std::uint64_t& version = groups_[group->second].versions[member];
    version = std::max(version, n.version);
  }
  if (identities_.empty()) return true;
  for (std::uint32_t g = 0; g < shape_.groups; ++g)
    for (std::uint32_t k = 0; k < (shape_.others_away ? shape_.writers : shape_.members); ++k)
      if (groups_[g].versions[k] < groups_[g].version) return false;
  return true;
}

void GroupPlan::join_some() {
  const std::uint32_t open = joined_ == 0 ? 1 : kJoinsUnderWay;  // the first one makes the room
  while (joins_ < shape_.groups * shape_.members && joins_ - joined_ < open) {
    const std::uint32_t group = joins_ / shape_.members;
    Client& client = crowd_->at(user_of(group, joins_ % shape_.members));
    ++joins_;
    crowd_->dialect().join(client, group);
    crowd_->touch(client);
  }
}
void GroupPlan::on_joined(Client&) {
  progress_.add();
  if (++joined_ == shape_.groups * shape_.members) made_ = shape_.groups;
}

// ---- sending

bool GroupPlan::may_send(const Writer& w, std::int64_t now) const {
  const Client& client = crowd_->at(user_of(w.group, w.member));
  return client.resume_seq == 0 && w.in_flight < in_flight_max_ && w.not_before <= now &&
         client.sent() - client.accepted.taken() < kSendWindow &&
         (options_.messages_each == 0 || w.next <= options_.messages_each) &&
         tally.sent.get() < control_.group_messages_max.load(std::memory_order_relaxed);
}

void GroupPlan::fill(Writer& w, std::int64_t now) {
  while (sending() && may_send(w, now)) send_next(w, now);
}

// Message number m of the schedule is due at start + m · interval, from writer m mod n; what is late counts from then.
void GroupPlan::run_schedule(std::int64_t now) {
  if (control_.group_messages_max.load(std::memory_order_relaxed) == 0) return;
  if (schedule_start_ == 0) schedule_start_ = now;
  const auto catch_up = [&](Writer& w) {
    while (!w.due.empty() && may_send(w, now)) {
      send_next(w, w.due.front());
      w.due.pop_front();
    }
    return w.due.empty();
  };
  std::erase_if(behind_, [&](Writer* w) { return catch_up(*w); });
  const double interval = 1e9 / shape_.rate;
  for (;; ++schedule_at_) {
    const auto due = schedule_start_ + static_cast<std::int64_t>(interval * static_cast<double>(schedule_at_));
    if (due > now) return;
    Writer& w = writers_[schedule_at_ % writers_.size()];
    if (w.due.size() == kBehindMax) return control_.fail("the groups fell behind their schedule: lower --rate");
    const bool was_behind = !w.due.empty();
    w.due.push_back(due);
    if (!was_behind && !catch_up(w)) behind_.push_back(&w);
  }
}

void GroupPlan::send_next(Writer& w, std::int64_t intended_ns) {
  Client& client = crowd_->at(user_of(w.group, w.member));
  const std::uint64_t number = w.next++;
  under(w, number) = {intended_ns, copies_of_each()};
  ++w.in_flight;
  tally.sent.add();
  sent_[client.index].push_back({static_cast<std::uint32_t>(&w - writers_.data()), number});
  last_sent_.add(static_cast<std::uint64_t>(now_ns()) - last_sent_.get());
  put(client, client.next_seq++);
}

void GroupPlan::put(Client& client, std::uint64_t seq) {
  const Sent& sent = sent_[client.index][seq - client.first_seq];
  const std::uint32_t group = writers_[sent.writer].group;
  crowd_->dialect().send_group(client, seq, {groups_[group].address, group}, content_.make(sent.writer, sent.number));
  crowd_->touch(client);
}

void GroupPlan::on_accepted(Client& client, std::uint64_t first, std::uint64_t count) {
  if (first < client.first_seq || first + count > client.next_seq) return tally.corrupted.add();
  tally.accepted.add(client.accepted.take(first, count));
}

void GroupPlan::on_refused(Client& client, std::uint64_t seq, std::uint32_t retry_after_ms, std::string_view why) {
  tally.refused.add();
  if (retry_after_ms == 0) return control_.fail("a send was refused for good: " + std::string(why));
  if (client.resume_seq == 0) refused_.push_back(&client);
  if (client.resume_seq == 0 || seq < client.resume_seq) client.resume_seq = seq;
  client.resume_ns = crowd_->turn_now() + std::int64_t{retry_after_ms} * kMs;
}

void GroupPlan::resume(std::int64_t now) {
  std::erase_if(refused_, [&](Client* client) {
    if (client->resume_ns > now) return false;
    for (std::uint64_t seq = std::exchange(client->resume_seq, 0); seq < client->next_seq; ++seq)
      if (!client->accepted.has(seq)) put(*client, seq);
    return true;
  });
}

// ---- what comes

void GroupPlan::on_message(Client& client, const From& from, std::uint64_t seq, std::string_view content) {
  const ContentName name = ContentMaker::name_in(content);
  if (name.sender >= writers_.size()) return tally.corrupted.add();
  Writer& w = writers_[name.sender];
  const Group& g = groups_[w.group];
  const std::uint32_t member = member_of(w.group, client.index);
  Client& author = crowd_->at(user_of(w.group, w.member));
  if (member >= shape_.members || (member == w.member && !echo_) || name.seq == 0 || name.seq >= w.next ||
      !content_.verify(content, name.sender, name.seq))
    return tally.corrupted.add();
  std::uint64_t number = 0;  // the device's
  if (author.identity != nullptr) {
    const bool genuine = from.device == author.identity->address.device.value && from.group == g.address.user.value &&
                         seq >= author.first_seq && seq < author.next_seq;
    if (!genuine) return tally.corrupted.add();
    const Sent& sent = sent_[author.index][seq - author.first_seq];
    if (sent.writer != name.sender || sent.number != name.seq) return tally.corrupted.add();
  } else {
    number = author.first_seq + name.seq - 1;  // a peer's clients are in one room
  }
  if (w.arrived[member].take(name.seq) == 0) return;
  tally.delivered.add();
  groups_[w.group].order.take(member, w.member, name.seq);
  Under& u = under(w, name.seq);
  const std::int64_t took = crowd_->turn_now() - u.intended_ns;
  tally.first_latency.record(took);
  if (!crowd_->dialect().says_accepted() && u.left == copies_of_each())
    tally.accepted.add(author.accepted.take(number));
  if (--u.left != 0) return;
  tally.latency.record(took);
  --w.in_flight;
  w.not_before = crowd_->turn_now() + shape_.pause_ns;
  if (shape_.rate == 0) fill(w, crowd_->turn_now());
}

void GroupPlan::on_delivered(Client&, std::uint64_t, std::uint64_t) { tally.corrupted.add(); }  // not one to one

void GroupPlan::on_group_receipt(Client& client, const wire::GroupReceipt& receipt) {
  const auto group = group_index_.find(receipt.group.value);
  if (group == group_index_.end() || receipt.kind != wire::ReceiptKind::delivered) return tally.corrupted.add();
  const auto& sent = sent_[client.index];
  for (const wire::GroupReceiptPart& part : receipt.parts)
    for (const UserId user : part.users) {
      const auto found = user_index_.find(user.value);
      const std::uint32_t member =
          found == user_index_.end() ? shape_.members : member_of(group->second, found->second);
      if (member >= shape_.members || found->second == client.index) {
        tally.corrupted.add();
        continue;
      }
      for (const SeqRange& r : part.ranges)
        for (std::uint64_t seq = r.first; seq < r.first + r.count; ++seq) {
          if (seq < client.first_seq || seq >= client.next_seq) return tally.corrupted.add();
          const Sent& s = sent[seq - client.first_seq];
          Writer& w = writers_[s.writer];
          if (w.group != group->second) return tally.corrupted.add();
          tally.receipts.add(w.receipts[member].take(s.number));
        }
    }
}

void GroupPlan::on_trouble(Client& client, std::string_view what) {
  control_.fail("client " + std::to_string(client.name) + ": " + std::string(what));
}
void GroupPlan::on_gone(Client& client) {
  control_.fail("the connection of client " + std::to_string(client.name) + " ended");
}

void GroupPlan::keep_alive(std::int64_t now) {
  if (now - kept_alive_ < kAliveNs) return;
  kept_alive_ = now;
  for (std::size_t i = 0; i < crowd_->size(); ++i) {
    Client& client = crowd_->at(i);
    if (client.state != ClientState::online) continue;
    crowd_->dialect().ping(client);
    crowd_->touch(client);
  }
}

// ---- the end

bool GroupPlan::all_settled() const {
  const std::uint64_t sent = tally.sent.get(), copies = sent * copies_of_each();
  if (tally.accepted.get() != sent || tally.delivered.get() != copies) return false;
  if (crowd_->dialect().has_receipts() && tally.receipts.get() != copies) return false;
  const bool all_written = control_.stage.load(std::memory_order_relaxed) != Stage::send;
  return all_written || sent >= std::uint64_t{options_.messages_each} * writers_.size();
}

Verdict GroupPlan::judge() const {
  Verdict v;
  v.sent = tally.sent.get();
  v.unaccepted = v.sent - tally.accepted.get();
  std::uint64_t receipts = 0;
  for (const Writer& w : writers_)
    for (std::uint32_t m = 0; m < shape_.members; ++m) {
      v.delivered += w.arrived[m].taken();
      v.doubled += w.arrived[m].repeated();
      v.reordered += w.arrived[m].late();
      receipts += w.receipts[m].taken();
    }
  for (Group g : groups_) {
    g.order.catch_up();
    v.reordered += g.order.misplaced();
  }
  const std::uint64_t expected = tally.accepted.get() * copies_of_each();
  v.lost = expected > v.delivered ? expected - v.delivered : 0;
  if (crowd_->dialect().has_receipts()) v.receipts_missing = v.delivered > receipts ? v.delivered - receipts : 0;
  v.corrupted = tally.corrupted.get();
  return v;
}

}  // namespace barid::bench
