// The frames between a client and the edge, as plain structs, and the only way to turn them into bytes and
// back. Frame: version u8 | type u8 | length u16 big-endian | payload (one packed Cap'n Proto message of
// wire.capnp). Pure functions, any thread. Decoding never throws and never allocates more than
// limits::kUnpackedBytesMax.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/limits.h"
#include "base/result.h"
#include "schemas/wire_group.h"
#include "schemas/wire_keys.h"
#include "schemas/wire_media.h"
#include "schemas/wire_presence.h"

namespace barid::wire {

enum class FrameType : std::uint8_t {
  challenge = 1,
  login = 2,
  welcome = 3,
  send = 4,
  accepted = 5,
  refused = 6,
  deliver = 7,
  receipt = 8,
  ack = 9,
  ping = 10,
  pong = 11,
  error = 12,
  request = 13,
  response = 14,
  group_receipt = 15,
  group_event = 16,
  watch = 17,
  typing = 18,
  presence = 19,
};

// Mirrors enum Code of wire.capnp; docs/protocol.md says what each means and whether it closes the
// connection.
enum class Code : std::uint16_t {
  none,
  malformed,
  unsupported_version,
  unknown_frame,
  frame_too_large,
  not_logged_in,
  bad_token,
  bad_signature,
  token_expired,
  device_revoked,
  session_replaced,
  session_stale,
  ack_timeout,
  heartbeat_timeout,
  login_timeout,
  too_many_connections,
  slow_reader,
  going_away,
  protocol_violation,
  rate_limited,
  unavailable,
  broker_full,
  unknown_recipient,
  content_too_large,
  invalid_text,
  invalid_phone,
  code_wrong,
  code_expired,
  code_tries_exhausted,
  code_throttled,
  not_found,
  not_allowed,
  quota_exceeded,
  invalid_argument,
  expired,
  recipient_gone,
  undeliverable,
  not_member,
  group_full,
  version_conflict,
};
inline constexpr Code kLastCode = Code::version_conflict;
std::string_view name_of(Code code);  // "rateLimited": the word of wire.capnp

struct Challenge {
  std::array<std::uint8_t, 32> nonce{};
  std::int64_t server_time_ms = 0;
  std::uint8_t protocol_min = limits::kProtocolVersion, protocol_max = limits::kProtocolVersion;
  std::string edge;
};
struct Login {
  std::string token;
  std::string signature;  // Ed25519 by the device key over login_message()
  SessionNo session_no;
  std::string client;
};
// What the device signs: "barid-login-v1" | nonce (32) | session_no (8, big-endian) | token.
std::string login_message(const std::array<std::uint8_t, 32>& nonce, SessionNo session_no, std::string_view token);

struct Welcome {
  UserId user;
  DeviceId device;
  std::int64_t server_time_ms = 0;
  std::uint16_t send_window = limits::kSendWindow;
  std::uint16_t deliver_window = limits::kDeliverWindow;
  std::uint32_t content_bytes_max = limits::kContentBytesMax;
  std::uint32_t heartbeat_ms = 0, half_open_ms = 0, message_ttl_s = 0;
  std::uint64_t incarnation = 0;  // of the broker's streams
};

enum class SendKind : std::uint8_t { message, read, group, group_read };
struct Send {
  std::uint64_t seq = 0;
  Address to;
  SendKind kind = SendKind::message;
  std::int64_t sent_at_ms = 0;
  std::uint32_t ttl_s = 0;       // 0: the server's default; more than that is cut to it
  std::string content;           // kinds message and group
  std::vector<SeqRange> ranges;  // kind read: sequence numbers of device `to` that were read; group_read: of `author`
  DeviceId author{};             // kind group_read: whose messages in group `to` were read
};
struct Accepted {
  std::vector<SeqRange> ranges;
};
struct Refused {
  std::uint64_t seq = 0;
  Code code = Code::none;
  std::uint32_t retry_after_ms = 0;  // 0: retrying the same will not help
  std::string text;
};
struct Deliver {
  UserId from_user;
  DeviceId from_device;
  std::uint64_t seq = 0;
  std::int64_t sent_at_ms = 0, accepted_at_ms = 0;
  std::string content;
  GroupId group{};  // 0: one to one
};
struct Receipt {
  ReceiptKind kind = ReceiptKind::delivered;
  UserId peer_user;  // who received, read, or did not get it; a group that refused it, with device 0
  DeviceId peer_device;
  std::vector<SeqRange> ranges;  // of the device that gets this receipt
  std::int64_t at_ms = 0;
  Code reason = Code::none;  // kind failed
};
struct Ack {
  std::uint64_t up_to = 0;  // Deliver, Receipt, GroupReceipt and GroupEvent frames taken from this connection, in all
};
struct Ping {
  std::uint64_t token = 0;
};
struct Pong {
  std::uint64_t token = 0;
};
struct Error {
  Code code = Code::none;
  std::uint32_t retry_after_ms = 0;
  std::string text;
};

struct RequestCode {
  std::string phone;
};
struct VerifyCode {
  std::string phone, code;
  std::string device_key;  // Ed25519 public key, 32 bytes
  std::string device_name;
};
struct Lookup {
  std::vector<std::string> phones;
};
struct Block {
  UserId user;
};
struct Unblock {
  UserId user;
};
struct ListBlocked {};
struct ListDevices {};
struct RevokeDevice {
  DeviceId device;
};
struct DevicesOf {
  UserId user;
};  // current addresses of a user one knows: after recipient_gone
struct Request {
  std::uint32_t id = 0;
  std::variant<RequestCode, VerifyCode, Lookup, Block, Unblock, ListBlocked, ListDevices, RevokeDevice, DevicesOf,
               CreateGroup, EditGroup, AddMembers, RemoveMembers, SetRole, LeaveGroup, DeleteGroup, GetGroup,
               ListGroups, GroupInvite, JoinByInvite, ListJoinRequests, AnswerJoinRequest, SetPrivacy, GetPrivacy,
               EditContacts, UploadKeys, KeysOf, GetKeyStatus, UploadMedia, DownloadMedia, DeleteMedia, GetMediaUsage>
      body;
};

struct CodeSent {
  std::uint32_t expires_in_s = 0, resend_in_s = 0;
};
struct Registered {
  UserId user;
  DeviceId device;
  std::string token;
  std::string phone;  // as normalised, E.164
};
struct Contact {
  std::string phone;  // as asked; empty for DevicesOf
  UserId user;
  std::vector<Address> devices;
};
struct Contacts {
  std::vector<Contact> found;
};
struct Done {};
struct Users {
  std::vector<UserId> users;
};
struct DeviceInfo {
  DeviceId device;
  std::string name;
  std::int64_t created_at_ms = 0;
  bool current = false;
};
struct Devices {
  std::vector<DeviceInfo> devices;
};
struct Response {
  std::uint32_t id = 0;
  std::variant<Error, CodeSent, Registered, Contacts, Done, Users, Devices, Group, GroupList, Invite, JoinRequestList,
               GroupChanged, Privacy, Keys, KeyStatus, MediaUpload, MediaUrl, MediaUsage>
      body;
};

using Frame = std::variant<Challenge, Login, Welcome, Send, Accepted, Refused, Deliver, Receipt, Ack, Ping, Pong, Error,
                           Request, Response, GroupReceipt, GroupEvent, Watch, Typing, Presence>;

// Appends one whole frame to `out`. The struct must be within limits (asserted): check content first.
void append(std::string& out, const Challenge&);
void append(std::string& out, const Login&);
void append(std::string& out, const Welcome&);
void append(std::string& out, const Send&);
void append(std::string& out, const Accepted&);
void append(std::string& out, const Refused&);
void append(std::string& out, const Deliver&);
void append(std::string& out, const Receipt&);
void append(std::string& out, const Ack&);
void append(std::string& out, const Ping&);
void append(std::string& out, const Pong&);
void append(std::string& out, const Error&);
void append(std::string& out, const Request&);
void append(std::string& out, const Response&);
void append(std::string& out, const GroupReceipt&);
void append(std::string& out, const GroupEvent&);
void append(std::string& out, const Watch&);
void append(std::string& out, const Typing&);
void append(std::string& out, const Presence&);

// Splits a byte stream. nullopt: more bytes are needed. The view is the payload, inside `bytes`.
struct RawFrame {
  std::uint8_t version = 0;
  FrameType type{};
  std::string_view payload;
  std::size_t bytes = 0;  // header included: what to consume
};
std::optional<RawFrame> split(std::string_view bytes);

// The seq of a Send or the id of a Request that decode() refused, so that the answer can name it. 0: not to be had.
std::uint64_t peek_number(const RawFrame& frame);

// Errors: malformed, invalid_text, content_too_large, unsupported_version, unknown_frame.
Result<Frame, Code> decode(const RawFrame& frame);

}  // namespace barid::wire
