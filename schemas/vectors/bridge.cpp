#include "schemas/vectors/bridge.h"

#include <stdexcept>

#include "base/crypto.h"

namespace barid::vectors {
namespace {

template <class T>
struct is_id : std::false_type {};
template <class Tag, class Rep>
struct is_id<Id<Tag, Rep>> : std::true_type {};
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_byte_array : std::false_type {};
template <std::size_t N>
struct is_byte_array<std::array<std::uint8_t, N>> : std::true_type {};

// The words of wire.capnp.
constexpr std::string_view kSendKinds[] = {"message", "read", "group", "groupRead"};
constexpr std::string_view kReceiptKinds[] = {"delivered", "read", "failed"};
constexpr std::string_view kRoles[] = {"none", "member", "admin", "owner"};
constexpr std::string_view kInviteActions[] = {"show", "create", "revoke"};
constexpr std::string_view kEventKinds[] = {"created",       "edited",        "membersAdded", "membersRemoved",
                                            "memberLeft",    "roleChanged",   "deleted",      "inviteChanged",
                                            "joinRequested", "devicesChanged"};
constexpr std::string_view kTypingStates[] = {"stopped", "typing", "recording"};
constexpr std::string_view kPresenceStates[] = {"hidden", "offline", "online"};
constexpr std::string_view kAudiences[] = {"everyone", "contacts", "nobody"};
template <class T>
struct Words {};
template <>
struct Words<wire::TypingState> {
  static constexpr auto& of = kTypingStates;
};
template <>
struct Words<wire::PresenceState> {
  static constexpr auto& of = kPresenceStates;
};
template <>
struct Words<wire::Audience> {
  static constexpr auto& of = kAudiences;
};
template <>
struct Words<wire::SendKind> {
  static constexpr auto& of = kSendKinds;
};
template <>
struct Words<wire::ReceiptKind> {
  static constexpr auto& of = kReceiptKinds;
};
template <>
struct Words<wire::GroupRole> {
  static constexpr auto& of = kRoles;
};
template <>
struct Words<content::SealedType> {
  static constexpr std::string_view of[] = {"none", "prekeyMessage", "message", "senderKeyMessage"};
};
template <>
struct Words<wire::InviteAction> {
  static constexpr auto& of = kInviteActions;
};
template <>
struct Words<wire::GroupEventKind> {
  static constexpr auto& of = kEventKinds;
};
template <class T>
concept Worded = requires {
  Words<T>::of;
};

template <class Enum, std::size_t N>
Enum named(const std::string& name, const std::string_view (&names)[N]) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  throw std::runtime_error("unknown name " + name);
}
wire::Code code_named(const std::string& name) {
  for (std::uint16_t i = 0; i <= static_cast<std::uint16_t>(wire::kLastCode); ++i)
    if (wire::name_of(static_cast<wire::Code>(i)) == name) return static_cast<wire::Code>(i);
  throw std::runtime_error("unknown code " + name);
}

// One description of each struct serves both directions: `v(name, field)`, or `v.bytes(name, field)` for raw
// bytes.
struct Writer {
  Json json = Json::object();
  template <class T>
  void operator()(const char* name, T& field) {
    json[name] = value(field);
  }
  void bytes(const char* name, std::string& field) { json[name] = crypto::to_hex(field); }
  template <class T>
  void optional(const char* flag, const char* name, std::optional<T>& field) {
    T absent{};
    json[flag] = field.has_value(), json[name] = value(field ? *field : absent);
  }

  template <class T>
  static Json value(T& field) {
    if constexpr (is_id<T>::value) {
      return value(field.value);
    } else if constexpr (is_byte_array<T>::value) {
      return crypto::to_hex(crypto::view(field));
    } else if constexpr (is_vector<T>::value) {
      Json list = Json::array();
      for (auto& item : field) list.push_back(value(item));
      return list;
    } else if constexpr (std::is_same_v<T, wire::Code>) {
      return std::string(wire::name_of(field));
    } else if constexpr (Worded<T>) {
      return std::string(Words<T>::of[static_cast<std::size_t>(field)]);
    } else if constexpr (std::is_integral_v<T> && sizeof(T) == 8) {
      return std::to_string(field);
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return field;
    } else {
      Writer inner;
      describe(inner, field);
      return inner.json;
    }
  }
};

struct Reader {
  const Json& json;
  template <class T>
  void operator()(const char* name, T& field) {
    read(json.at(name), field);
  }
  void bytes(const char* name, std::string& field) { field = unhex(json.at(name).get<std::string>()); }
  template <class T>
  void optional(const char* flag, const char* name, std::optional<T>& field) {
    if (json.at(flag).get<bool>()) read(json.at(name), field.emplace());
  }

  template <class T>
  static void read(const Json& from, T& field) {
    if constexpr (is_id<T>::value) {
      read(from, field.value);
    } else if constexpr (is_byte_array<T>::value) {
      const std::string raw = unhex(from.get<std::string>());
      if (raw.size() != field.size()) throw std::runtime_error("wrong number of bytes");
      std::copy(raw.begin(), raw.end(), field.begin());
    } else if constexpr (is_vector<T>::value) {
      for (const Json& item : from) read(item, field.emplace_back());
    } else if constexpr (std::is_same_v<T, wire::Code>) {
      field = code_named(from.get<std::string>());
    } else if constexpr (Worded<T>) {
      field = named<T>(from.get<std::string>(), Words<T>::of);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      field = std::stoll(from.get<std::string>());
    } else if constexpr (std::is_integral_v<T> && sizeof(T) == 8) {
      field = std::stoull(from.get<std::string>());
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      field = from.get<T>();
    } else {
      Reader inner{from};
      describe(inner, field);
    }
  }
};

template <class V>
void describe(V& v, SeqRange& r) {
  v("first", r.first), v("count", r.count);
}
template <class V>
void describe(V& v, wire::Address& a) {
  v("user", a.user), v("device", a.device), v("tag", a.tag);
}
template <class V>
void describe(V& v, wire::Challenge& c) {
  v("nonce", c.nonce), v("serverTimeMs", c.server_time_ms), v("protocolMin", c.protocol_min);
  v("protocolMax", c.protocol_max), v("edge", c.edge);
}
template <class V>
void describe(V& v, wire::Login& l) {
  v.bytes("token", l.token), v.bytes("signature", l.signature), v("sessionNo", l.session_no), v("client", l.client);
}
template <class V>
void describe(V& v, wire::Welcome& w) {
  v("user", w.user), v("device", w.device), v("serverTimeMs", w.server_time_ms), v("sendWindow", w.send_window);
  v("deliverWindow", w.deliver_window), v("contentBytesMax", w.content_bytes_max), v("heartbeatMs", w.heartbeat_ms);
  v("halfOpenMs", w.half_open_ms), v("messageTtlS", w.message_ttl_s), v("incarnation", w.incarnation);
}
template <class V>
void describe(V& v, wire::Send& s) {
  v("seq", s.seq), v("to", s.to), v("kind", s.kind), v("sentAtMs", s.sent_at_ms), v("ttlS", s.ttl_s);
  v.bytes("content", s.content), v("ranges", s.ranges), v("author", s.author);
}
template <class V>
void describe(V& v, wire::Accepted& a) {
  v("ranges", a.ranges);
}
template <class V>
void describe(V& v, wire::Refused& r) {
  v("seq", r.seq), v("code", r.code), v("retryAfterMs", r.retry_after_ms), v("text", r.text);
}
template <class V>
void describe(V& v, wire::Deliver& d) {
  v("fromUser", d.from_user), v("fromDevice", d.from_device), v("seq", d.seq), v("sentAtMs", d.sent_at_ms);
  v("acceptedAtMs", d.accepted_at_ms), v.bytes("content", d.content), v("group", d.group);
}
template <class V>
void describe(V& v, wire::Receipt& r) {
  v("kind", r.kind), v("peerUser", r.peer_user), v("peerDevice", r.peer_device), v("ranges", r.ranges);
  v("atMs", r.at_ms), v("reason", r.reason);
}
template <class V>
void describe(V& v, wire::Ack& a) {
  v("upTo", a.up_to);
}
template <class V>
void describe(V& v, wire::Ping& p) {
  v("token", p.token);
}
template <class V>
void describe(V& v, wire::Pong& p) {
  v("token", p.token);
}
template <class V>
void describe(V& v, wire::Error& e) {
  v("code", e.code), v("retryAfterMs", e.retry_after_ms), v("text", e.text);
}
template <class V>
void describe(V& v, wire::RequestCode& r) {
  v("phone", r.phone);
}
template <class V>
void describe(V& v, wire::VerifyCode& r) {
  v("phone", r.phone), v("code", r.code), v.bytes("deviceKey", r.device_key), v("deviceName", r.device_name);
}
template <class V>
void describe(V& v, wire::Lookup& r) {
  v("phones", r.phones);
}
template <class V>
void describe(V& v, wire::Block& r) {
  v("user", r.user);
}
template <class V>
void describe(V& v, wire::Unblock& r) {
  v("user", r.user);
}
template <class V>
void describe(V&, wire::ListBlocked&) {}
template <class V>
void describe(V&, wire::ListDevices&) {}
template <class V>
void describe(V& v, wire::RevokeDevice& r) {
  v("device", r.device);
}
template <class V>
void describe(V& v, wire::DevicesOf& r) {
  v("user", r.user);
}
template <class V>
void describe(V& v, wire::CodeSent& r) {
  v("expiresInS", r.expires_in_s), v("resendInS", r.resend_in_s);
}
template <class V>
void describe(V& v, wire::Registered& r) {
  v("user", r.user), v("device", r.device), v.bytes("token", r.token), v("phone", r.phone);
}
template <class V>
void describe(V& v, wire::Contact& c) {
  v("phone", c.phone), v("user", c.user), v("devices", c.devices);
}
template <class V>
void describe(V& v, wire::Contacts& r) {
  v("contacts", r.found);
}
template <class V>
void describe(V&, wire::Done&) {}
template <class V>
void describe(V& v, wire::Users& r) {
  v("users", r.users);
}
template <class V>
void describe(V& v, wire::DeviceInfo& d) {
  v("device", d.device), v("name", d.name), v("createdAtMs", d.created_at_ms);
  if constexpr (std::is_same_v<V, Reader>)
    d.current = v.json.at("current").template get<bool>();
  else
    v.json["current"] = d.current;
}
template <class V>
void describe(V& v, wire::Devices& r) {
  v("devices", r.devices);
}
template <class V>
void describe(V& v, wire::GroupSettings& s) {
  v("onlyAdminsSend", s.only_admins_send), v("onlyAdminsEdit", s.only_admins_edit), v("joinApproval", s.join_approval);
}
template <class V>
void describe(V& v, wire::GroupMember& m) {
  v("user", m.user), v("role", m.role);
}
template <class V>
void describe(V& v, wire::GroupReceiptPart& p) {
  v("users", p.users), v("ranges", p.ranges);
}
template <class V>
void describe(V& v, wire::GroupReceipt& r) {
  v("group", r.group), v("kind", r.kind), v("atMs", r.at_ms), v("parts", r.parts);
}
template <class V>
void describe(V& v, wire::GroupDevice& d) {
  v("user", d.user), v("device", d.device);
}
template <class V>
void describe(V& v, wire::GroupEvent& e) {
  v("group", e.group), v("version", e.version), v("kind", e.kind), v("role", e.role), v("actor", e.actor);
  v("atMs", e.at_ms), v("users", e.users), v("devices", e.devices), v("devicesLeftOut", e.devices_left_out);
  v("name", e.name), v("description", e.description), v("picture", e.picture), v("settings", e.settings);
}
template <class V>
void describe(V& v, wire::CreateGroup& r) {
  v("key", r.key), v("name", r.name), v("description", r.description), v("picture", r.picture);
  v("settings", r.settings), v("members", r.members);
}
template <class V>
void describe(V& v, wire::EditGroup& r) {
  v("group", r.group), v("expectedVersion", r.expected_version), v.optional("setName", "name", r.name);
  v.optional("setDescription", "description", r.description), v.optional("setPicture", "picture", r.picture);
  v.optional("setSettings", "settings", r.settings);
}
template <class V>
void describe(V& v, wire::AddMembers& r) {
  v("group", r.group), v("users", r.users);
}
template <class V>
void describe(V& v, wire::RemoveMembers& r) {
  v("group", r.group), v("users", r.users);
}
template <class V>
void describe(V& v, wire::SetRole& r) {
  v("group", r.group), v("user", r.user), v("role", r.role);
}
template <class V>
void describe(V& v, wire::LeaveGroup& r) {
  v("group", r.group), v("successor", r.successor);
}
template <class V>
void describe(V& v, wire::DeleteGroup& r) {
  v("group", r.group);
}
template <class V>
void describe(V& v, wire::GetGroup& r) {
  v("group", r.group);
}
template <class V>
void describe(V& v, wire::ListGroups& r) {
  v("after", r.after);
}
template <class V>
void describe(V& v, wire::GroupInvite& r) {
  v("group", r.group), v("action", r.action);
}
template <class V>
void describe(V& v, wire::JoinByInvite& r) {
  v("token", r.token);
}
template <class V>
void describe(V& v, wire::ListJoinRequests& r) {
  v("group", r.group);
}
template <class V>
void describe(V& v, wire::AnswerJoinRequest& r) {
  v("group", r.group), v("user", r.user), v("accept", r.accept);
}
template <class V>
void describe(V& v, wire::Group& g) {
  v("address", g.address), v("version", g.version), v("createdAtMs", g.created_at_ms), v("createdBy", g.created_by);
  v("name", g.name), v("description", g.description), v("picture", g.picture), v("settings", g.settings);
  v("members", g.members);
}
template <class V>
void describe(V& v, wire::GroupShort& g) {
  v("address", g.address), v("version", g.version), v("name", g.name), v("role", g.role), v("members", g.members);
}
template <class V>
void describe(V& v, wire::GroupList& r) {
  v("groups", r.groups), v("more", r.more);
}
template <class V>
void describe(V& v, wire::Invite& r) {
  v("token", r.token), v("createdAtMs", r.created_at_ms), v("createdBy", r.created_by);
}
template <class V>
void describe(V& v, wire::JoinRequest& r) {
  v("user", r.user), v("atMs", r.at_ms);
}
template <class V>
void describe(V& v, wire::JoinRequestList& r) {
  v("group", r.group), v("requests", r.requests);
}
template <class V>
void describe(V& v, wire::GroupChanged& r) {
  v("group", r.group), v("version", r.version), v("skipped", r.skipped);
}
template <class V>
void describe(V& v, wire::Watch& w) {
  v("users", w.users), v("groups", w.groups);
}
template <class V>
void describe(V& v, wire::Typing& t) {
  v("user", t.user), v("group", t.group), v("state", t.state);
}
template <class V>
void describe(V& v, wire::PresenceEntry& e) {
  v("user", e.user), v("group", e.group), v("state", e.state), v("typing", e.typing), v("lastSeenMs", e.last_seen_ms);
}
template <class V>
void describe(V& v, wire::Presence& p) {
  v("entries", p.entries);
}
template <class V>
void describe(V& v, wire::Privacy& p) {
  v("lastSeen", p.last_seen), v("online", p.online);
}
template <class V>
void describe(V& v, wire::SetPrivacy& r) {
  describe(v, r.privacy);
}
template <class V>
void describe(V&, wire::GetPrivacy&) {}
template <class V>
void describe(V& v, wire::EditContacts& r) {
  v("add", r.add), v("remove", r.remove);
}
template <class V>
void describe(V& v, wire::Prekey& p) {
  v("id", p.id), v.bytes("key", p.key);
}
template <class V>
void describe(V& v, wire::UploadKeys& r) {
  v("version", r.version), v("registration", r.registration), v.bytes("identity", r.identity);
  v("signedPrekeyId", r.signed_prekey_id), v.bytes("signedPrekey", r.signed_prekey);
  v.bytes("signature", r.signature), v("prekeys", r.prekeys);
}
template <class V>
void describe(V& v, wire::KeysWanted& w) {
  v("user", w.user), v("known", w.known);
}
template <class V>
void describe(V& v, wire::KeysOf& r) {
  v("users", r.users);
}
template <class V>
void describe(V&, wire::GetKeyStatus&) {}
template <class V>
void describe(V& v, wire::DeviceKeys& d) {
  v("address", d.address), v("version", d.version), v("registration", d.registration);
  v.bytes("identity", d.identity), v("signedPrekeyId", d.signed_prekey_id), v.bytes("signedPrekey", d.signed_prekey);
  v.bytes("signature", d.signature), v("prekeyId", d.prekey_id), v.bytes("prekey", d.prekey);
}
template <class V>
void describe(V& v, wire::UserKeys& u) {
  v("user", u.user), v("devices", u.devices);
}
template <class V>
void describe(V& v, wire::Keys& k) {
  v("users", k.users);
}
template <class V>
void describe(V& v, wire::KeyStatus& s) {
  v("prekeys", s.prekeys), v("signedPrekeyId", s.signed_prekey_id);
}
template <class V>
void describe(V& v, wire::UploadMedia& r) {
  v.bytes("digest", r.digest), v("bytes", r.bytes);
}
template <class V>
void describe(V& v, wire::DownloadMedia& r) {
  v.bytes("digest", r.digest);
}
template <class V>
void describe(V& v, wire::DeleteMedia& r) {
  v.bytes("digest", r.digest);
}
template <class V>
void describe(V&, wire::GetMediaUsage&) {}
template <class V>
void describe(V& v, wire::MediaUpload& m) {
  v("stored", m.stored), v("url", m.url), v("expiresAtMs", m.expires_at_ms), v("keptUntilMs", m.kept_until_ms);
}
template <class V>
void describe(V& v, wire::MediaUrl& m) {
  v("url", m.url), v("expiresAtMs", m.expires_at_ms);
}
template <class V>
void describe(V& v, wire::MediaUsage& m) {
  v("usedBytes", m.used_bytes), v("quotaBytes", m.quota_bytes), v("fileBytesMax", m.file_bytes_max);
  v("retentionS", m.retention_s);
}
template <class V>
void describe(V& v, content::Sealed& s) {
  v("version", s.version), v("type", s.type), v.bytes("body", s.body);
}
template <class V>
void describe(V& v, content::SenderKey& k) {
  v("group", k.group), v.bytes("key", k.key);
}
template <class V>
void describe(V& v, content::Retry& r) {
  v("seq", r.seq), v("group", r.group);
}
template <class V>
void describe(V& v, content::Again& a) {
  v("seq", a.seq), v.bytes("content", a.content);
}
template <class V>
void describe(V& v, content::Text& t) {
  v("text", t.text);
}
template <class V>
void describe(V& v, content::Media& m) {
  v("url", m.url), v("mime", m.mime), v("bytes", m.bytes), v.bytes("digest", m.digest), v("name", m.name);
  v("caption", m.caption), v("width", m.width), v("height", m.height), v("durationMs", m.duration_ms);
  v.bytes("thumbnail", m.thumbnail), v("encoding", m.encoding), v.bytes("key", m.key), v("sealedBytes", m.sealed_bytes);
}
template <class V>
void describe(V& v, content::Location& l) {
  v("latitude", l.latitude), v("longitude", l.longitude), v("accuracyM", l.accuracy_m), v("name", l.name);
}
template <class V>
void describe(V& v, content::Contact& c) {
  v("name", c.name), v("phones", c.phones);
}
template <class V>
void describe(V& v, token::Token& t) {
  v("user", t.user), v("device", t.device), v("deviceKey", t.device_key), v("issuedAtS", t.issued_at_s);
  v("expiresAtS", t.expires_at_s);
}
template <class V>
void describe(V& v, envelope::Envelope& e) {
  v("fromUser", e.from_user), v("fromDevice", e.from_device), v("seq", e.seq), v("toUser", e.to_user);
  v("toDevice", e.to_device), v("acceptedAtMs", e.accepted_at.value), v("expiresAtMs", e.expires_at.value);
  v("group", e.group);
}

// Names of a variant's alternatives, in its order.
constexpr std::string_view kFrames[] = {
    "challenge", "login", "welcome", "send",     "accepted",     "refused",    "deliver", "receipt", "ack",     "ping",
    "pong",      "error", "request", "response", "groupReceipt", "groupEvent", "watch",   "typing",  "presence"};
constexpr std::string_view kRequests[] = {"requestCode",      "verifyCode",        "lookup",      "block",
                                          "unblock",          "listBlocked",       "listDevices", "revokeDevice",
                                          "devicesOf",        "createGroup",       "editGroup",   "addMembers",
                                          "removeMembers",    "setRole",           "leaveGroup",  "deleteGroup",
                                          "groupInfo",        "listGroups",        "groupInvite", "joinByInvite",
                                          "listJoinRequests", "answerJoinRequest", "setPrivacy",  "getPrivacy",
                                          "editContacts",     "uploadKeys",        "keysOf",      "keyStatus",
                                          "uploadMedia",      "downloadMedia",     "deleteMedia", "mediaUsage"};
constexpr std::string_view kResponses[] = {
    "error",  "codeSent",     "registered",   "contacts", "done", "users",     "devices",     "group",    "groups",
    "invite", "joinRequests", "groupChanged", "privacy",  "keys", "keyStatus", "mediaUpload", "mediaUrl", "mediaUsage"};

template <class Variant, std::size_t I = 0>
Variant nth(std::size_t index) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (index == I) return Variant(std::in_place_index<I>);
    return nth<Variant, I + 1>(index);
  } else {
    throw std::runtime_error("no such alternative");
  }
}

template <class Variant, std::size_t N>
void union_field(Writer& v, Variant& body, const std::string_view (&names)[N]) {
  static_assert(N == std::variant_size_v<Variant>);
  std::visit([&](auto& one) { v.json[std::string(names[body.index()])] = Writer::value(one); }, body);
}
template <class Variant, std::size_t N>
void union_field(Reader& v, Variant& body, const std::string_view (&names)[N]) {
  for (std::size_t i = 0; i < N; ++i) {
    const std::string name(names[i]);
    if (!v.json.contains(name)) continue;
    body = nth<Variant>(i);
    std::visit([&](auto& one) { Reader::read(v.json.at(name), one); }, body);
    return;
  }
  throw std::runtime_error("no union member is set");
}
template <class V>
void describe(V& v, wire::Request& r) {
  v("id", r.id), union_field(v, r.body, kRequests);
}
template <class V>
void describe(V& v, wire::Response& r) {
  v("id", r.id), union_field(v, r.body, kResponses);
}

template <class T>
Json values_of(const T& value) {
  T copy = value;
  return Writer::value(copy);
}

}  // namespace

Json to_json(const wire::Frame& frame) {
  static_assert(std::size(kFrames) == std::variant_size_v<wire::Frame>);
  return std::visit(
      [&](const auto& f) {
        return Json{{"type", kFrames[frame.index()]}, {"values", values_of(f)}};
      },
      frame);
}

wire::Frame frame_from_json(const Json& json) {
  auto frame = nth<wire::Frame>(named<std::size_t>(json.at("type").get<std::string>(), kFrames));
  std::visit([&](auto& f) { Reader::read(json.at("values"), f); }, frame);
  return frame;
}

Json to_json(const content::Content& content) {
  return std::visit(
      [&](const auto& c) {
        return Json{{"type", content::type_name(content)}, {"values", values_of(c)}};
      },
      content);
}

content::Content content_from_json(const Json& json) {
  const auto type = json.at("type").get<std::string>();
  static constexpr std::string_view kMedia[] = {"image", "audio", "video", "document"};
  content::Content content;
  if (type == "location") {
    content = content::Location{};
  } else if (type == "contact") {
    content = content::Contact{};
  } else if (type == "sealed") {
    content = content::Sealed{};
  } else if (type == "senderKey") {
    content = content::SenderKey{};
  } else if (type == "retry") {
    content = content::Retry{};
  } else if (type == "again") {
    content = content::Again{};
  } else if (type != "text") {
    content.emplace<content::Media>().kind = named<content::MediaKind>(type, kMedia);
  }
  std::visit([&](auto& c) { Reader::read(json.at("values"), c); }, content);
  return content;
}

Json to_json(const token::Token& token) { return values_of(token); }
token::Token token_from_json(const Json& json) {
  token::Token token;
  Reader::read(json, token);
  return token;
}

Json to_json(const envelope::Envelope& envelope) {
  Json json = values_of(envelope);
  json["kind"] = static_cast<unsigned>(envelope.kind);
  json["attempts"] = static_cast<unsigned>(envelope.attempts);
  json["frame"] = crypto::to_hex(envelope.frame);
  json["recipients"] = Json::array();
  for (const auto& to : envelope.recipients)
    json["recipients"].push_back(
        {{"user", std::to_string(to.user.value)}, {"device", std::to_string(to.device.value)}});
  return json;
}
envelope::Envelope envelope_from_json(const Json& json, std::string& frame_bytes,
                                      std::vector<envelope::Recipient>& recipients) {
  envelope::Envelope envelope;
  Reader::read(json, envelope);
  envelope.kind = static_cast<envelope::Kind>(json.at("kind").get<std::uint8_t>());
  envelope.attempts = json.at("attempts").get<std::uint8_t>();
  frame_bytes = unhex(json.at("frame").get<std::string>());
  envelope.frame = frame_bytes;
  for (const Json& to : json.at("recipients"))
    recipients.push_back({UserId(std::stoull(to.at("user").get<std::string>())),
                          DeviceId(std::stoull(to.at("device").get<std::string>()))});
  envelope.recipients = recipients;
  return envelope;
}

std::string encode_frame(const wire::Frame& frame) {
  std::string out;
  std::visit([&](const auto& f) { wire::append(out, f); }, frame);
  return out;
}

std::string unhex(std::string_view hex) {
  std::string raw;
  if (!crypto::from_hex(hex, raw)) throw std::runtime_error("not hex: " + std::string(hex.substr(0, 40)));
  return raw;
}

}  // namespace barid::vectors
