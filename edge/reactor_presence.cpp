// The reactor and presence: what connections watch goes to the owners of those watched, what these tell goes out at
// most once a second. All of it may be left out: nothing waits but one entry for each that is watched.
#include <map>

#include "base/partition.h"
#include "edge/reactor.h"

namespace barid::edge {

void Reactor::watch(Connection& c) {
  if (c.watching == nullptr) c.watching = std::make_unique<Watching>();
  if (c.watching->watch(std::move(*effects_.watch), turn_)) offer_watch(c, std::nullopt);
  list_watching(c);
}

// only: the partition whose owner has to hear it (again).
void Reactor::offer_watch(Connection& c, std::optional<Partition> only) {
  std::map<Partition, control::WatchSet> sets;
  for (const UserId user : c.watching->wanted().users)
    sets[partition_of(user, rules_.partitions)].users.push_back(user);
  for (const GroupId group : c.watching->wanted().groups)
    sets[partition_of(UserId(group.value), rules_.partitions)].groups.push_back(group);
  if (!only) {
    std::vector<Partition> to;
    for (const auto& [partition, set] : sets) to.push_back(partition);
    for (const Partition partition : c.watching->offered(std::move(to), turn_)) sets[partition];
  }
  const Online& online = *c.session.online();
  for (auto& [partition, set] : sets)
    if (!only || *only == partition)
      owners_->watch({partition, online.user, online.device, c.id, std::move(set.users), std::move(set.groups)});
}

void Reactor::end_watch(Connection& c, const Online& was) {
  if (c.watching == nullptr) return;
  for (const Partition partition : c.watching->offered_to())
    owners_->watch({partition, was.user, was.device, c.id, {}, {}});
  c.watching.reset();
}

void Reactor::tell_typing(Connection& c) {
  if (c.watching == nullptr) c.watching = std::make_unique<Watching>();
  const wire::Typing& typing = *effects_.typing;
  if (engine_->under_load() || !c.watching->may_type(turn_)) return tally_.add(Count::typing_shed);
  const UserId user = c.session.online()->user;
  const UserId place = typing.group == GroupId() ? user : UserId(typing.group.value);
  const control::TypingNote note{user, typing.user, typing.group, typing.state};
  if (!owners_->typing(partition_of(place, rules_.partitions), note)) tally_.add(Count::typing_shed);
}

void Reactor::take_presence(const control::PresenceUpdate& update) {
  Connection* c = owners_->admit(update.partition, update.epoch) ? find(update.conn) : nullptr;
  if (c == nullptr || c->leaving || c->watching == nullptr || !c->watching->add(update.entry))
    return tally_.add(Count::presence_dropped);
  list_watching(*c);
}

void Reactor::list_watching(Connection& c) {
  if (!c.watching->has_work() || std::exchange(c.watching->listed, true)) return;
  watching_new_.push_back(c.id);
}

// Those whose time has come; true: there is more to come for it later.
bool Reactor::flush_watching(ConnId id) {
  Connection* c = find(id);
  if (c == nullptr || c->leaving || c->watching == nullptr) return false;
  Watching& w = *c->watching;
  if (w.offer_due(turn_)) offer_watch(*c, std::nullopt);
  const std::size_t backlog = c->out.size() + (c->in_flight.size() - c->sent);
  if (backlog < kPresenceBacklogMax && w.frame_due(turn_, engine_->under_load())) {
    wire::append(out_of(*c), w.take(turn_));
    tally_.add(Count::presence_frames);
    tally_.add(Count::frames_out);
  }
  return w.listed = w.has_work();
}

// The first frame after a quiet second leaves with the turn that brought it, the others with a tick.
void Reactor::flush_presence(bool tick) {
  if (tick) std::erase_if(watching_, [this](ConnId id) { return !flush_watching(id); });
  for (const ConnId id : std::exchange(watching_new_, {}))
    if (flush_watching(id)) watching_.push_back(id);
}

}  // namespace barid::edge
