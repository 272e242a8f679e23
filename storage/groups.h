// Groups: who is in them, with which role, and everything that ever changed. A handle on a Pool, cheap to copy; any
// thread. Each verb is one transaction under the lock of the group's row: it looks whether the actor may, makes the
// next version and writes its event. Verbs are safe to repeat: what is so already is answered with the version as it
// is, and that is also how a commit whose fate is unknown is looked up. Events wait in unpublished() until published().
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "storage/group_rules.h"

namespace pqxx {
class transaction_base;
}

namespace barid::storage {

class Pool;
class GroupTurn;

// As wire::GroupEventKind.
enum class GroupEventKind : std::int16_t {
  created,
  edited,
  members_added,
  members_removed,
  member_left,
  role_changed,
  deleted,
  invite_changed,
  join_requested,
  devices_changed,
};
struct GroupText {
  std::string name, description, picture;
  bool operator==(const GroupText&) const = default;
};
struct UserDevice {
  UserId user;
  DeviceId device;
};
struct GroupEvent {
  GroupId group;
  std::uint64_t version = 0;
  GroupEventKind kind = GroupEventKind::created;
  GroupRole role = GroupRole::none;
  UserId actor;
  WallMs at;
  std::vector<UserId> users;
  std::vector<UserDevice> devices;  // of users, live ones
  bool devices_left_out = false;
  GroupText text;
  GroupSettings settings;
};

struct GroupMember {
  UserId user;
  GroupRole role = GroupRole::member;
};
struct Group {
  GroupId group;
  std::uint64_t version = 0;
  WallMs created_at;
  UserId created_by;
  GroupText text;
  GroupSettings settings;
  std::vector<GroupMember> members;
};
struct GroupShort {
  GroupId group;
  std::uint64_t version = 0;
  std::string name;
  GroupRole role = GroupRole::none;
  std::uint32_t members = 0;
};

class Groups {
 public:
  // The frame that members get of an event. Pure.
  using Encode = std::function<std::string(const GroupEvent&)>;
  struct Limits {
    std::size_t members = 1'024;          // of a group
    std::size_t groups_per_user = 1'000;  // that one may be in
    std::size_t waiting = 256;            // join requests of a group
    std::size_t event_devices = 2'048;    // listed in one event
  };
  static constexpr int kIdAttempts = 5;

  Groups(Pool& pool, Encode encode, Limits limits) : pool_(&pool), encode_(std::move(encode)), limits_(limits) {}

  template <class T>
  using Outcome = Result<T, GroupErrc>;
  struct Changed {
    GroupId group;
    std::uint64_t version = 0;
    std::vector<UserId> skipped;  // could not be added: no such user, blocks the actor, in too many groups
  };

  struct Draft {
    std::uint64_t key = 0;  // the same one of the same creator again gives the same group
    GroupText text;
    GroupSettings settings;
    std::vector<UserId> members;
  };
  Outcome<Changed> create(UserId actor, const Draft& draft, WallMs now);
  struct Edit {
    std::uint64_t expected_version = 0;  // 0: whatever it is
    std::optional<std::string> name, description, picture;
    std::optional<GroupSettings> settings;
  };
  Outcome<Changed> edit(UserId actor, GroupId group, const Edit& edit, WallMs now);
  Outcome<Changed> add(UserId actor, GroupId group, const std::vector<UserId>& users, WallMs now);
  Outcome<Changed> remove(UserId actor, GroupId group, const std::vector<UserId>& users, WallMs now);
  Outcome<Changed> set_role(UserId actor, GroupId group, UserId user, GroupRole role, WallMs now);
  // The last member who leaves ends the group. successor: 0, or who becomes owner.
  Outcome<Changed> leave(UserId actor, GroupId group, UserId successor, WallMs now);
  Outcome<Changed> end(UserId actor, GroupId group, WallMs now);

  Outcome<Group> info(UserId actor, GroupId group);
  // The groups of a user after `after`, by growing id.
  std::vector<GroupShort> of_user(UserId user, GroupId after, std::size_t most);

  // An invite is named by 16 random bytes, which the caller turns into a link and back.
  struct Invite {
    std::string nonce;
    WallMs at;
    UserId by;
  };
  Outcome<Invite> invite(UserId actor, GroupId group);  // not_found: there is none
  Outcome<Invite> make_invite(UserId actor, GroupId group, const std::string& nonce, WallMs now);
  Outcome<Changed> revoke_invite(UserId actor, GroupId group, WallMs now);
  std::optional<std::string> invite_nonce(GroupId group);  // to compare with, no rights asked
  struct Joined {
    GroupId group;
    bool waiting = false;  // for an admin
  };
  // `nonce`: of the link, found right; not_found when it is not the group's (any more).
  Outcome<Joined> join(UserId user, GroupId group, const std::string& nonce, WallMs now);
  struct JoinRequest {
    UserId user;
    WallMs at;
  };
  Outcome<std::vector<JoinRequest>> join_requests(UserId actor, GroupId group);  // oldest first
  Outcome<Changed> answer(UserId actor, GroupId group, UserId user, bool accept, WallMs now);

  // ---- the outbox: events in order of version, and users whose devices changed

  struct Unpublished {
    std::uint64_t version = 0;
    WallMs at;
    std::string frame;
  };
  std::vector<Unpublished> unpublished(GroupId group, std::size_t most);
  std::vector<GroupId> with_unpublished(std::size_t most);
  // The first place that is told stands.
  void published(GroupId group, std::uint64_t version, StreamSeq seq, const std::string& incarnation);
  struct DeviceChange {
    UserId user;
    GroupId group;
  };
  std::vector<DeviceChange> device_changes(std::size_t most);
  std::vector<DeviceChange> device_changes_of(UserId user, std::size_t most);
  void tell_device_change(DeviceChange change, WallMs now);  // makes the event devices_changed of it

  // ---- for the fan-out

  struct Snapshot {
    struct Member {
      UserId user;
      GroupRole role = GroupRole::member;
      std::vector<DeviceId> devices;  // live now
    };
    std::uint64_t version = 0;
    bool only_admins_send = false;
    std::vector<Member> members;
  };
  // As it was at a place of the stream of this incarnation: after all events that are before it. 0: as published now.
  std::optional<Snapshot> as_of(GroupId group, StreamSeq before, const std::string& incarnation);

  void forget_before(WallMs now);  // housekeeping: published events that are older, but for each group's last

 private:
  template <class T, class Verb>
  Outcome<T> transact(const char* what, const Verb& verb);
  template <class T, class Verb>
  Outcome<T> as_member(const char* what, UserId actor, GroupId group, WallMs now, const Verb& verb);
  Outcome<Changed> create_in(pqxx::transaction_base& work, UserId actor, const Draft& draft, GroupId id, WallMs now);

  Pool* pool_;
  Encode encode_;
  Limits limits_;
};

// Private to storage/: part of the transaction that changes a user's devices.
void note_devices_changed(pqxx::transaction_base& work, UserId user);

}  // namespace barid::storage
