// Writes the golden vectors: barid_vectors_generate DIR. Everything is fixed (seeds, times), so that a second
// run gives the same files; a difference means that bytes on the wire changed.
#include <fstream>
#include <iostream>

#include "base/partition.h"
#include "schemas/vectors/bridge.h"

namespace barid::vectors {
namespace {

constexpr std::int64_t kNowMs = 1'767'225'600'000;  // 2026-01-01 00:00:00 UTC
const UserId kAlice(0x1122334455667788), kBob(0x99aabbccddeeff00);
const DeviceId kAlicePhone(0x0102030405060708), kBobPhone(0xf1f2f3f4f5f6f7f8);
const GroupId kChoir(0x6772702d63686f69);

template <std::size_t N>
std::array<std::uint8_t, N> counting(std::uint8_t from) {
  std::array<std::uint8_t, N> out;
  for (std::size_t i = 0; i < N; ++i) out[i] = static_cast<std::uint8_t>(from + i);
  return out;
}
const crypto::KeyPair& directory_key() {
  static const auto pair = crypto::key_pair_from_seed(counting<32>(0x00));
  return pair;
}
const crypto::KeyPair& device_key() {
  static const auto pair = crypto::key_pair_from_seed(counting<32>(0x40));
  return pair;
}
const crypto::ShortKey kAddressKey = counting<16>(0xa0);

token::Token example_token() {
  return {kAlice, kAlicePhone, device_key().public_key, kNowMs / 1000, kNowMs / 1000 + 31'536'000};
}
std::string signature_for(const std::array<std::uint8_t, 32>& nonce, SessionNo session, const std::string& token) {
  return std::string(crypto::view(crypto::sign(wire::login_message(nonce, session, token), device_key().secret_key)));
}
wire::Address choir_address() {
  return {UserId(kChoir.value), DeviceId(0), token::address_tag(UserId(kChoir.value), DeviceId(0), kAddressKey)};
}
wire::Address bob_address() { return {kBob, kBobPhone, token::address_tag(kBob, kBobPhone, kAddressKey)}; }

struct Named {
  std::string name;
  wire::Frame frame;
};

std::vector<Named> session_frames() {
  const auto nonce = counting<32>(0x80);
  const std::string token = token::seal(example_token(), directory_key().secret_key);
  const std::string hello = content::encode(content::Text{"hello"}).value();
  using namespace wire;
  return {
      {"challenge", Challenge{nonce, kNowMs, 1, 1, "edge-1"}},
      {"login", Login{token, signature_for(nonce, SessionNo(7), token), SessionNo(7), "example/1.0"}},
      {"welcome", Welcome{kAlice, kAlicePhone, kNowMs, 64, 128, 61'440, 20'000, 30'000, 2'592'000, 0xfeedface12345678}},
      {"send a message", Send{1, bob_address(), SendKind::message, kNowMs, 0, hello, {}, {}}},
      {"send read receipts", Send{2, bob_address(), SendKind::read, kNowMs, 0, "", {{1, 3}, {9, 1}}, {}}},
      {"accepted", Accepted{{{1, 2}, {4, 60}}}},
      {"refused, retry later", Refused{3, Code::rate_limited, 1'500, "200 sends a second for each device"}},
      {"refused for good", Refused{3, Code::unknown_recipient, 0, ""}},
      {"deliver", Deliver{kAlice, kAlicePhone, 1, kNowMs, kNowMs + 3, hello, {}}},
      {"deliver of nothing", Deliver{kAlice, kAlicePhone, 0xfffffffffffffffe, -1, 0, "", {}}},
      {"receipt delivered", Receipt{ReceiptKind::delivered, kBob, kBobPhone, {{1, 2}}, kNowMs + 5, Code::none}},
      {"receipt read", Receipt{ReceiptKind::read, kBob, kBobPhone, {{1, 1}}, kNowMs + 9'000, Code::none}},
      {"receipt failed", Receipt{ReceiptKind::failed, kBob, kBobPhone, {{2, 1}}, kNowMs, Code::expired}},
      {"ack", Ack{42}},
      {"ping", Ping{0x0123456789abcdef}},
      {"pong", Pong{0x0123456789abcdef}},
      {"ping of zero", Ping{0}},
      {"error that closes", Error{Code::session_replaced, 0, "another connection of this device"}},
  };
}

std::vector<Named> directory_frames() {
  using namespace wire;
  const std::string key(crypto::view(device_key().public_key));
  const std::string token = token::seal(example_token(), directory_key().secret_key);
  return {
      {"request a code", Request{1, RequestCode{"+4915112345678"}}},
      {"verify a code", Request{2, VerifyCode{"+4915112345678", "123456", key, "Alice's phone"}}},
      {"look up", Request{3, Lookup{{"+4915112345678", "+97150123456"}}}},
      {"block", Request{4, Block{kBob}}},
      {"unblock", Request{5, Unblock{kBob}}},
      {"list blocked", Request{6, ListBlocked{}}},
      {"list devices", Request{7, ListDevices{}}},
      {"revoke a device", Request{8, RevokeDevice{kAlicePhone}}},
      {"devices of a user", Request{9, DevicesOf{kBob}}},
      {"code sent", Response{1, CodeSent{600, 60}}},
      {"error", Response{2, Error{Code::code_wrong, 0, ""}}},
      {"registered", Response{2, Registered{kAlice, kAlicePhone, token, "+4915112345678"}}},
      {"contacts", Response{3, Contacts{{{"+97150123456", kBob, {bob_address()}}}}}},
      {"nobody found", Response{3, Contacts{}}},
      {"done", Response{4, Done{}}},
      {"users", Response{6, Users{{kBob, UserId(1)}}}},
      {"devices",
       Response{7, Devices{{{kAlicePhone, "Alice's phone", kNowMs, true}, {kBobPhone, "ŝtelita ☎", 0, false}}}}},
  };
}

std::vector<Named> group_frames() {
  using namespace wire;
  const std::string hello = content::encode(content::Text{"hello"}).value();
  const GroupSettings settings{true, false, true};
  const UserId carol(3);
  const auto event = [](GroupEventKind kind, std::uint64_t version) {
    GroupEvent e;
    e.group = kChoir, e.version = version, e.kind = kind, e.actor = kAlice, e.at_ms = kNowMs;
    return e;
  };
  GroupEvent created = event(GroupEventKind::created, 1);
  created.users = {kAlice, kBob};
  created.devices = {{kAlice, kAlicePhone}, {kBob, kBobPhone}};
  created.name = "Choir", created.description = "Tuesdays", created.picture = "https://media.example/77";
  created.settings = settings;
  GroupEvent promoted = event(GroupEventKind::role_changed, 2);
  promoted.role = GroupRole::admin, promoted.users = {kBob};
  GroupEvent left = event(GroupEventKind::member_left, 3);
  GroupEvent changed = event(GroupEventKind::devices_changed, 4);
  changed.users = {kBob}, changed.devices_left_out = true;
  return {
      {"send to a group", Send{3, choir_address(), SendKind::group, kNowMs, 0, hello, {}, {}}},
      {"send read receipts to a group",
       Send{4, choir_address(), SendKind::group_read, kNowMs, 0, "", {{1, 3}}, kBobPhone}},
      {"deliver in a group", Deliver{kAlice, kAlicePhone, 3, kNowMs, kNowMs + 3, hello, kChoir}},
      {"receipt of a group that refuses",
       Receipt{ReceiptKind::failed, UserId(kChoir.value), DeviceId(0), {{3, 1}}, kNowMs, Code::not_member}},
      {"group receipt",
       GroupReceipt{
           kChoir, ReceiptKind::delivered, kNowMs + 5, {{{kBob, carol}, {{3, 1}}}, {{kAlice}, {{1, 2}, {5, 1}}}}}},
      {"group receipt of nobody", GroupReceipt{kChoir, ReceiptKind::read, 0, {}}},
      {"group created", created},
      {"role changed", promoted},
      {"member left", left},
      {"devices changed, too many to list", changed},
      {"create a group", Request{10, CreateGroup{77, "Choir", "Tuesdays", "", settings, {kBob, carol}}}},
      {"edit a group", Request{11, EditGroup{kChoir, 4, "Choir 2", std::nullopt, "", std::nullopt}}},
      {"edit a group's settings", Request{11, EditGroup{kChoir, 0, std::nullopt, "Fridays", std::nullopt, settings}}},
      {"add members", Request{12, AddMembers{kChoir, {kBob, carol}}}},
      {"remove members", Request{13, RemoveMembers{kChoir, {carol}}}},
      {"set a role", Request{14, SetRole{kChoir, kBob, GroupRole::owner}}},
      {"leave a group", Request{15, LeaveGroup{kChoir, kBob}}},
      {"delete a group", Request{16, DeleteGroup{kChoir}}},
      {"group info", Request{17, GetGroup{kChoir}}},
      {"list groups", Request{18, ListGroups{kChoir}}},
      {"revoke an invite", Request{19, GroupInvite{kChoir, InviteAction::revoke}}},
      {"join by invite", Request{20, JoinByInvite{"Z3JwLWNob2k.AAECAwQFBgcICQoLDA0ODw"}}},
      {"list join requests", Request{21, ListJoinRequests{kChoir}}},
      {"answer a join request", Request{22, AnswerJoinRequest{kChoir, carol, true}}},
      {"group", Response{17, Group{choir_address(),
                                   4,
                                   kNowMs,
                                   kAlice,
                                   "Choir",
                                   "Tuesdays",
                                   "",
                                   settings,
                                   {{kAlice, GroupRole::owner}, {kBob, GroupRole::admin}}}}},
      {"groups", Response{18, GroupList{{{choir_address(), 4, "Choir", GroupRole::admin, 2}}, true}}},
      {"invite", Response{19, Invite{"Z3JwLWNob2k.AAECAwQFBgcICQoLDA0ODw", kNowMs, kAlice}}},
      {"join requests", Response{21, JoinRequestList{kChoir, {{carol, kNowMs}}}}},
      {"group changed", Response{12, GroupChanged{kChoir, 5, {carol}}}},
  };
}

std::vector<Named> presence_frames() {
  using namespace wire;
  return {
      {"watch", Watch{{kBob, UserId(3)}, {kChoir}}},
      {"watch nobody", Watch{}},
      {"typing to a user", Typing{kBob, GroupId(), TypingState::typing}},
      {"recording in a group", Typing{UserId(), kChoir, TypingState::recording}},
      {"presence", Presence{{{kBob, GroupId(), PresenceState::online, TypingState::typing, kNowMs - 60'000},
                             {UserId(3), GroupId(), PresenceState::offline, TypingState::stopped, kNowMs},
                             {UserId(4), GroupId(), PresenceState::hidden, TypingState::stopped, 0},
                             {UserId(3), kChoir, PresenceState::hidden, TypingState::recording, 0}}}},
      {"set privacy", Request{23, SetPrivacy{{Audience::contacts, Audience::nobody}}}},
      {"get privacy", Request{24, GetPrivacy{}}},
      {"edit contacts", Request{25, EditContacts{{kBob, UserId(3)}, {UserId(4)}}}},
      {"privacy", Response{24, Privacy{Audience::contacts, Audience::nobody}}},
  };
}

std::vector<Named> key_frames() {
  using namespace wire;
  const auto key = [](std::uint8_t from) { return std::string(crypto::view(counting<32>(from))); };
  const std::string signature(crypto::view(counting<64>(0x10)));
  const DeviceKeys bob{bob_address(), 1, 4'711, key(1), 7, key(2), signature, 99, key(3)};
  DeviceKeys last = bob, known;
  last.prekey_id = 0, last.prekey.clear();
  known.address = bob_address();
  return {
      {"upload keys", Request{30, UploadKeys{1, 4'711, key(1), 7, key(2), signature, {{1, key(3)}, {2, key(4)}}}}},
      {"upload a signed prekey only", Request{31, UploadKeys{1, 16'380, key(1), 8, key(5), signature, {}}}},
      {"keys of users", Request{32, KeysOf{{{kBob, {}}, {kAlice, {kAlicePhone}}}}}},
      {"key status", Request{33, GetKeyStatus{}}},
      {"keys", Response{32, Keys{{{kBob, {bob, last}}, {kAlice, {known}}, {UserId(3), {}}}}}},
      {"status of keys", Response{33, KeyStatus{98, 7}}},
  };
}

std::vector<Named> media_frames() {
  using namespace wire;
  const std::string digest(crypto::view(counting<32>(0x60)));
  const std::string hex = crypto::to_hex(digest);
  return {
      {"upload media", Request{40, UploadMedia{digest, 123'456}}},
      {"download media", Request{41, DownloadMedia{digest}}},
      {"delete media", Request{42, DeleteMedia{digest}}},
      {"media usage", Request{43, GetMediaUsage{}}},
      {"upload here",
       Response{40, MediaUpload{false, "https://media.example/v1/uploads?d=" + hex, kNowMs, kNowMs + 1}}},
      {"stored already", Response{40, MediaUpload{true, "", 0, kNowMs}}},
      {"download from here", Response{41, MediaUrl{"https://media.example/v1/media/" + hex, kNowMs}}},
      {"usage of media", Response{43, MediaUsage{123'456, 10'737'418'240, 2'147'483'648, 2'592'000}}},
  };
}

Json frames_json() {
  Json list = Json::array();
  for (auto frames :
       {session_frames(), directory_frames(), group_frames(), presence_frames(), key_frames(), media_frames()})
    for (const Named& n : frames) {
      Json entry = to_json(n.frame);
      entry["name"] = n.name;
      entry["hex"] = crypto::to_hex(encode_frame(n.frame));
      list.push_back(entry);
    }
  return list;
}

Json content_json() {
  using namespace content;
  const auto media = [](MediaKind kind, const char* mime, const char* name) {
    return Media{kind,
                 "https://media.example/3f",
                 mime,
                 123'456,
                 std::string(crypto::view(counting<32>(0x20))),
                 name,
                 "légende 🖼",
                 640,
                 480,
                 2'500,
                 "\xff\xd8\xff\xe0",
                 0,
                 "",
                 0};
  };
  Media sealed = media(MediaKind::document, "application/zip", "photos.zip");
  sealed.url.clear();
  sealed.encoding = 1, sealed.key = crypto::view(counting<32>(0x50)), sealed.sealed_bytes = 126'992;
  const std::vector<std::pair<std::string, Content>> all = {
      {"text", Text{"Grüße, 你好, مرحبا, 👋🏽"}},
      {"empty text", Text{""}},
      {"image", media(MediaKind::image, "image/jpeg", "sunset.jpg")},
      {"audio", media(MediaKind::audio, "audio/ogg", "")},
      {"video", media(MediaKind::video, "video/mp4", "clip.mp4")},
      {"document", media(MediaKind::document, "application/pdf", "minutes.pdf")},
      {"document, sealed", sealed},
      {"location", Location{52.520008, 13.404954, 12.5F, "Berlin"}},
      {"location on the edge of the map", Location{-90, 180, 0, ""}},
      {"contact", Contact{"Bob", {"+97150123456", "+4915112345678"}}},
      {"contact without a number", Contact{"Bob", {}}},
      {"sealed", Sealed{1, SealedType::prekey_message, std::string(crypto::view(counting<32>(0x33)))}},
      {"sender key", SenderKey{kChoir, std::string(crypto::view(counting<16>(0x33)))}},
      {"retry", Retry{7, kChoir}},
      {"again", Again{7, encode(Text{"hello"}).value()}},
  };
  Json list = Json::array();
  for (const auto& [name, value] : all) {
    Json entry = to_json(value);
    entry["name"] = name;
    entry["hex"] = crypto::to_hex(encode(value).value());
    list.push_back(entry);
  }
  return list;
}

Json login_json() {
  const auto nonce = counting<32>(0x80);
  const std::string token = token::seal(example_token(), directory_key().secret_key);
  const SessionNo session(7);
  return {{"deviceSeed", crypto::to_hex(crypto::view(counting<32>(0x40)))},
          {"devicePublicKey", crypto::to_hex(crypto::view(device_key().public_key))},
          {"nonce", crypto::to_hex(crypto::view(nonce))},
          {"sessionNo", std::to_string(session.value)},
          {"token", crypto::to_hex(token)},
          {"signedBytes", crypto::to_hex(wire::login_message(nonce, session, token))},
          {"signature", crypto::to_hex(signature_for(nonce, session, token))}};
}

Json token_json() {
  return {{"directorySeed", crypto::to_hex(crypto::view(counting<32>(0x00)))},
          {"directoryPublicKey", crypto::to_hex(crypto::view(directory_key().public_key))},
          {"values", to_json(example_token())},
          {"hex", crypto::to_hex(token::seal(example_token(), directory_key().secret_key))}};
}

Json addresses_json() {
  Json tags = Json::array(), partitions = Json::array();
  const std::uint64_t ids[] = {0, 1, 2, 3, 255, kAlice.value, kBob.value, 0xffffffffffffffff};
  for (const std::uint64_t id : ids) {
    const UserId user(id);
    const DeviceId device(~id);
    tags.push_back({{"user", std::to_string(user.value)},
                    {"device", std::to_string(device.value)},
                    {"tag", std::to_string(token::address_tag(user, device, kAddressKey))}});
    Json entry{{"user", std::to_string(id)}};
    for (const std::uint16_t count : {1, 4, 8, 64, 1024})
      entry["of " + std::to_string(count)] = partition_of(user, count).value;
    partitions.push_back(entry);
  }
  return {{"addressKey", crypto::to_hex(crypto::view(kAddressKey))}, {"tags", tags}, {"partitions", partitions}};
}

Json batch_json() {
  const auto frames = session_frames();
  const auto frame_named = [&](const std::string& name) {
    for (const Named& n : frames)
      if (n.name == name) return encode_frame(n.frame);
    throw std::runtime_error("no frame " + name);
  };
  const std::string deliver = frame_named("deliver"), receipt = frame_named("receipt delivered");
  std::vector<envelope::Envelope> envelopes = {{kAlice, kAlicePhone, 1, kBob, kBobPhone, WallMs{kNowMs + 3},
                                                WallMs{kNowMs + 2'592'000'003}, envelope::Kind::message, 2, deliver},
                                               {kBob, kBobPhone, 0, kAlice, kAlicePhone, WallMs{kNowMs + 5},
                                                WallMs{kNowMs + 2'592'000'005}, envelope::Kind::receipt, 0, receipt}};
  // As an edge without groups wrote it: these two, and no more.
  const std::string older_hex =
      "000000002600000000000000030001000100000000000000efcdab00000000000c0000000000000001000000970000000800"
      "00000800010088776655443322110807060504030201010000000000000000ffeeddccbbaa99f8f7f6f5f4f3f2f103a8da76"
      "9b010000037059119c010000000200000000000025000000f201000000ffeeddccbbaa99f8f7f6f5f4f3f2f1000000000000"
      "00008877665544332211080706050403020105a8da769b010000057059119c01000001000000000000002100000072010000"
      "0107003a1009500501ff887766554433221101080706050403020101013ea8da769b013f03a8da769b011101829f10045001"
      "0111ff01321f68656c6c6f0000000108002a10095004010000feffeeddccbbaa99fff8f7f6f5f4f3f2f1003f05a8da769b01"
      "110117110402010101020000";
  const envelope::Recipient recipients[] = {{kBob, kBobPhone}, {UserId(77), DeviceId(78)}};
  envelopes.push_back({kAlice, kAlicePhone, 2, UserId(), DeviceId(), WallMs{kNowMs + 7}, WallMs{kNowMs + 2'592'000'007},
                       envelope::Kind::message, 0, deliver, GroupId(0x6a09e667f3bcc908), recipients});
  std::string bytes;
  envelope::encode_batch(bytes, 0xabcdef, 12, envelopes);
  Json list = Json::array();
  for (const auto& e : envelopes) list.push_back(to_json(e));
  return {{"origin", std::to_string(0xabcdef)},
          {"number", "12"},
          {"envelopes", list},
          {"hex", crypto::to_hex(bytes)},
          {"olderHex", older_hex}};
}

}  // namespace
}  // namespace barid::vectors

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: barid_vectors_generate DIR\n";
    return 2;
  }
  using namespace barid::vectors;
  barid::crypto::init_crypto();
  const std::pair<const char*, Json> files[] = {{"frames", frames_json()},       {"content", content_json()},
                                                {"login", login_json()},         {"token", token_json()},
                                                {"addresses", addresses_json()}, {"batch", batch_json()}};
  for (const auto& [name, json] : files) {
    std::ofstream out(std::string(argv[1]) + "/" + name + ".json");
    out << json.dump(1) << "\n";
    if (!out.flush()) {
      std::cerr << "cannot write " << name << ".json in " << argv[1] << "\n";
      return 1;
    }
  }
  return 0;
}
