// Random frames within the protocol's limits, for RapidCheck properties.
#pragma once

#include <rapidcheck.h>

#include "schemas/content.h"
#include "schemas/wire.h"

namespace barid::gen {

template <class T>
T any() {
  return *rc::gen::arbitrary<T>();
}

// Uniform, whatever size RapidCheck is at.
inline int pick(int count) { return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, count)); }

// Zeros, small numbers and whole-range ones: packing treats each differently.
inline std::uint64_t u64() {
  return *rc::gen::oneOf(rc::gen::arbitrary<std::uint64_t>(), rc::gen::element<std::uint64_t>(0, 1, 255, 256, ~0ULL));
}
inline std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
inline std::uint32_t u32() { return static_cast<std::uint32_t>(u64()); }

inline std::string bytes(std::size_t most) {
  const auto size = *rc::gen::inRange<std::size_t>(0, most + 1);
  return *rc::gen::container<std::string>(size, rc::gen::oneOf(rc::gen::arbitrary<char>(), rc::gen::just('\0')));
}

inline std::string text(std::size_t bytes_most = limits::kTextBytesMax) {
  static const std::vector<std::string> kPieces = {
      "a", "Z", " ", "é", "ß", "م", "你", "€", "👋", "\n", std::string(1, '\0')};
  std::string out;
  const auto pieces = *rc::gen::inRange<std::size_t>(0, bytes_most / 4 + 1);
  for (std::size_t i = 0; i < pieces; ++i) out += *rc::gen::elementOf(kPieces);
  return out;
}

inline std::vector<SeqRange> ranges(std::size_t most = limits::kRangesMax) {
  std::vector<SeqRange> out(*rc::gen::inRange<std::size_t>(0, most + 1));
  for (SeqRange& r : out) {
    r.count = std::max(1U, u32());
    r.first = *rc::gen::inRange<std::uint64_t>(1, ~0ULL - r.count);
  }
  return out;
}

inline wire::Code code() {
  return static_cast<wire::Code>(*rc::gen::inRange<std::uint16_t>(0, static_cast<std::uint16_t>(wire::kLastCode) + 1));
}
inline wire::Address address() { return {UserId(u64()), DeviceId(u64()), u64()}; }
inline std::array<std::uint8_t, 32> nonce() {
  std::array<std::uint8_t, 32> out;
  for (auto& b : out) b = any<std::uint8_t>();
  return out;
}

inline std::vector<UserId> users(std::size_t most = 40) {
  std::vector<UserId> out(*rc::gen::inRange<std::size_t>(0, most + 1));
  for (UserId& user : out) user = UserId(u64());
  return out;
}
inline wire::GroupSettings settings() { return {any<bool>(), any<bool>(), any<bool>()}; }
inline wire::GroupRole role() { return static_cast<wire::GroupRole>(pick(4)); }
inline std::optional<std::string> maybe_text() {
  return any<bool>() ? std::optional<std::string>(text()) : std::nullopt;
}

inline wire::Request group_request(std::uint32_t id) {
  using namespace wire;
  const GroupId group(u64());
  switch (pick(13)) {
    case 0:
      return {id, CreateGroup{u64(), text(), text(2'000), text(), settings(), users()}};
    case 1: {
      EditGroup edit{group, u64(), maybe_text(), maybe_text(), maybe_text(), {}};
      if (any<bool>()) edit.settings = settings();
      return {id, edit};
    }
    case 2:
      return {id, AddMembers{group, users()}};
    case 3:
      return {id, RemoveMembers{group, users()}};
    case 4:
      return {id, SetRole{group, UserId(u64()), role()}};
    case 5:
      return {id, LeaveGroup{group, UserId(u64())}};
    case 6:
      return {id, DeleteGroup{group}};
    case 7:
      return {id, GetGroup{group}};
    case 8:
      return {id, ListGroups{group}};
    case 9:
      return {id, GroupInvite{group, static_cast<InviteAction>(pick(3))}};
    case 10:
      return {id, JoinByInvite{text()}};
    case 11:
      return {id, ListJoinRequests{group}};
    default:
      return {id, AnswerJoinRequest{group, UserId(u64()), any<bool>()}};
  }
}

inline wire::Privacy privacy() { return {static_cast<wire::Audience>(pick(3)), static_cast<wire::Audience>(pick(3))}; }
inline std::string key() {
  std::string out(limits::kKeyBytes, '\0');
  for (char& c : out) c = static_cast<char>(pick(256));
  return out;
}
inline wire::Request key_request(std::uint32_t id) {
  using namespace wire;
  if (pick(3) == 0) return {id, GetKeyStatus{}};
  if (any<bool>()) {
    KeysOf keys;
    keys.users.resize(*rc::gen::inRange<std::size_t>(0, 12));
    for (auto& u : keys.users) u = {UserId(u64()), {DeviceId(u64()), DeviceId(u64())}};
    return {id, keys};
  }
  UploadKeys upload{static_cast<std::uint8_t>(pick(256)), u32(), key(), u32(), key(), key() + key(), {}};
  upload.prekeys.resize(*rc::gen::inRange<std::size_t>(0, 12));
  for (auto& p : upload.prekeys) p = {u32(), key()};
  return {id, upload};
}
inline wire::Response key_response(std::uint32_t id) {
  using namespace wire;
  if (any<bool>()) return {id, KeyStatus{u32(), u32()}};
  Keys keys;
  keys.users.resize(*rc::gen::inRange<std::size_t>(0, 5));
  for (auto& u : keys.users) {
    u.user = UserId(u64());
    u.devices.resize(*rc::gen::inRange<std::size_t>(0, 4));
    for (auto& d : u.devices) {
      d.address = address();
      if (any<bool>()) d = {address(), 1, u32(), key(), u32(), key(), key() + key(), u32(), any<bool>() ? key() : ""};
    }
  }
  return {id, keys};
}

inline wire::Request media_request(std::uint32_t id) {
  using namespace wire;
  switch (pick(4)) {
    case 0:
      return {id, UploadMedia{key(), u64()}};
    case 1:
      return {id, DownloadMedia{key()}};
    case 2:
      return {id, DeleteMedia{key()}};
    default:
      return {id, GetMediaUsage{}};
  }
}
inline wire::Response media_response(std::uint32_t id) {
  using namespace wire;
  switch (pick(3)) {
    case 0:
      return {id, MediaUpload{any<bool>(), text(), i64(), i64()}};
    case 1:
      return {id, MediaUrl{text(), i64()}};
    default:
      return {id, MediaUsage{u64(), u64(), u64(), u32()}};
  }
}

inline wire::Request request() {
  using namespace wire;
  const auto id = u32();
  switch (pick(25)) {
    case 15:
      return media_request(id);
    case 12:
    case 13:
    case 14:
      return key_request(id);
    case 0:
      return {id, RequestCode{text()}};
    case 1:
      return {id, VerifyCode{text(), text(), bytes(32), text()}};
    case 2: {
      Lookup lookup;
      lookup.phones.resize(*rc::gen::inRange<std::size_t>(0, 40));
      for (auto& phone : lookup.phones) phone = text(20);
      return {id, lookup};
    }
    case 3:
      return {id, Block{UserId(u64())}};
    case 4:
      return {id, Unblock{UserId(u64())}};
    case 5:
      return {id, ListBlocked{}};
    case 6:
      return {id, ListDevices{}};
    case 7:
      return {id, RevokeDevice{DeviceId(u64())}};
    case 8:
      return {id, DevicesOf{UserId(u64())}};
    case 9:
      return {id, SetPrivacy{privacy()}};
    case 10:
      return {id, GetPrivacy{}};
    case 11:
      return {id, EditContacts{users(), users()}};
    default:
      return group_request(id);
  }
}

inline wire::Response response() {
  using namespace wire;
  const auto id = u32();
  const auto some = [] { return *rc::gen::inRange<std::size_t>(0, 12); };
  switch (pick(16)) {
    case 15:
      return media_response(id);
    case 13:
    case 14:
      return key_response(id);
    case 0:
      return {id, Error{code(), u32(), text()}};
    case 1:
      return {id, CodeSent{u32(), u32()}};
    case 2:
      return {id, Registered{UserId(u64()), DeviceId(u64()), bytes(200), text()}};
    case 3: {
      Contacts contacts;
      contacts.found.resize(some());
      for (auto& c : contacts.found) {
        c = {text(20), UserId(u64()), {}};
        c.devices.resize(some());
        for (auto& d : c.devices) d = address();
      }
      return {id, contacts};
    }
    case 4:
      return {id, Done{}};
    case 5: {
      Users users;
      users.users.resize(some());
      for (auto& u : users.users) u = UserId(u64());
      return {id, users};
    }
    case 6: {
      Devices devices;
      devices.devices.resize(some());
      for (auto& d : devices.devices) d = {DeviceId(u64()), text(), i64(), any<bool>()};
      return {id, devices};
    }
    case 7: {
      Group group{address(), u64(), i64(), UserId(u64()), text(), text(2'000), text(), settings(), {}};
      group.members.resize(some());
      for (auto& m : group.members) m = {UserId(u64()), role()};
      return {id, group};
    }
    case 8: {
      GroupList list{{}, any<bool>()};
      list.groups.resize(some());
      for (auto& g : list.groups) g = {address(), u64(), text(), role(), u32()};
      return {id, list};
    }
    case 9:
      return {id, Invite{text(), i64(), UserId(u64())}};
    case 10: {
      JoinRequestList list{GroupId(u64()), {}};
      list.requests.resize(some());
      for (auto& r : list.requests) r = {UserId(u64()), i64()};
      return {id, list};
    }
    case 11:
      return {id, privacy()};
    default:
      return {id, GroupChanged{GroupId(u64()), u64(), users()}};
  }
}

inline wire::GroupReceipt group_receipt() {
  wire::GroupReceipt receipt{GroupId(u64()), static_cast<wire::ReceiptKind>(pick(2)), i64(), {}};
  receipt.parts.resize(*rc::gen::inRange<std::size_t>(0, 12));
  for (auto& part : receipt.parts) part = {users(), ranges(20)};
  return receipt;
}
inline wire::GroupEvent group_event() {
  wire::GroupEvent event{GroupId(u64()),
                         u64(),
                         static_cast<wire::GroupEventKind>(pick(10)),
                         role(),
                         UserId(u64()),
                         i64(),
                         users(),
                         {},
                         any<bool>(),
                         text(),
                         text(2'000),
                         text(),
                         settings()};
  event.devices.resize(*rc::gen::inRange<std::size_t>(0, 40));
  for (auto& device : event.devices) device = {UserId(u64()), DeviceId(u64())};
  return event;
}

inline wire::Watch watch() {
  wire::Watch watch;
  watch.users.resize(*rc::gen::inRange<std::size_t>(0, limits::kWatchUsersMax + 1));
  for (auto& user : watch.users) user = UserId(u64());
  watch.groups.resize(*rc::gen::inRange<std::size_t>(0, limits::kWatchGroupsMax + 1));
  for (auto& group : watch.groups) group = GroupId(u64());
  return watch;
}
inline wire::PresenceEntry presence_entry() {
  return {UserId(u64()), GroupId(u64()), static_cast<wire::PresenceState>(pick(3)),
          static_cast<wire::TypingState>(pick(3)), i64()};
}
inline wire::Typing typing() {
  const std::uint64_t id = u64() | 1;
  const bool group = any<bool>();
  return {UserId(group ? 0 : id), GroupId(group ? id : 0), static_cast<wire::TypingState>(pick(3))};
}

inline constexpr int kFrameKinds = 19;
inline wire::Frame frame(int kind) {
  using namespace wire;
  switch (kind) {
    case 0:
      return Challenge{nonce(), i64(), any<std::uint8_t>(), any<std::uint8_t>(), text()};
    case 1:
      return Login{bytes(300), bytes(64), SessionNo(u64()), text()};
    case 2:
      return Welcome{UserId(u64()), DeviceId(u64()), i64(), any<std::uint16_t>(), any<std::uint16_t>(), u32(), u32(),
                     u32(),         u32(),           u64()};
    case 3:
      return Send{u64(),      address(),      static_cast<SendKind>(pick(4)), i64(), u32(), bytes(500),
                  ranges(30), DeviceId(u64())};
    case 4:
      return Accepted{ranges()};
    case 5:
      return Refused{u64(), code(), u32(), text()};
    case 6:
      return Deliver{UserId(u64()), DeviceId(u64()), u64(), i64(), i64(), bytes(500), GroupId(u64())};
    case 7:
      return Receipt{
          static_cast<ReceiptKind>(*rc::gen::inRange(0, 3)), UserId(u64()), DeviceId(u64()), ranges(60), i64(), code()};
    case 8:
      return Ack{u64()};
    case 9:
      return Ping{u64()};
    case 10:
      return Pong{u64()};
    case 11:
      return Error{code(), u32(), text()};
    case 12:
      return request();
    case 13:
      return response();
    case 14:
      return group_receipt();
    case 15:
      return group_event();
    case 16:
      return watch();
    case 17:
      return typing();
    default: {
      Presence presence;
      presence.entries.resize(*rc::gen::inRange<std::size_t>(0, 40));
      for (auto& entry : presence.entries) entry = presence_entry();
      return presence;
    }
  }
}

inline content::Content content(int kind) {
  using namespace content;
  if (kind == 0) return Text{text(2'000)};
  if (kind <= 4)
    return Media{static_cast<MediaKind>(kind - 1),
                 text(),
                 text(),
                 u64(),
                 bytes(32),
                 text(),
                 text(),
                 u32(),
                 u32(),
                 u32(),
                 bytes(400),
                 static_cast<std::uint8_t>(pick(256)),
                 bytes(32),
                 u64()};
  if (kind == 5)
    return Location{*rc::gen::inRange(-90'000'000, 90'000'001) / 1e6,
                    *rc::gen::inRange(-180'000'000, 180'000'001) / 1e6,
                    static_cast<float>(*rc::gen::inRange(0, 10'000)), text()};
  if (kind == 7) return Sealed{static_cast<std::uint8_t>(pick(256)), static_cast<SealedType>(pick(4)), bytes(400)};
  if (kind == 8) return SenderKey{GroupId(u64()), bytes(400)};
  if (kind == 9) return Retry{u64(), GroupId(u64())};
  if (kind == 10) return Again{u64(), bytes(400)};
  Contact contact{text(), {}};
  contact.phones.resize(*rc::gen::inRange<std::size_t>(0, 10));
  for (auto& phone : contact.phones) phone = text(20);
  return contact;
}

}  // namespace barid::gen
