#include "schemas/wire.h"

#include <kj/exception.h>

#include "base/utf8.h"
#include "schemas/codec.h"
#include "schemas/wire.capnp.h"
#include "schemas/wire_read.h"
#include "schemas/wire_request.h"

namespace barid::wire {
namespace {

using codec::as_data;
using codec::text;
using codec::view;

void append_packed(std::string& out, FrameType type, capnp::MessageBuilder& message) {
  const std::size_t start = out.size();
  out.append(limits::kFrameHeaderBytes, '\0');
  codec::StringOutput output(out);
  capnp::writePackedMessage(output, message);
  const std::size_t length = out.size() - start - limits::kFrameHeaderBytes;
  BARID_ASSERT(length <= limits::kPayloadBytesMax);
  out[start] = static_cast<char>(limits::kProtocolVersion);
  out[start + 1] = static_cast<char>(type);
  out[start + 2] = static_cast<char>(length >> 8);
  out[start + 3] = static_cast<char>(length & 0xff);
}

template <class Root, class Fill>
void append_frame(std::string& out, FrameType type, Fill&& fill) {
  capnp::MallocMessageBuilder message(codec::build_scratch());
  fill(message.initRoot<Root>());
  append_packed(out, type, message);
}

std::string read_text(capnp::Text::Reader reader) { return read_short_text(reader); }

std::string read_content(capnp::Data::Reader reader) {
  if (reader.size() > limits::kContentBytesMax) throw Refuse{Code::content_too_large};
  return std::string(view(reader));
}

Code read_code(schema::Code code) {
  const auto raw = static_cast<std::uint16_t>(code);
  return raw <= static_cast<std::uint16_t>(kLastCode) ? static_cast<Code>(raw) : Code::unavailable;
}

template <class Root, class Read>
Frame read_frame(std::string_view payload, Read&& read) {
  Frame frame;
  codec::read_packed<Root>(payload, [&](typename Root::Reader reader) { frame = read(reader); });
  return frame;
}

Frame decode_or_throw(const RawFrame& raw) {
  switch (raw.type) {
    case FrameType::challenge:
      return read_frame<schema::Challenge>(raw.payload, [](auto r) {
        Challenge c;
        if (r.getNonce().size() != c.nonce.size()) throw Refuse{Code::malformed};
        std::memcpy(c.nonce.data(), r.getNonce().begin(), c.nonce.size());
        c.server_time_ms = r.getServerTimeMs();
        c.protocol_min = r.getProtocolMin();
        c.protocol_max = r.getProtocolMax();
        c.edge = read_text(r.getEdge());
        return c;
      });
    case FrameType::login:
      return read_frame<schema::Login>(raw.payload, [](auto r) {
        if (r.getToken().size() > 1024 || r.getSignature().size() > 1024) throw Refuse{Code::malformed};
        return Login{std::string(view(r.getToken())), std::string(view(r.getSignature())), SessionNo(r.getSessionNo()),
                     read_text(r.getClient())};
      });
    case FrameType::welcome:
      return read_frame<schema::Welcome>(raw.payload, [](auto r) {
        return Welcome{UserId(r.getUser()),  DeviceId(r.getDevice()), r.getServerTimeMs(), r.getSendWindow(),
                       r.getDeliverWindow(), r.getContentBytesMax(),  r.getHeartbeatMs(),  r.getHalfOpenMs(),
                       r.getMessageTtlS(),   r.getIncarnation()};
      });
    case FrameType::send:
      return read_frame<schema::Send>(raw.payload, [](auto r) {
        Send s;
        s.seq = r.getSeq();
        s.to = {UserId(r.getTo().getUser()), DeviceId(r.getTo().getDevice()), r.getTo().getTag()};
        s.kind = read_enum(r.getKind(), SendKind::group_read);
        s.sent_at_ms = r.getSentAtMs();
        s.ttl_s = r.getTtlS();
        s.content = read_content(r.getContent());
        s.ranges = read_ranges(r.getRanges());
        s.author = DeviceId(r.getAuthor());
        return s;
      });
    case FrameType::accepted:
      return read_frame<schema::Accepted>(raw.payload, [](auto r) { return Accepted{read_ranges(r.getRanges())}; });
    case FrameType::refused:
      return read_frame<schema::Refused>(raw.payload, [](auto r) {
        return Refused{r.getSeq(), read_code(r.getCode()), r.getRetryAfterMs(), read_text(r.getText())};
      });
    case FrameType::deliver:
      return read_frame<schema::Deliver>(raw.payload, [](auto r) {
        return Deliver{UserId(r.getFromUser()), DeviceId(r.getFromDevice()),  r.getSeq(),           r.getSentAtMs(),
                       r.getAcceptedAtMs(),     read_content(r.getContent()), GroupId(r.getGroup())};
      });
    case FrameType::receipt:
      return read_frame<schema::Receipt>(raw.payload, [](auto r) {
        return Receipt{read_enum(r.getKind(), ReceiptKind::failed),
                       UserId(r.getPeerUser()),
                       DeviceId(r.getPeerDevice()),
                       read_ranges(r.getRanges()),
                       r.getAtMs(),
                       read_code(r.getReason())};
      });
    case FrameType::ack:
      return read_frame<schema::Ack>(raw.payload, [](auto r) { return Ack{r.getUpTo()}; });
    case FrameType::ping:
      return read_frame<schema::Ping>(raw.payload, [](auto r) { return Ping{r.getToken()}; });
    case FrameType::pong:
      return read_frame<schema::Pong>(raw.payload, [](auto r) { return Pong{r.getToken()}; });
    case FrameType::error:
      return read_frame<schema::Error>(raw.payload, [](auto r) {
        return Error{read_code(r.getCode()), r.getRetryAfterMs(), read_text(r.getText())};
      });
    case FrameType::request:
      return read_frame<schema::Request>(raw.payload, [](auto r) { return read_request(r); });
    case FrameType::response:
      return read_frame<schema::Response>(raw.payload, [](auto r) { return read_response(r); });
    case FrameType::group_receipt:
      return read_frame<schema::GroupReceipt>(raw.payload, [](auto r) { return read_group_receipt(r); });
    case FrameType::group_event:
      return read_frame<schema::GroupEvent>(raw.payload, [](auto r) { return read_group_event(r); });
    case FrameType::watch:
      return read_frame<schema::Watch>(raw.payload, [](auto r) { return read_watch(r); });
    case FrameType::typing:
      return read_frame<schema::Typing>(raw.payload, [](auto r) { return read_typing(r); });
    case FrameType::presence:
      return read_frame<schema::Presence>(raw.payload, [](auto r) { return read_presence(r); });
  }
  throw Refuse{Code::unknown_frame};
}

}  // namespace

std::string read_short_text(capnp::Text::Reader reader, std::size_t most) {
  if (reader.size() > most) throw Refuse{Code::malformed};
  if (!is_valid_utf8(view(reader))) throw Refuse{Code::invalid_text};
  return std::string(view(reader));
}
std::vector<SeqRange> read_ranges(capnp::List<schema::Range>::Reader list) {
  if (list.size() > limits::kRangesMax) throw Refuse{Code::malformed};
  std::vector<SeqRange> ranges;
  ranges.reserve(list.size());
  for (auto range : list) {
    if (range.getCount() == 0 || range.getFirst() == 0 || range.getFirst() + range.getCount() < range.getFirst())
      throw Refuse{Code::malformed};
    ranges.push_back({range.getFirst(), range.getCount()});
  }
  return ranges;
}
Code read_wire_code(schema::Code code) { return read_code(code); }
[[noreturn]] void refuse(Code code) { throw Refuse{code}; }

std::string login_message(const std::array<std::uint8_t, 32>& nonce, SessionNo session_no, std::string_view token) {
  std::string message = "barid-login-v1";
  message.append(reinterpret_cast<const char*>(nonce.data()), nonce.size());
  for (int shift = 56; shift >= 0; shift -= 8) message.push_back(static_cast<char>(session_no.value >> shift));
  message.append(token);
  return message;
}

std::string_view name_of(Code code) {
  static constexpr std::string_view kNames[] = {"none",
                                                "malformed",
                                                "unsupportedVersion",
                                                "unknownFrame",
                                                "frameTooLarge",
                                                "notLoggedIn",
                                                "badToken",
                                                "badSignature",
                                                "tokenExpired",
                                                "deviceRevoked",
                                                "sessionReplaced",
                                                "sessionStale",
                                                "ackTimeout",
                                                "heartbeatTimeout",
                                                "loginTimeout",
                                                "tooManyConnections",
                                                "slowReader",
                                                "goingAway",
                                                "protocolViolation",
                                                "rateLimited",
                                                "unavailable",
                                                "brokerFull",
                                                "unknownRecipient",
                                                "contentTooLarge",
                                                "invalidText",
                                                "invalidPhone",
                                                "codeWrong",
                                                "codeExpired",
                                                "codeTriesExhausted",
                                                "codeThrottled",
                                                "notFound",
                                                "notAllowed",
                                                "quotaExceeded",
                                                "invalidArgument",
                                                "expired",
                                                "recipientGone",
                                                "undeliverable",
                                                "notMember",
                                                "groupFull",
                                                "versionConflict"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(kLastCode) + 1);
  return kNames[static_cast<std::size_t>(code)];
}

void append(std::string& out, const Challenge& c) {
  append_frame<schema::Challenge>(out, FrameType::challenge, [&](auto b) {
    b.setNonce(as_data({reinterpret_cast<const char*>(c.nonce.data()), c.nonce.size()}));
    b.setServerTimeMs(c.server_time_ms);
    b.setProtocolMin(c.protocol_min);
    b.setProtocolMax(c.protocol_max);
    b.setEdge(text(c.edge));
  });
}
void append(std::string& out, const Login& l) {
  append_frame<schema::Login>(out, FrameType::login, [&](auto b) {
    b.setToken(as_data(l.token));
    b.setSignature(as_data(l.signature));
    b.setSessionNo(l.session_no.value);
    b.setClient(text(l.client));
  });
}
void append(std::string& out, const Welcome& w) {
  append_frame<schema::Welcome>(out, FrameType::welcome, [&](auto b) {
    b.setUser(w.user.value);
    b.setDevice(w.device.value);
    b.setServerTimeMs(w.server_time_ms);
    b.setSendWindow(w.send_window);
    b.setDeliverWindow(w.deliver_window);
    b.setContentBytesMax(w.content_bytes_max);
    b.setHeartbeatMs(w.heartbeat_ms);
    b.setHalfOpenMs(w.half_open_ms);
    b.setMessageTtlS(w.message_ttl_s);
    b.setIncarnation(w.incarnation);
  });
}
void append(std::string& out, const Send& s) {
  append_frame<schema::Send>(out, FrameType::send, [&](auto b) {
    b.setSeq(s.seq);
    auto to = b.initTo();
    to.setUser(s.to.user.value);
    to.setDevice(s.to.device.value);
    to.setTag(s.to.tag);
    b.setKind(static_cast<schema::SendKind>(s.kind));
    b.setSentAtMs(s.sent_at_ms);
    b.setTtlS(s.ttl_s);
    if (!s.content.empty()) b.setContent(as_data(s.content));
    if (!s.ranges.empty()) fill_ranges(b.initRanges(static_cast<unsigned>(s.ranges.size())), s.ranges);
    b.setAuthor(s.author.value);
  });
}
void append(std::string& out, const Accepted& a) {
  append_frame<schema::Accepted>(out, FrameType::accepted, [&](auto b) {
    fill_ranges(b.initRanges(static_cast<unsigned>(a.ranges.size())), a.ranges);
  });
}
void append(std::string& out, const Refused& r) {
  append_frame<schema::Refused>(out, FrameType::refused, [&](auto b) {
    b.setSeq(r.seq);
    b.setCode(static_cast<schema::Code>(r.code));
    b.setRetryAfterMs(r.retry_after_ms);
    b.setText(text(r.text));
  });
}
void append(std::string& out, const Deliver& d) {
  append_frame<schema::Deliver>(out, FrameType::deliver, [&](auto b) {
    b.setFromUser(d.from_user.value);
    b.setFromDevice(d.from_device.value);
    b.setSeq(d.seq);
    b.setSentAtMs(d.sent_at_ms);
    b.setAcceptedAtMs(d.accepted_at_ms);
    b.setContent(as_data(d.content));
    b.setGroup(d.group.value);
  });
}
void append(std::string& out, const Receipt& r) {
  append_frame<schema::Receipt>(out, FrameType::receipt, [&](auto b) {
    b.setKind(static_cast<schema::ReceiptKind>(r.kind));
    b.setPeerUser(r.peer_user.value);
    b.setPeerDevice(r.peer_device.value);
    fill_ranges(b.initRanges(static_cast<unsigned>(r.ranges.size())), r.ranges);
    b.setAtMs(r.at_ms);
    b.setReason(static_cast<schema::Code>(r.reason));
  });
}
void append(std::string& out, const Ack& a) {
  append_frame<schema::Ack>(out, FrameType::ack, [&](auto b) { b.setUpTo(a.up_to); });
}
void append(std::string& out, const Ping& p) {
  append_frame<schema::Ping>(out, FrameType::ping, [&](auto b) { b.setToken(p.token); });
}
void append(std::string& out, const Pong& p) {
  append_frame<schema::Pong>(out, FrameType::pong, [&](auto b) { b.setToken(p.token); });
}
void append(std::string& out, const Error& e) {
  append_frame<schema::Error>(out, FrameType::error, [&](auto b) {
    b.setCode(static_cast<schema::Code>(e.code));
    b.setRetryAfterMs(e.retry_after_ms);
    b.setText(text(e.text));
  });
}
void append(std::string& out, const Request& r) {
  append_frame<schema::Request>(out, FrameType::request, [&](auto b) { fill_request(b, r); });
}
void append(std::string& out, const Response& r) {
  append_frame<schema::Response>(out, FrameType::response, [&](auto b) { fill_response(b, r); });
}
void append(std::string& out, const GroupReceipt& r) {
  append_frame<schema::GroupReceipt>(out, FrameType::group_receipt, [&](auto b) { fill_group_receipt(b, r); });
}
void append(std::string& out, const GroupEvent& e) {
  append_frame<schema::GroupEvent>(out, FrameType::group_event, [&](auto b) { fill_group_event(b, e); });
}
void append(std::string& out, const Watch& w) {
  append_frame<schema::Watch>(out, FrameType::watch, [&](auto b) { fill_watch(b, w); });
}
void append(std::string& out, const Typing& t) {
  append_frame<schema::Typing>(out, FrameType::typing, [&](auto b) { fill_typing(b, t); });
}
void append(std::string& out, const Presence& p) {
  append_frame<schema::Presence>(out, FrameType::presence, [&](auto b) { fill_presence(b, p); });
}

std::optional<RawFrame> split(std::string_view bytes) {
  if (bytes.size() < limits::kFrameHeaderBytes) return std::nullopt;
  const std::size_t length =
      (static_cast<std::size_t>(static_cast<std::uint8_t>(bytes[2])) << 8) | static_cast<std::uint8_t>(bytes[3]);
  if (bytes.size() < limits::kFrameHeaderBytes + length) return std::nullopt;
  return RawFrame{static_cast<std::uint8_t>(bytes[0]), static_cast<FrameType>(static_cast<std::uint8_t>(bytes[1])),
                  bytes.substr(limits::kFrameHeaderBytes, length), limits::kFrameHeaderBytes + length};
}

std::uint64_t peek_number(const RawFrame& frame) {
  std::uint64_t number = 0;
  try {
    if (frame.type == FrameType::send)
      codec::read_packed<schema::Send>(frame.payload, [&](auto reader) { number = reader.getSeq(); });
    if (frame.type == FrameType::request)
      codec::read_packed<schema::Request>(frame.payload, [&](auto reader) { number = reader.getId(); });
  } catch (const kj::Exception&) {
    return 0;
  }
  return number;
}

Result<Frame, Code> decode(const RawFrame& frame) {
  if (frame.version != limits::kProtocolVersion) return fail(Code::unsupported_version);
  try {
    return decode_or_throw(frame);
  } catch (const Refuse& refused) {
    return fail(refused.code);
  } catch (const kj::Exception&) {
    return fail(Code::malformed);
  }
}

}  // namespace barid::wire
