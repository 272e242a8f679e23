#include "edge/session.h"

#include <algorithm>

#include "base/assert.h"
#include "base/partition.h"
#include "schemas/token.h"

namespace barid::edge {
namespace {

using wire::Code;

struct Step {
  Session& session;
  const Rules& rules;
  LoginVerifier& verifier;
  TimePoint now;
  Effects& effects;

  void violation(std::string_view text) const { end(session, Code::protocol_violation, 0, text, effects); }
};

// ---- in every state

void answer_ping(const Step& s, const wire::Ping& ping) { wire::append(s.effects.out, wire::Pong{ping.token}); }

void answer_request_error(const Step& s, std::uint32_t id, Code code, std::uint32_t retry_ms, std::string_view text) {
  wire::append(s.effects.out, wire::Response{id, wire::Error{code, retry_ms, std::string(text)}});
  s.effects.refused = code;
}

// True: it goes on to the directory.
bool admit_request(const Step& s, wire::Request& request) {
  if (s.session.requests >= limits::kRequestsInFlight) {
    answer_request_error(s, request.id, Code::rate_limited, Rules::kRequestsBusyRetryMs, "requests under way");
    return false;
  }
  ++s.session.requests;
  s.effects.request = std::move(request);
  return true;
}

// ---- Greeting

void step_in(const Step& s, Greeting& greeting, wire::Login& login) {
  const auto token = s.verifier.verify(login, greeting.nonce, s.rules.wall);
  if (!token) return end(s.session, token.error(), 0, "login refused", s.effects);
  if (s.rules.revoked.contains(token->device))
    return end(s.session, Code::device_revoked, 0, "device revoked", s.effects);
  Online online;
  online.user = token->user;
  online.device = token->device;
  online.session_no = login.session_no;
  s.session.state = online;
  wire::Welcome welcome;
  welcome.user = token->user;
  welcome.device = token->device;
  welcome.server_time_ms = s.rules.wall.value;
  welcome.heartbeat_ms = static_cast<std::uint32_t>(milliseconds(s.rules.edge.heartbeat).count());
  welcome.half_open_ms = static_cast<std::uint32_t>(milliseconds(s.rules.edge.half_open_deadline).count());
  welcome.message_ttl_s = static_cast<std::uint32_t>(s.rules.message_ttl.count());
  welcome.incarnation = s.rules.incarnation;
  wire::append(s.effects.out, welcome);
  s.effects.logged_in = true;
}

void step_in(const Step& s, Greeting&, wire::Request& request) {
  const bool registers =
      std::holds_alternative<wire::RequestCode>(request.body) || std::holds_alternative<wire::VerifyCode>(request.body);
  if (!registers) return end(s.session, Code::not_logged_in, 0, "log in first", s.effects);
  admit_request(s, request);  // the reactor applies the address's rate: it knows the address
}

void step_in(const Step& s, Greeting&, wire::Send&) {
  end(s.session, Code::not_logged_in, 0, "log in first", s.effects);
}
void step_in(const Step& s, Greeting&, wire::Ack&) {
  end(s.session, Code::not_logged_in, 0, "log in first", s.effects);
}

void step_in(const Step& s, Greeting&, wire::Watch&) {
  end(s.session, Code::not_logged_in, 0, "log in first", s.effects);
}
void step_in(const Step& s, Greeting&, wire::Typing&) {
  end(s.session, Code::not_logged_in, 0, "log in first", s.effects);
}

// ---- Online

void step_in(const Step& s, Online&, wire::Login&) { s.violation("logged in already"); }

// True: this number is the one to be taken now.
bool admit_seq(const Step& s, Online& online, std::uint64_t seq) {
  if (seq == 0) {
    s.violation("sequence numbers start at 1");
    return false;
  }
  if (online.resume_seq != 0) {
    if (seq != online.resume_seq) return false;  // sent before the refusal was known
    online.resume_seq = 0;
  } else if (seq <= online.last_seq) {
    s.violation("sequence numbers must grow within a connection");
    return false;
  }
  return true;
}

bool to_group(const wire::Send& send) {
  return send.kind == wire::SendKind::group || send.kind == wire::SendKind::group_read;
}
bool is_read(const wire::Send& send) {
  return send.kind == wire::SendKind::read || send.kind == wire::SendKind::group_read;
}

struct Objection {
  Code code = Code::none;
  std::string_view text;
};
// Reasons that no repetition will change.
Objection permanent_objection(const Rules& rules, const wire::Send& send) {
  if (token::address_tag(send.to.user, send.to.device, rules.address_key) != send.to.tag)
    return {Code::unknown_recipient, "not an address that the directory gave out"};
  if (rules.revoked.contains(send.to.device))
    return {Code::recipient_gone, "the recipient's device is no longer registered"};
  if (to_group(send) != (send.to.device == DeviceId()))
    return {Code::invalid_argument, "the address of a group has device 0, and no other address has"};
  if (!is_read(send) && (send.content.empty() || !send.ranges.empty()))
    return {Code::invalid_argument, "a message has content and no ranges"};
  if (is_read(send) && (send.ranges.empty() || !send.content.empty()))
    return {Code::invalid_argument, "a read notice has ranges and no content"};
  if ((send.kind == wire::SendKind::group_read) != (send.author != DeviceId()))
    return {Code::invalid_argument, "a read notice to a group names the author's device, and nothing else does"};
  return {};
}

// The frame that the recipients get is made here, once, and only copied from here on.
void append_frame(std::string& out, const Online& online, wire::Send& send, std::int64_t accepted_ms) {
  const GroupId group(to_group(send) ? send.to.user.value : 0);
  switch (send.kind) {
    case wire::SendKind::message:
    case wire::SendKind::group:
      return wire::append(out, wire::Deliver{online.user, online.device, send.seq, send.sent_at_ms, accepted_ms,
                                             std::move(send.content), group});
    case wire::SendKind::read:
      return wire::append(out, wire::Receipt{wire::ReceiptKind::read, online.user, online.device,
                                             std::move(send.ranges), accepted_ms, Code::none});
    case wire::SendKind::group_read:
      return wire::append(
          out,
          wire::GroupReceipt{group, wire::ReceiptKind::read, accepted_ms, {{{online.user}, std::move(send.ranges)}}});
  }
}

// To a group: its members are not known here. A read notice for one of them names the device that wrote what was read.
void fill_envelope(const Step& s, const Online& online, wire::Send& send) {
  Effects& e = s.effects;
  const std::int64_t accepted_ms = s.rules.wall.value;
  const std::int64_t ttl_s =
      send.ttl_s == 0 ? s.rules.message_ttl.count() : std::min<std::int64_t>(send.ttl_s, s.rules.message_ttl.count());
  e.frame.clear();
  append_frame(e.frame, online, send, accepted_ms);
  e.envelope = {online.user,
                online.device,
                send.seq,
                send.to.user,
                send.kind == wire::SendKind::group_read ? send.author : send.to.device,
                WallMs{accepted_ms},
                WallMs{accepted_ms + ttl_s * 1000},
                is_read(send) ? envelope::Kind::receipt : envelope::Kind::message,
                0,
                e.frame,
                GroupId(to_group(send) ? send.to.user.value : 0)};
  e.partition = partition_of(send.to.user, s.rules.partitions);
  e.enqueue = true;
}

void step_in(const Step& s, Online& online, wire::Send& send) {
  if (!admit_seq(s, online, send.seq)) return;
  if (s.rules.broker_away)
    return refuse_send(online, send.seq, Code::unavailable, Rules::kBrokerAwayRetryMs, "the broker is away", s.effects);
  if (const auto wait = online.sends.take(s.rules.edge.sends_per_device, s.now))
    return refuse_send(online, send.seq, Code::rate_limited, wait, "sends per device", s.effects);
  online.last_seq = send.seq;
  if (const Objection no = permanent_objection(s.rules, send); no.code != Code::none)
    return refuse_send(online, send.seq, no.code, 0, no.text, s.effects);
  fill_envelope(s, online, send);
}

void step_in(const Step& s, Online& online, wire::Ack& ack) {
  if (ack.up_to > online.written) return s.violation("acknowledges more than was delivered");
  if (ack.up_to <= online.acked) return;
  online.acked = ack.up_to;
  if (ack.up_to > online.ack_base && online.opened_at.value != 0) s.effects.acked = ack.up_to - online.ack_base;
}

void step_in(const Step& s, Online& online, wire::Request& request) {
  if (const auto wait = online.requests.take(s.rules.edge.requests_per_device, s.now))
    return answer_request_error(s, request.id, Code::rate_limited, wait, "requests per device");
  admit_request(s, request);
}

void step_in(const Step& s, Online&, wire::Watch& watch) { s.effects.watch = std::move(watch); }
void step_in(const Step& s, Online&, wire::Typing& typing) { s.effects.typing = typing; }

// ---- what both states answer alike

template <class State>
void step_in(const Step& s, State&, wire::Ping& ping) {
  answer_ping(s, ping);
}
template <class State>
void step_in(const Step&, State&, wire::Pong&) {}

// Frames that only the server sends. Listed one by one, so that a new frame does not compile until someone decides.
template <class State, class Frame>
requires std::is_same_v<Frame, wire::Challenge> || std::is_same_v<Frame, wire::Welcome> ||
    std::is_same_v<Frame, wire::Accepted> || std::is_same_v<Frame, wire::Refused> ||
    std::is_same_v<Frame, wire::Deliver> || std::is_same_v<Frame, wire::Receipt> ||
    std::is_same_v<Frame, wire::Error> || std::is_same_v<Frame, wire::Response> ||
    std::is_same_v<Frame, wire::GroupReceipt> || std::is_same_v<Frame, wire::GroupEvent> ||
    std::is_same_v<Frame, wire::Presence>
void step_in(const Step& s, State&, Frame&) { s.violation("only the server sends this frame"); }

// A frame that could not be decoded: some cost only themselves, once logged in.
void refuse_undecodable(const Step& s, const wire::RawFrame& raw, Code code) {
  Online* online = s.session.online();
  const std::uint64_t number = online != nullptr ? wire::peek_number(raw) : 0;
  if (online != nullptr && raw.type == wire::FrameType::send && code == Code::content_too_large && number != 0) {
    if (!admit_seq(s, *online, number)) return;
    online->last_seq = number;
    return refuse_send(*online, number, code, 0, "content is too large for one frame", s.effects);
  }
  if (online != nullptr && raw.type == wire::FrameType::request && code == Code::invalid_text)
    return answer_request_error(s, static_cast<std::uint32_t>(number), code, 0, "text is not UTF-8");
  end(s.session, code, 0, "frame refused", s.effects);
}

}  // namespace

void Effects::clear() {
  out.clear();
  logged_in = enqueue = false;
  acked.reset();
  request.reset();
  watch.reset();
  typing.reset();
  refused = ended = Code::none;
}

Session greet(const Rules& rules, TimePoint now, TimePoint deadline, Effects& effects) {
  Session session;
  Greeting greeting;
  crypto::random_bytes(greeting.nonce.data(), greeting.nonce.size());
  greeting.deadline = deadline;
  wire::Challenge challenge;
  challenge.nonce = greeting.nonce;
  challenge.server_time_ms = rules.wall.value;
  challenge.edge = rules.edge.name;
  wire::append(effects.out, challenge);
  session.state = greeting;
  session.heard = now;
  return session;
}

void step(Session& session, const wire::RawFrame& raw, const Rules& rules, LoginVerifier& verifier, TimePoint now,
          Effects& effects) {
  const Step s{session, rules, verifier, now, effects};
  if (session.ended()) return;
  auto frame = wire::decode(raw);
  if (!frame) return refuse_undecodable(s, raw, frame.error());
  std::visit(
      [&](auto& body) {
        if (auto* online = std::get_if<Online>(&session.state)) {
          step_in(s, *online, body);
        } else {
          step_in(s, std::get<Greeting>(session.state), body);
        }
      },
      *frame);
}

TimePoint step_time(Session& session, const Rules& rules, TimePoint now, Effects& effects) {
  if (const auto* greeting = std::get_if<Greeting>(&session.state)) {
    if (now >= greeting->deadline) end(session, Code::login_timeout, 0, "no login in time", effects);
    return greeting->deadline;
  }
  const auto limit = rules.edge.half_open_deadline;
  if (session.ended()) return now + limit;
  if (now >= session.heard + limit) {
    end(session, Code::heartbeat_timeout, 0, "nothing heard in time", effects);
    return now + limit;
  }
  const TimePoint half = session.heard + milliseconds(limit) / 2;
  if (now < half) return half;
  if (!session.pinged) {
    session.pinged = true;
    wire::append(effects.out, wire::Ping{static_cast<std::uint64_t>(rules.wall.value)});
  }
  return session.heard + limit;
}

void end(Session& session, Code code, std::uint32_t retry_after_ms, std::string_view text, Effects& effects) {
  if (session.ended()) return;
  wire::append(effects.out, wire::Error{code, retry_after_ms, std::string(text)});
  effects.ended = code;
  std::optional<Online> was;
  if (const Online* online = session.online()) was = *online;
  session.state = Ended{code, was};
}

void note_settled(Online& online, std::uint16_t count) {
  BARID_ASSERT(count <= online.unaccepted);
  online.unaccepted = static_cast<std::uint16_t>(online.unaccepted - count);
}

void refuse_send(Online& online, std::uint64_t seq, Code code, std::uint32_t retry_after_ms, std::string_view text,
                 Effects& effects) {
  if (retry_after_ms != 0) {
    if (online.resume_seq != 0 && online.resume_seq <= seq) return;  // comes again anyway, after that one
    online.resume_seq = seq;
    online.last_seq = seq - 1;
  }
  wire::append(effects.out, wire::Refused{seq, code, retry_after_ms, std::string(text)});
  effects.refused = code;
}

void hold_sends(Online& online) { online.resume_seq = UINT64_MAX; }

void note_opened(Online& online, Epoch epoch) {
  online.opened_at = epoch;
  online.ack_base = online.written;
}

}  // namespace barid::edge
