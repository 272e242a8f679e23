// Presence on the wire: frames, and the bodies of requests and responses.
#include "schemas/wire_presence.h"

#include "schemas/wire_request.h"

namespace barid::wire {
namespace {

template <class IdType>
std::vector<IdType> read_ids(capnp::List<std::uint64_t>::Reader list, std::size_t most) {
  if (list.size() > most) refuse(Code::malformed);
  std::vector<IdType> ids;
  ids.reserve(list.size());
  for (const std::uint64_t id : list) ids.emplace_back(id);
  return ids;
}
template <class IdType>
void fill_ids(capnp::List<std::uint64_t>::Builder list, const std::vector<IdType>& ids) {
  for (unsigned i = 0; i < ids.size(); ++i) list.set(i, ids[i].value);
}
unsigned count(const auto& list) { return static_cast<unsigned>(list.size()); }

schema::TypingState raw(TypingState state) { return static_cast<schema::TypingState>(state); }
schema::Audience raw(Audience audience) { return static_cast<schema::Audience>(audience); }

void fill_privacy(schema::Privacy::Builder b, const Privacy& p) {
  b.setLastSeen(raw(p.last_seen));
  b.setOnline(raw(p.online));
}

}  // namespace

Privacy read_privacy(schema::Privacy::Reader r) {
  return {read_enum(r.getLastSeen(), Audience::nobody), read_enum(r.getOnline(), Audience::nobody)};
}
SetPrivacy read_set_privacy(schema::Privacy::Reader r) { return {read_privacy(r)}; }
EditContacts read_edit_contacts(schema::EditContacts::Reader r) {
  EditContacts edit{read_ids<UserId>(r.getAdd(), limits::kEditContactsMax), {}};
  edit.remove = read_ids<UserId>(r.getRemove(), limits::kEditContactsMax - edit.add.size());
  return edit;
}

Watch read_watch(schema::Watch::Reader r) {
  return {read_ids<UserId>(r.getUsers(), limits::kWatchUsersMax),
          read_ids<GroupId>(r.getGroups(), limits::kWatchGroupsMax)};
}
Typing read_typing(schema::Typing::Reader r) {
  Typing typing{UserId(r.getUser()), GroupId(r.getGroup()), read_enum(r.getState(), TypingState::recording)};
  if ((typing.user.value == 0) == (typing.group.value == 0)) refuse(Code::malformed);
  return typing;
}
PresenceEntry read_presence_entry(schema::PresenceEntry::Reader r) {
  return {UserId(r.getUser()), GroupId(r.getGroup()), read_enum(r.getState(), PresenceState::online),
          read_enum(r.getTyping(), TypingState::recording), r.getLastSeenMs()};
}
Presence read_presence(schema::Presence::Reader r) {
  if (r.getEntries().size() > limits::kPresenceEntriesMax) refuse(Code::malformed);
  Presence presence;
  presence.entries.reserve(r.getEntries().size());
  for (auto e : r.getEntries()) presence.entries.push_back(read_presence_entry(e));
  return presence;
}

void fill_watch(schema::Watch::Builder b, const Watch& w) {
  fill_ids(b.initUsers(count(w.users)), w.users);
  fill_ids(b.initGroups(count(w.groups)), w.groups);
}
void fill_typing(schema::Typing::Builder b, const Typing& t) {
  b.setUser(t.user.value);
  b.setGroup(t.group.value);
  b.setState(raw(t.state));
}
void fill_presence_entry(schema::PresenceEntry::Builder b, const PresenceEntry& e) {
  b.setUser(e.user.value);
  b.setGroup(e.group.value);
  b.setState(static_cast<schema::PresenceState>(e.state));
  b.setTyping(raw(e.typing));
  b.setLastSeenMs(e.last_seen_ms);
}
void fill_presence(schema::Presence::Builder b, const Presence& p) {
  auto entries = b.initEntries(count(p.entries));
  for (unsigned i = 0; i < p.entries.size(); ++i) fill_presence_entry(entries[i], p.entries[i]);
}

void fill(schema::Request::Builder b, const SetPrivacy& r) { fill_privacy(b.initSetPrivacy(), r.privacy); }
void fill(schema::Request::Builder b, const GetPrivacy&) { b.setGetPrivacy(); }
void fill(schema::Request::Builder b, const EditContacts& r) {
  auto edit = b.initEditContacts();
  fill_ids(edit.initAdd(count(r.add)), r.add);
  fill_ids(edit.initRemove(count(r.remove)), r.remove);
}
void fill(schema::Response::Builder b, const Privacy& r) { fill_privacy(b.initPrivacy(), r); }

}  // namespace barid::wire
