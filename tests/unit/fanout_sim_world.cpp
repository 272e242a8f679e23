#include "tests/unit/fanout_sim_world.h"

#include <algorithm>

#include "base/partition.h"

namespace barid::fanout::sim {

using wire::GroupEventKind;
using wire::GroupRole;

World::World(std::uint64_t seed, bool tracing) : rng_(seed * 0x2545f4914f6cdd1dULL + 3), tracing_(tracing) {
  config_.partitions = kPartitions;
  if (rng_.percent(40)) config_.groups_max = rng_.between(1, 2);
  if (rng_.percent(30)) config_.devices_max = rng_.between(3, 12);
  if (rng_.percent(30)) config_.expanded_bytes_max = rng_.between(1, 400);
  if (rng_.percent(30)) config_.asks_max = 1;
  failing_percent_ = rng_.percent(60) ? static_cast<unsigned>(rng_.between(5, 70)) : 0;
  left_out_percent_ = rng_.percent(50) ? 40 : 0;
  kill_percent_ = rng_.percent(75) ? static_cast<unsigned>(rng_.between(1, 4)) : 0;
  resend_percent_ = rng_.percent(60) ? 10 : 0;
  hands_max_ = rng_.between(2, 40);
  for (std::uint64_t u = 1; u <= 7; ++u) {
    users_.push_back({UserId(u), {}});
    for (std::size_t d = rng_.between(1, 2); d > 0; --d) {
      every_device_[DeviceId(++next_device_)] = UserId(u);
      users_.back().devices.emplace_back(next_device_);
    }
  }
  start();
  for (std::size_t g = 0; g < 4; ++g) first_version(g);
}

// ---- the scheduler

void World::run() {
  const std::size_t steps = rng_.between(50, 700);
  for (std::size_t i = 0; i < steps; ++i) step();
  faults_ = false;
  for (std::size_t round = 0;; ++round) {
    if (round == kRestRounds) throw Failure("does not come to rest");
    everything_once();
    const bool all_gone = std::all_of(stream_.begin(), stream_.end(), [](const Stored& s) { return s.gone; });
    if (all_gone && core_->quiet()) break;
  }
  for (const Item& item : items_) judge_item(item, "at the end");
}

void World::step() {
  if (rng_.percent(kill_percent_)) return kill();
  if (rng_.percent(resend_percent_)) return resend();
  switch (rng_.below(12)) {
    case 0:
    case 1:
      return write();
    case 2:
      return read();
    case 3:
      return rng_.percent(60) ? change() : write();
    case 4:
    case 5:
      return give();
    case 6:
    case 7:
      return land(rng_.below(kPartitions), true);
    case 8:
      return hear();
    case 9:
      return answer_ask();
    case 10:
      return land_acknowledgement();
    default:
      return turn(milliseconds(rng_.below(400)));
  }
}

void World::everything_once() {
  give();
  for (std::size_t lane = 0; lane < kPartitions; ++lane) land(lane, true);
  hear();
  answer_ask();
  land_acknowledgement();
  turn(milliseconds(500));
}

void World::turn(milliseconds later) {
  now_ += later;
  wall_.value += later.count();
  core_->on_tick(now_);
  core_->end_turn(now_, wall_);
}

// ---- the core and the broker

void World::start() { core_ = std::make_unique<Core>(config_, *this); }

void World::kill() {
  ++tally_.kills;
  note("killed");
  for (std::size_t lane = 0; lane < kPartitions; ++lane)  // what has left may yet arrive
    for (std::size_t n = rng_.below(3); n > 0; --n) land(lane, false);
  for (std::size_t n = rng_.below(acknowledgements_.size() + 1); n > 0; --n) land_acknowledgement();
  for (auto& lane : lanes_) lane.clear();
  durable_.clear(), acknowledgements_.clear(), asks_.clear();
  next_ = in_hand_ = 0;
  for (Stored& s : stream_) s.acknowledged = s.gone;
  start();
}

void World::give() {
  while (next_ < stream_.size() && stream_[next_].gone) ++next_;
  if (next_ == stream_.size() || in_hand_ >= hands_max_) return;
  ++in_hand_;
  const std::size_t at = next_++;
  note("given " + std::to_string(at + 1));
  core_->on_batch(StreamSeq(at + 1), std::move(*Batch::decode(stream_[at].bytes)), wall_);
  if (faults_ && rng_.percent(5))  // given again, although in hand or acknowledged
    core_->on_batch(StreamSeq(at + 1), std::move(*Batch::decode(stream_[at].bytes)), wall_);
}

void World::publish(Partition to, const Envelope& e, Tag tag) {
  lanes_[to.value].push_back(
      {std::string(e.frame), {e.recipients.begin(), e.recipients.end()}, e.kind, e.group, e.to_device, tag});
  if (e.recipients.empty() && partition_of(e.to_user, kPartitions) != to) throw Failure("to the wrong partition");
}

void World::land(std::size_t at, bool hears) {
  auto& lane = lanes_[at];
  if (lane.empty()) return;
  const Expansion expansion = std::move(lane.front());
  lane.pop_front();
  if (expansion.kind == envelope::Kind::receipt) {
    judge_receipt(expansion);
  } else {
    const auto found = item_of_.find(expansion.frame);
    if (found == item_of_.end()) throw Failure("something that nobody wrote");
    for (const Recipient& to : expansion.recipients)
      judge_letter(items_[found->second], to, Partition(static_cast<std::uint16_t>(at)));
  }
  if (hears) durable_.push_back(expansion.tag);
}

void World::hear() {
  while (!durable_.empty()) {
    const Tag tag = durable_.front();
    durable_.pop_front();
    core_->on_durable(tag, wall_);
    if (faults_ && rng_.percent(50)) return;
  }
}

void World::acknowledge(StreamSeq seq) {
  Stored& stored = stream_[seq.value - 1];
  note("acknowledged " + std::to_string(seq.value));
  if (!stored.acknowledged) {
    stored.acknowledged = true;
    --in_hand_;
    if (!stored.repeat)
      for (const std::size_t item : stored.items) judge_item(items_[item], "when its batch is acknowledged");
  }
  acknowledgements_.push_back(seq);
}

void World::land_acknowledgement() {
  if (acknowledgements_.empty()) return;
  stream_[acknowledgements_.front().value - 1].gone = true;
  acknowledgements_.pop_front();
}

void World::answer_ask() {
  if (asks_.empty()) return;
  const std::size_t at = rng_.below(asks_.size());
  const Asked ask = asks_[at];
  asks_.erase(asks_.begin() + static_cast<std::ptrdiff_t>(at));
  if (faults_ && rng_.percent(failing_percent_)) {
    ++tally_.failed;
    core_->on_snapshot_failed(ask.group, ask.number, now_);
    if (rng_.percent(80)) return;  // else the answer comes nevertheless, and late
  }
  ++tally_.snapshots;
  const std::size_t group = ask.group.value - 1;
  control::GroupSnapshot snapshot;
  for (std::size_t v = groups_[group].versions.size(); v-- > 1;) {
    const State& state = groups_[group].versions[v];
    if (state.place >= ask.before) continue;
    snapshot.found = true;
    snapshot.version = v;
    snapshot.only_admins_send = state.only_admins_send;
    for (const auto& [id, role] : state.members) snapshot.members.push_back({id, role, user(id).devices});  // of now
    break;
  }
  note("snapshot of group " + std::to_string(ask.group.value) + " before " + std::to_string(ask.before.value) +
       ": version " + std::to_string(snapshot.version));
  core_->on_snapshot(ask.group, ask.number, snapshot, wall_);
}

// ---- people and the directory

void World::append(std::vector<std::size_t> items, bool repeat) {
  std::vector<Envelope> envelopes;
  for (const std::size_t at : items) {
    Item& item = items_[at];
    if (!repeat) item.place = StreamSeq(stream_.size() + 1);
    Envelope e;
    e.from_user = item.from, e.from_device = item.from_device, e.seq = item.seq, e.frame = item.frame;
    e.to_user = UserId(groups_[item.group].id.value), e.to_device = item.author;
    e.accepted_at = wall_, e.expires_at = WallMs{wall_.value + 1'000'000'000};
    e.kind = item.what == What::message ? envelope::Kind::message
             : item.what == What::event ? envelope::Kind::event
                                        : envelope::Kind::receipt;
    envelopes.push_back(e);
    note("written at " + std::to_string(stream_.size() + 1) + (repeat ? " again" : "") + ": kind " +
         std::to_string(static_cast<int>(item.what)) + " in group " + std::to_string(item.group + 1) + " by device " +
         std::to_string(item.from_device.value));
  }
  Stored stored;
  envelope::encode_batch(stored.bytes, 1, stream_.size(), envelopes);
  stored.items = std::move(items);
  stored.repeat = repeat;
  stream_.push_back(std::move(stored));
}

void World::write() {
  std::vector<std::size_t> batch;
  for (std::size_t n = rng_.between(1, 4); n > 0; --n) {
    const User& from = someone();
    Item item{What::message, rng_.below(groups_.size()), {}, from.id, from.devices[rng_.below(from.devices.size())]};
    item.seq = ++next_seq_[item.from_device];
    wire::append(item.frame, wire::Deliver{item.from, item.from_device, item.seq, 0, 0, "x", groups_[item.group].id});
    item_of_[item.frame] = items_.size();
    batch.push_back(items_.size());
    items_.push_back(std::move(item));
    ++tally_.messages;
  }
  append(std::move(batch));
}

void World::read() {
  const User& from = someone();
  const User& author = someone();
  Item item{What::read, rng_.below(groups_.size()), {}, from.id, from.devices[rng_.below(from.devices.size())]};
  item.author = author.devices[rng_.below(author.devices.size())];
  item.seq = ++next_seq_[item.from_device];
  // What was read is named after the notice, so that the judge knows which it was.
  const std::vector<SeqRange> ranges{{1'000 * item.seq + item.from_device.value, 1}};
  wire::append(item.frame,
               wire::GroupReceipt{groups_[item.group].id, wire::ReceiptKind::read, 0, {{{from.id}, ranges}}});
  items_.push_back(std::move(item));
  append({items_.size() - 1});
  ++tally_.reads;
}

// Offered again, as an edge does that has not heard of the first.
void World::resend() {
  if (items_.empty()) return;
  const std::size_t at = rng_.below(items_.size());
  if (items_[at].what != What::message) return;
  items_[at].resent = true;
  ++tally_.resent;
  append({at}, true);
}

void World::first_version(std::size_t group) {
  groups_.push_back({GroupId(group + 1), {State{}}});
  State state;
  wire::GroupEvent event;
  event.kind = GroupEventKind::created;
  for (const User& u : users_)
    if (rng_.percent(50)) state.members[u.id] = GroupRole::member;
  const UserId owner = someone().id;
  state.members[owner] = GroupRole::owner;
  event.actor = owner;
  for (const auto& [id, role] : state.members) event.users.push_back(id);
  publish_event(group, std::move(event), std::move(state));
}

void World::change() {
  const std::size_t group = rng_.below(groups_.size());
  State state = groups_[group].versions.back();
  wire::GroupEvent event;
  User& who = someone();
  const bool member = state.members.contains(who.id);
  event.actor = someone().id;
  switch (rng_.below(5)) {
    case 0:
      if (state.members.empty()) return;
      event.kind = GroupEventKind::edited;
      event.settings.only_admins_send = state.only_admins_send = rng_.percent(30);
      break;
    case 1:
      if (!member) return;
      event.kind = GroupEventKind::role_changed;
      event.role = state.members[who.id] = rng_.percent(50) ? GroupRole::admin : GroupRole::member;
      event.users = {who.id};
      break;
    case 2: {  // a device is replaced: a change of every group
      who.devices.erase(who.devices.begin());
      every_device_[DeviceId(++next_device_)] = who.id;
      who.devices.emplace_back(next_device_);
      born_[DeviceId(next_device_)] = StreamSeq(stream_.size() + 1);
      for (std::size_t g = 0; g < groups_.size(); ++g) {
        State same = groups_[g].versions.back();
        if (!same.members.contains(who.id)) continue;
        wire::GroupEvent changed;
        changed.kind = GroupEventKind::devices_changed;
        changed.actor = who.id;
        changed.users = {who.id};
        publish_event(g, std::move(changed), std::move(same));
      }
      return;
    }
    case 3:
      if (member) {
        ++tally_.removed;
        event.kind = rng_.percent(50) ? GroupEventKind::members_removed : GroupEventKind::member_left;
        if (event.kind == GroupEventKind::member_left)
          event.actor = who.id;
        else
          event.users = {who.id};
        state.members.erase(who.id);
        break;
      }
      [[fallthrough]];
    default:
      if (member) return;
      ++tally_.added;
      event.kind = GroupEventKind::members_added;
      event.users = {who.id};
      event.settings.only_admins_send = state.only_admins_send;
      state.members[who.id] = GroupRole::member;
  }
  publish_event(group, std::move(event), std::move(state));
}

void World::publish_event(std::size_t group, wire::GroupEvent event, State state) {
  Group& g = groups_[group];
  event.group = g.id;
  event.version = g.versions.size();
  const bool tells = event.kind == GroupEventKind::created || event.kind == GroupEventKind::members_added ||
                     event.kind == GroupEventKind::devices_changed;
  event.devices_left_out = tells && rng_.percent(left_out_percent_);
  tally_.left_out += event.devices_left_out ? 1 : 0;
  if (tells && !event.devices_left_out)
    for (const UserId id : event.users)
      for (const DeviceId device : user(id).devices) event.devices.push_back({id, device});
  state.place = StreamSeq(stream_.size() + 1);
  g.versions.push_back(std::move(state));
  Item item{What::event, group, {}, event.actor, DeviceId()};
  wire::append(item.frame, event);
  item_of_[item.frame] = items_.size();
  items_.push_back(std::move(item));
  append({items_.size() - 1});
  if (rng_.percent(10)) append({items_.size() - 1}, true);  // the directory has not heard, and publishes it again
  ++tally_.events;
}

// ---- the judge

const World::State& World::state_at(std::size_t group, StreamSeq place) const {
  const auto& versions = groups_[group].versions;
  for (std::size_t v = versions.size(); v-- > 1;)
    if (versions[v].place < place) return versions[v];
  return versions.front();
}

bool World::may_send(const Item& item) const {
  const State& state = state_at(item.group, item.place);
  const auto found = state.members.find(item.from);
  return found != state.members.end() && (!state.only_admins_send || found->second >= GroupRole::admin);
}

std::set<UserId> World::who_should_get(const Item& item) const {
  std::set<UserId> users;
  if (item.what == What::message && !may_send(item)) return users;
  for (const auto& [id, role] : state_at(item.group, item.place).members) users.insert(id);
  if (item.what == What::event)
    for (const auto& [id, role] : state_at(item.group, StreamSeq(item.place.value + 1)).members) users.insert(id);
  return users;
}

// A snapshot names the devices of now: a new one may get, or not, what was written before its time, after what was
// written since.
bool World::came_later(DeviceId device, const Item& item) const {
  const auto born = born_.find(device);
  return born != born_.end() && born->second > item.place;
}

// Everybody who should have it has it durably: every device that was there, and is there still.
void World::judge_item(const Item& item, const char* when) {
  const std::string name = "item at " + std::to_string(item.place.value) + " " + when;
  if (item.what == What::read) {
    const State& state = state_at(item.group, item.place);
    const UserId author = every_device_.at(item.author);
    const auto& devices = user(author).devices;
    const bool there = std::find(devices.begin(), devices.end(), item.author) != devices.end();
    if (!there || author == item.from || !state.members.contains(item.from) || !state.members.contains(author)) return;
    if (!read_known_.contains({item.author, item.group, item.from, 1'000 * item.seq + item.from_device.value}))
      throw Failure("the author does not know who read: " + name);
    return;
  }
  if (item.what == What::message && !may_send(item)) {
    if (!item.refused && !item.resent) throw Failure("refused, and the sender does not know: " + name);
    return;
  }
  for (const UserId id : who_should_get(item))
    for (const DeviceId device : user(id).devices) {
      if (device == item.from_device || came_later(device, item)) continue;
      if (!item.got.contains(device))
        throw Failure("device " + std::to_string(device.value) + " of a member does not get it: " + name);
    }
}

void World::judge_letter(Item& item, const Recipient& to, Partition partition) {
  const std::string name =
      "item at " + std::to_string(item.place.value) + " for device " + std::to_string(to.device.value);
  note("durable: " + name + (item.what == What::event ? ", event" : ", message") + " in group " +
       std::to_string(item.group + 1));
  if (every_device_.at(to.device) != to.user) throw Failure("not this user's device: " + name);
  if (partition_of(to.user, kPartitions) != partition) throw Failure("in the wrong partition: " + name);
  if (to.device == item.from_device) throw Failure("the author gets it back: " + name);
  if (item.resent) {  // a later copy may go to the members of its own place, when the first was another core's
    item.got.insert(to.device);
    return;
  }
  if (!who_should_get(item).contains(to.user)) throw Failure("who gets it is no member: " + name);
  if (!item.got.insert(to.device).second) {
    ++tally_.repeats;
    return;
  }
  const auto& devices = user(to.user).devices;
  const bool replaced = std::find(devices.begin(), devices.end(), to.device) == devices.end();  // it is revoked
  if (replaced || came_later(to.device, item)) return;
  StreamSeq& last = last_[{to.device, item.group}];
  if (item.place < last) throw Failure("out of order: " + name);
  last = item.place;
}

void World::judge_receipt(const Expansion& e) {
  const auto frame = wire::decode(*wire::split(e.frame));
  if (const auto* failed = std::get_if<wire::Receipt>(&*frame)) {
    ++tally_.refused;
    for (Item& item : items_)
      if (item.what == What::message && item.from_device == e.to_device && item.seq == failed->ranges.at(0).first) {
        if (may_send(item) && !item.resent) throw Failure("refused, and may send");
        item.refused = true;
      }
    return;
  }
  const auto& receipt = std::get<wire::GroupReceipt>(*frame);
  for (const auto& part : receipt.parts)
    for (const UserId reader : part.users)
      for (const SeqRange& range : part.ranges)
        for (std::uint64_t seq = range.first; seq < range.first + range.count; ++seq) {
          const bool written = std::any_of(items_.begin(), items_.end(), [&](const Item& item) {
            return item.what == What::read && item.author == e.to_device && item.from == reader &&
                   groups_[item.group].id == receipt.group && 1'000 * item.seq + item.from_device.value == seq &&
                   state_at(item.group, item.place).members.contains(reader);
          });
          if (!written) throw Failure("a receipt for what nobody read");
          read_known_.insert({e.to_device, receipt.group.value - 1, reader, seq});
        }
}

}  // namespace barid::fanout::sim
