// Who of one partition's users is online, was last seen when, and types to whom; and who watches them. A pure core:
// events and time in, effects out through PresencePort, which must not call back. Ephemeral: nothing is queued beyond
// one entry for each pair of watched and watcher, and each pair is told at most once a kTellEvery. Belongs to its
// Owned, on the owner's loop.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "schemas/control.h"
#include "workers/delivery/core.h"

namespace barid::delivery {

class PresencePort {
 public:
  virtual ~PresencePort() = default;
  virtual void tell(EdgeRef edge, ConnId conn, const wire::PresenceEntry& entry) = 0;
  virtual void ask_rights(std::uint64_t ask, const std::vector<control::PresencePair>& pairs) = 0;  // → on_rights
  virtual void ask_members(GroupId group) = 0;                                                      // → on_members
  virtual void write_last_seen(const std::vector<control::LastSeen>& seen) = 0;  // → on_last_seen_written
};

struct PresenceConfig {
  milliseconds grace{10'000};
  milliseconds last_seen_every{10'000};
};

struct PresenceStats {  // since construction
  std::uint64_t told = 0, typings = 0, typings_shed = 0, watches_refused = 0, questions = 0, seen_written = 0;
};

class Presence {
 public:
  static constexpr milliseconds kTellEvery{1'000};           // a pair
  static constexpr milliseconds kTellEveryUnderLoad{5'000};  // all pairs
  static constexpr milliseconds kTypingFor{8'000};           // without being repeated
  static constexpr milliseconds kRightsFor{60'000}, kRightsRefresh{30'000};
  static constexpr milliseconds kAskAgain{2'000};  // after a question without an answer
  static constexpr std::size_t kTellsPerTurn = 4'096;
  static constexpr std::size_t kWatchesMax = 262'144;         // pairs, in all
  static constexpr std::size_t kWatchersPerUserMax = 16'384;  // connections
  static constexpr std::size_t kGroupsMax = 4'096;            // watched
  static constexpr std::size_t kTypistsPerGroupMax = 16;
  static constexpr std::size_t kQuestionsMax = 4;         // under way
  static constexpr std::size_t kSeenPendingMax = 65'536;  // last-seen times that wait to be written
  static constexpr std::size_t kChangedMax = 4'096;       // users whose rights changed, between two ticks

  Presence(PresenceConfig config, const Directory& directory, PresencePort& port, TimePoint now);
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

  void on_session(UserId user, bool open, TimePoint now, WallMs wall);  // one of the user's devices
  void on_watch(EdgeRef edge, const control::WatchSet& watch, TimePoint now);
  void on_typing(const control::TypingNote& note, TimePoint now);
  void on_edge_gone(EdgeRef edge);
  // What may be seen of this user, or what this user may see.
  void on_rights_changed(UserId user);

  // nullopt: no answer.
  void on_rights(std::uint64_t ask, const std::optional<std::vector<control::PresenceRights>>& rights, TimePoint now);
  void on_members(GroupId group, const std::optional<std::vector<UserId>>& members, TimePoint now);
  void on_last_seen_written(bool written);

  void on_tick(TimePoint now);  // a few times a second
  void end_turn(TimePoint now, bool under_load);
  TimePoint due() const;  // when end_turn() is to be called at the latest

  // What has not been written yet, for the last report before the end.
  std::vector<control::LastSeen> take_last_seen();

  const PresenceStats& stats() const { return stats_; }
  std::size_t watches() const { return watches_; }
  bool online(UserId user) const;

 private:
  struct Key {
    EdgeRef edge;
    ConnId conn;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& k) const { return std::hash<ConnId>{}(k.conn) + 31 * k.edge; }
  };
  struct Ref {  // a pair, by name: it may be gone
    UserId watched;
    Key by;
  };
  struct User {
    std::uint32_t sessions = 0;
    TimePoint offline_at = TimePoint::max();  // the end of the grace
    std::int64_t seen_ms = 0;                 // when the last session ended
  };
  struct Sub {
    UserId watcher;
    control::PresenceRights rights;
    TimePoint rights_until{};  // later: nothing is known
    TimePoint refresh_at{};
    TimePoint next_tell{}, typing_until{};
    wire::PresenceEntry told;
    wire::TypingState typing = wire::TypingState::stopped;
    bool asked = false;    // waits for an answer, or to be asked
    bool due = false;      // stands in due_
    bool renewed = false;  // stands in refresh_
    bool again = false;    // what was told may have been lost
  };
  struct Watched {
    std::unordered_map<Key, Sub, KeyHash> subs;
    std::int64_t seen_ms = 0;  // the latest that we know
  };
  struct Watcher {
    UserId user;
    std::vector<UserId> users;
    std::vector<GroupId> groups;
  };
  struct Typist {
    UserId user;
    wire::TypingState state = wire::TypingState::stopped, told = wire::TypingState::stopped;
    TimePoint until{}, next_tell{};
  };
  struct Group {
    std::unordered_map<Key, UserId, KeyHash> subs;
    std::unordered_set<UserId> members;
    TimePoint ask_at{}, members_until{};
    bool asked = false;
    std::vector<Typist> typists;
  };

  Sub* find(const Ref& ref);
  void add_user(const Key& key, UserId watcher, UserId user, TimePoint now);
  void add_group(const Key& key, UserId watcher, GroupId group, TimePoint now);
  void drop_user(const Key& key, UserId user);
  void drop_group(const Key& key, GroupId group);
  void drop(const Key& key);
  void mark(const Ref& ref, Sub& sub, TimePoint now);
  void mark_watched(UserId user, TimePoint now);
  void want_rights(const Ref& ref, Sub& sub);
  void ask(TimePoint now);
  void renew_rights(TimePoint now);
  void take_changed(TimePoint now);
  void note_seen(UserId user, std::int64_t at_ms);
  void expire_typing(TimePoint now);
  void type_in_group(const control::TypingNote& note, TimePoint now);
  void tell_groups(TimePoint now);
  std::optional<wire::PresenceEntry> entry_of(UserId watched, const Watched& w, const Sub& sub, TimePoint now) const;
  bool blocked(UserId a, UserId b) const { return directory_.blocks(a, b) || directory_.blocks(b, a); }

  PresenceConfig config_;
  const Directory& directory_;
  PresencePort& port_;
  PresenceStats stats_;
  TimePoint known_from_;  // all edges have spoken: who has no session is offline
  TimePoint write_at_, loaded_next_{}, ask_after_{};
  bool loaded_ = false, writing_ = false;
  std::unordered_map<UserId, User> users_;          // online, or within the grace
  std::set<std::pair<TimePoint, UserId>> leaving_;  // within the grace, by its end
  std::unordered_map<UserId, Watched> watched_;
  std::unordered_map<Key, Watcher, KeyHash> watchers_;
  std::unordered_map<GroupId, Group> groups_;
  std::size_t watches_ = 0;
  std::multimap<TimePoint, Ref> due_;  // each pair at most once
  std::vector<Ref> typing_;            // pairs of which one types
  std::unordered_set<GroupId> typing_groups_;
  std::deque<Ref> to_ask_;                 // each pair at most once
  std::multimap<TimePoint, Ref> refresh_;  // each pair at most once
  std::unordered_map<std::uint64_t, std::vector<Ref>> questions_;
  std::uint64_t next_question_ = 1;
  std::unordered_set<UserId> changed_;
  std::unordered_map<UserId, std::int64_t> seen_;
  std::vector<control::LastSeen> seen_under_way_;
};

}  // namespace barid::delivery
