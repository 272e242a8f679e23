#include "workers/delivery/presence.h"

#include <algorithm>

namespace barid::delivery {

using control::LastSeen;
using wire::PresenceEntry;
using wire::PresenceState;
using wire::TypingState;

Presence::Presence(PresenceConfig config, const Directory& directory, PresencePort& port, TimePoint now)
    : config_(config),
      directory_(directory),
      port_(port),
      known_from_(now + config.grace),
      write_at_(now + config.last_seen_every) {}

// ---- who is there

bool Presence::online(UserId user) const { return users_.contains(user); }

void Presence::on_session(UserId user, bool open, TimePoint now, WallMs wall) {
  if (open) {
    const bool was_there = users_.contains(user);
    User& u = users_[user];
    ++u.sessions;
    leaving_.erase({std::exchange(u.offline_at, TimePoint::max()), user});
    if (!was_there) mark_watched(user, now);
    return;
  }
  const auto found = users_.find(user);
  if (found == users_.end() || found->second.sessions == 0) return;
  User& u = found->second;
  if (--u.sessions != 0) return;
  u.seen_ms = wall.value;
  u.offline_at = now + config_.grace;
  leaving_.emplace(u.offline_at, user);
}

void Presence::note_seen(UserId user, std::int64_t at_ms) {
  if (const auto watched = watched_.find(user); watched != watched_.end())
    watched->second.seen_ms = std::max(watched->second.seen_ms, at_ms);
  const auto known = seen_.find(user);
  if (known != seen_.end()) {
    known->second = std::max(known->second, at_ms);
  } else if (seen_.size() < kSeenPendingMax) {
    seen_.emplace(user, at_ms);
  }
}

// ---- who watches

Presence::Sub* Presence::find(const Ref& ref) {
  const auto watched = watched_.find(ref.watched);
  if (watched == watched_.end()) return nullptr;
  const auto sub = watched->second.subs.find(ref.by);
  return sub == watched->second.subs.end() ? nullptr : &sub->second;
}

void Presence::on_watch(EdgeRef edge, const control::WatchSet& watch, TimePoint now) {
  const Key key{edge, watch.conn};
  if (watch.users.empty() && watch.groups.empty()) return drop(key);
  Watcher& w = watchers_[key];
  const std::vector<UserId> users = std::exchange(w.users, {});
  const std::vector<GroupId> groups = std::exchange(w.groups, {});
  w.user = watch.user;
  const auto in = [](const auto& list, auto id) { return std::find(list.begin(), list.end(), id) != list.end(); };
  for (const UserId user : users)
    if (!in(watch.users, user)) drop_user(key, user);
  for (const GroupId group : groups)
    if (!in(watch.groups, group)) drop_group(key, group);
  for (const UserId user : watch.users)
    if (!in(w.users, user)) add_user(key, watch.user, user, now);
  for (const GroupId group : watch.groups)
    if (!in(w.groups, group)) add_group(key, watch.user, group, now);
  if (w.users.empty() && w.groups.empty()) watchers_.erase(key);
}

void Presence::add_user(const Key& key, UserId watcher, UserId user, TimePoint now) {
  const Ref ref{user, key};
  if (Sub* known = find(ref)) {  // offered again: what was told may not have arrived
    known->again = true;
    watchers_[key].users.push_back(user);
    return mark(ref, *known, now);
  }
  Watched& w = watched_[user];
  if (watches_ >= kWatchesMax || w.subs.size() >= kWatchersPerUserMax) {
    ++stats_.watches_refused;
    if (w.subs.empty()) watched_.erase(user);
    return;
  }
  ++watches_;
  watchers_[key].users.push_back(user);
  if (const auto waiting = seen_.find(user); waiting != seen_.end()) w.seen_ms = std::max(w.seen_ms, waiting->second);
  Sub& sub = w.subs[key];
  sub.watcher = watcher;
  sub.told = PresenceEntry{user, {}, PresenceState::hidden, TypingState::stopped, 0};
  want_rights(ref, sub);
}

void Presence::add_group(const Key& key, UserId watcher, GroupId group, TimePoint now) {
  const auto known = groups_.find(group);
  const bool fits = known == groups_.end()
                        ? groups_.size() < kGroupsMax
                        : known->second.subs.contains(key) || known->second.subs.size() < kWatchersPerUserMax;
  if (!fits || watches_ >= kWatchesMax) {
    ++stats_.watches_refused;
    return;
  }
  watchers_[key].groups.push_back(group);
  Group& g = groups_[group];
  if (known == groups_.end()) g.ask_at = now;
  if (g.subs.emplace(key, watcher).second) ++watches_;
}

void Presence::drop_user(const Key& key, UserId user) {
  const auto watched = watched_.find(user);
  if (watched == watched_.end()) return;
  watches_ -= watched->second.subs.erase(key);
  if (watched->second.subs.empty()) watched_.erase(watched);
}

void Presence::drop_group(const Key& key, GroupId group) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return;
  watches_ -= found->second.subs.erase(key);
  if (!found->second.subs.empty()) return;
  typing_groups_.erase(group);
  groups_.erase(found);
}

void Presence::drop(const Key& key) {
  const auto found = watchers_.find(key);
  if (found == watchers_.end()) return;
  for (const UserId user : found->second.users) drop_user(key, user);
  for (const GroupId group : found->second.groups) drop_group(key, group);
  watchers_.erase(found);
}

void Presence::on_edge_gone(EdgeRef edge) {
  std::vector<Key> gone;
  for (const auto& [key, watcher] : watchers_)
    if (key.edge == edge) gone.push_back(key);
  for (const Key& key : gone) drop(key);
}

// ---- who may see what

void Presence::want_rights(const Ref& ref, Sub& sub) {
  if (std::exchange(sub.asked, true)) return;
  to_ask_.push_back(ref);
}

void Presence::ask(TimePoint now) {
  while (!to_ask_.empty() && now >= ask_after_ && questions_.size() < kQuestionsMax) {
    std::vector<Ref> refs;
    std::vector<control::PresencePair> pairs;
    for (; !to_ask_.empty() && pairs.size() < limits::kPresencePairsMax; to_ask_.pop_front()) {
      const Ref& ref = to_ask_.front();
      const Sub* sub = find(ref);
      if (sub == nullptr) continue;
      refs.push_back(ref);
      pairs.push_back({ref.watched, sub->watcher});
    }
    if (refs.empty()) return;
    ++stats_.questions;
    const std::uint64_t question = next_question_++;
    questions_.emplace(question, std::move(refs));
    port_.ask_rights(question, pairs);
  }
}

void Presence::on_rights(std::uint64_t question, const std::optional<std::vector<control::PresenceRights>>& rights,
                         TimePoint now) {
  const auto node = questions_.extract(question);
  if (node.empty()) return;
  const std::vector<Ref>& refs = node.mapped();
  const bool answered = rights && rights->size() == refs.size();
  if (!answered) ask_after_ = now + kAskAgain;
  for (std::size_t i = 0; i < refs.size(); ++i) {
    Sub* sub = find(refs[i]);
    if (sub == nullptr || !sub->asked) continue;
    sub->asked = false;
    if (!answered) {
      want_rights(refs[i], *sub);
      if (now >= sub->rights_until) mark(refs[i], *sub, now);  // hidden from here on
      continue;
    }
    sub->rights = (*rights)[i];
    sub->rights_until = now + kRightsFor;
    sub->refresh_at = now + kRightsRefresh;
    if (!std::exchange(sub->renewed, true)) refresh_.emplace(sub->refresh_at, refs[i]);
    mark(refs[i], *sub, now);
  }
}

void Presence::renew_rights(TimePoint now) {
  while (!refresh_.empty() && refresh_.begin()->first <= now) {
    const Ref ref = refresh_.extract(refresh_.begin()).mapped();
    Sub* sub = find(ref);
    if (sub == nullptr || !sub->renewed) continue;
    if (now < sub->refresh_at) {  // an answer came in between
      refresh_.emplace(sub->refresh_at, ref);
      continue;
    }
    sub->renewed = false;
    want_rights(ref, *sub);
  }
  for (auto& [id, group] : groups_) {
    if (group.asked || now < group.ask_at) continue;
    group.asked = true;
    port_.ask_members(id);
  }
}

void Presence::on_rights_changed(UserId user) {
  if (changed_.size() < kChangedMax) changed_.insert(user);  // else: what is known runs out in time
}

void Presence::take_changed(TimePoint now) {
  if (changed_.empty()) return;
  const auto again = [&](const Ref& ref, Sub& sub) {
    want_rights(ref, sub);
    mark(ref, sub, now);
  };
  for (const UserId user : changed_)
    if (const auto watched = watched_.find(user); watched != watched_.end())
      for (auto& [key, sub] : watched->second.subs) again({user, key}, sub);
  for (const auto& [key, watcher] : watchers_) {
    if (!changed_.contains(watcher.user)) continue;
    for (const UserId user : watcher.users)
      if (Sub* sub = find({user, key})) again({user, key}, *sub);
  }
  changed_.clear();
}

void Presence::on_members(GroupId id, const std::optional<std::vector<UserId>>& members, TimePoint now) {
  const auto found = groups_.find(id);
  if (found == groups_.end()) return;
  Group& group = found->second;
  group.asked = false;
  group.ask_at = now + (members ? kRightsRefresh : kAskAgain);
  if (!members) return;
  group.members = {members->begin(), members->end()};
  group.members_until = now + kRightsFor;
}

// ---- who types

void Presence::on_typing(const control::TypingNote& note, TimePoint now) {
  ++stats_.typings;
  if (loaded_) {
    ++stats_.typings_shed;
    return;
  }
  if (note.to_group != GroupId()) return type_in_group(note, now);
  const auto watched = watched_.find(note.user);
  if (watched == watched_.end()) return;
  for (auto& [key, sub] : watched->second.subs) {
    if (sub.watcher != note.to_user || now >= sub.rights_until) continue;
    if (sub.rights.blocked || blocked(note.user, note.to_user)) continue;
    const Ref ref{note.user, key};
    if (typing_.size() >= kWatchesMax) return;
    if (note.state != TypingState::stopped && sub.typing == TypingState::stopped) typing_.push_back(ref);
    sub.typing_until = now + kTypingFor;
    if (std::exchange(sub.typing, note.state) != note.state) mark(ref, sub, now);
  }
}

void Presence::type_in_group(const control::TypingNote& note, TimePoint now) {
  const auto found = groups_.find(note.to_group);
  if (found == groups_.end() || now >= found->second.members_until || !found->second.members.contains(note.user))
    return;
  Group& group = found->second;
  auto typist = std::find_if(group.typists.begin(), group.typists.end(), [&](auto& t) { return t.user == note.user; });
  if (typist == group.typists.end()) {
    if (note.state == TypingState::stopped) return;
    if (group.typists.size() >= kTypistsPerGroupMax) {
      ++stats_.typings_shed;
      return;
    }
    typist = group.typists.insert(group.typists.end(), Typist{note.user, {}, {}, {}, {}});
  }
  typist->state = note.state;
  typist->until = now + kTypingFor;
  typing_groups_.insert(note.to_group);
}

void Presence::expire_typing(TimePoint now) {
  std::erase_if(typing_, [&](const Ref& ref) {
    Sub* sub = find(ref);
    if (sub == nullptr || sub->typing == TypingState::stopped) return true;
    if (now < sub->typing_until) return false;
    sub->typing = TypingState::stopped;
    mark(ref, *sub, now);
    return true;
  });
  for (const GroupId id : typing_groups_)
    for (Typist& typist : groups_.at(id).typists)
      if (now >= typist.until) typist.state = TypingState::stopped;
}

void Presence::tell_groups(TimePoint now) {
  std::erase_if(typing_groups_, [&](GroupId id) {
    Group& group = groups_.at(id);
    std::erase_if(group.typists, [&](Typist& t) {
      if (t.state != t.told && now >= t.next_tell) {
        for (const auto& [key, user] : group.subs) {
          if (user == t.user || !group.members.contains(user) || blocked(user, t.user)) continue;
          ++stats_.told;
          port_.tell(key.edge, key.conn, {t.user, id, PresenceState::hidden, t.state, 0});
        }
        t.told = t.state;
        t.next_tell = now + kTellEvery;
      }
      return t.state == TypingState::stopped && t.told == t.state && now >= t.next_tell;
    });
    return group.typists.empty();
  });
}

// ---- telling

void Presence::mark(const Ref& ref, Sub& sub, TimePoint now) {
  if (std::exchange(sub.due, true)) return;
  due_.emplace(std::max(now, sub.next_tell), ref);
}

void Presence::mark_watched(UserId user, TimePoint now) {
  const auto watched = watched_.find(user);
  if (watched == watched_.end()) return;
  for (auto& [key, sub] : watched->second.subs) mark({user, key}, sub, now);
}

// nullopt: not known yet.
std::optional<PresenceEntry> Presence::entry_of(UserId watched, const Watched& w, const Sub& sub, TimePoint now) const {
  PresenceEntry entry{watched, {}, PresenceState::hidden, TypingState::stopped, 0};
  if (now >= sub.rights_until || sub.rights.blocked || blocked(watched, sub.watcher)) return entry;
  entry.typing = sub.typing;
  const bool here = online(watched);
  if (!here && now < known_from_) return std::nullopt;
  if (sub.rights.online) entry.state = here ? PresenceState::online : PresenceState::offline;
  if (sub.rights.last_seen && entry.state != PresenceState::online)
    entry.last_seen_ms = std::max(w.seen_ms, sub.rights.last_seen_ms);
  return entry;
}

void Presence::end_turn(TimePoint now, bool under_load) {
  loaded_ = under_load;
  ask(now);
  if (loaded_) {
    if (now < loaded_next_) return;
    loaded_next_ = now + kTellEveryUnderLoad;
  }
  if (!typing_groups_.empty()) tell_groups(now);
  for (std::size_t told = 0; told < kTellsPerTurn && !due_.empty() && due_.begin()->first <= now;) {
    const Ref ref = due_.extract(due_.begin()).mapped();
    Sub* sub = find(ref);
    if (sub == nullptr || !sub->due) continue;
    sub->due = false;
    if (now < sub->next_tell) {  // an entry of a pair that ended and began anew
      mark(ref, *sub, now);
      continue;
    }
    const auto entry = entry_of(ref.watched, watched_.at(ref.watched), *sub, now);
    if (!entry) {
      sub->next_tell = known_from_;
      mark(ref, *sub, now);
      continue;
    }
    if (*entry == sub->told && !sub->again) continue;
    sub->told = *entry;
    sub->again = false;
    sub->next_tell = now + kTellEvery;
    ++told;
    ++stats_.told;
    port_.tell(ref.by.edge, ref.by.conn, *entry);
  }
}

TimePoint Presence::due() const {
  if (due_.empty()) return TimePoint::max();
  return loaded_ ? std::max(due_.begin()->first, loaded_next_) : due_.begin()->first;
}

// ---- time

void Presence::on_tick(TimePoint now) {
  while (!leaving_.empty() && leaving_.begin()->first <= now) {
    const UserId user = leaving_.extract(leaving_.begin()).value().second;
    const auto found = users_.find(user);
    const std::int64_t seen_ms = found->second.seen_ms;
    users_.erase(found);
    note_seen(user, seen_ms);
    mark_watched(user, now);
  }
  expire_typing(now);
  renew_rights(now);
  take_changed(now);
  if (now < write_at_ || writing_) return;
  write_at_ = now + config_.last_seen_every;
  if (seen_.empty()) return;
  for (auto it = seen_.begin(); it != seen_.end() && seen_under_way_.size() < limits::kLastSeenBatchMax;) {
    seen_under_way_.push_back({it->first, it->second});
    it = seen_.erase(it);
  }
  if (!seen_.empty()) write_at_ = now;  // one at a time, as fast as they are taken
  writing_ = true;
  port_.write_last_seen(seen_under_way_);
}

void Presence::on_last_seen_written(bool written) {
  writing_ = false;
  const std::vector<LastSeen> batch = std::exchange(seen_under_way_, {});
  if (written) stats_.seen_written += batch.size();
  if (written) return;
  for (const LastSeen& seen : batch) note_seen(seen.user, seen.at_ms);
}

std::vector<LastSeen> Presence::take_last_seen() {
  for (const LastSeen& seen : std::exchange(seen_under_way_, {})) note_seen(seen.user, seen.at_ms);
  for (const auto& [user, u] : users_)
    if (u.sessions == 0) note_seen(user, u.seen_ms);
  std::vector<LastSeen> all;
  for (const auto& [user, at_ms] : std::exchange(seen_, {})) all.push_back({user, at_ms});
  return all;
}

}  // namespace barid::delivery
