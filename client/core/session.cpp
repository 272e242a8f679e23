#include "client/core/session.h"

#include <algorithm>
#include <cctype>

#include "base/assert.h"

namespace barid::client {
namespace {

// What to tell people when trying again cannot help; empty for all other codes.
std::string final_advice(wire::Code code) {
  switch (code) {
    case wire::Code::device_revoked:
      return "this device was removed from the account: register again";
    case wire::Code::bad_token:
      return "the server does not know this device's token: register again";
    case wire::Code::bad_signature:
      return "the server refused this device's key: register again";
    case wire::Code::token_expired:
      return "this device's registration has expired: register again";
    case wire::Code::unsupported_version:
      return "this barid is too old for the server: update it";
    default:
      return {};
  }
}

std::uint64_t number_in(std::string_view text) {
  const auto first = std::find_if(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  std::uint64_t n = 0;
  for (auto p = first; p != text.end() && std::isdigit(static_cast<unsigned char>(*p)) != 0; ++p) {
    if (n > (UINT64_MAX - 9) / 10) return 0;
    n = n * 10 + static_cast<std::uint64_t>(*p - '0');
  }
  return n;
}

}  // namespace

Session::Session(Store& store, std::string client_name, std::uint64_t jitter_seed)
    : store_(store), client_name_(std::move(client_name)), jitter_(jitter_seed) {}

bool Session::wants_connection(TimePoint now) const { return phase_ == Phase::waiting && now >= retry_at_; }

TimePoint Session::deadline() const {
  constexpr auto kNever = TimePoint::max();
  if (phase_ == Phase::stopped) return kNever;
  if (phase_ == Phase::waiting) return retry_at_;
  if (phase_ != Phase::online) return phase_since_ + kLoginDeadline;
  TimePoint first = heard_at_ + milliseconds(welcome_.half_open_ms);
  first = std::min(first, said_at_ + milliseconds(welcome_.heartbeat_ms));
  if (!pinged_) first = std::min(first, heard_at_ + milliseconds(welcome_.heartbeat_ms));
  if (sender_.wants_reconnect()) {
    first = std::min(first, reconnect_by_);
  } else if (const auto hold = sender_.hold_until()) {
    first = std::min(first, *hold);
  }
  if (resolve_at_ != TimePoint()) first = std::min(first, resolve_at_);
  if (keys_at_ != TimePoint()) first = std::min(first, keys_at_);
  for (const auto& [id, call] : asked_) first = std::min(first, call.deadline);
  return first;
}

void Session::connecting(Now now) {
  BARID_ASSERT(phase_ == Phase::waiting);
  phase_ = Phase::connecting;
  phase_since_ = now.steady;
  account_ = store_.account();
}

void Session::connected(Now now) {
  if (phase_ != Phase::connecting) return;
  phase_ = Phase::greeting;
  phase_since_ = heard_at_ = said_at_ = now.steady;
  lose_connection();
}

void Session::lose_connection() {
  in_.clear(), out_.clear();
  close_ = pinged_ = quick_ = keys_hold_ = false;
  taken_ = acked_ = 0;
  typing_ = {};
  resolve_at_ = reconnect_by_ = keys_at_ = TimePoint();
  sender_.disconnected();
}

void Session::disconnected(const std::string& why, Now now) {
  if (phase_ == Phase::stopped || phase_ == Phase::waiting) return;
  const bool was_online = phase_ == Phase::online;
  if (was_online && now.steady - phase_since_ >= kStableAfter) backoff_.reset();
  const milliseconds wait = quick_ ? milliseconds(0) : backoff_.next(jitter_, retry_after_);
  events_.emplace_back(event::Offline{close_ && !why_.empty() ? why_ : why, wait});
  phase_ = Phase::waiting;
  retry_at_ = now.steady + wait;
  lose_connection();
  why_.clear();
  retry_after_ = milliseconds(0);
  fail_calls({wire::Code::unavailable, 0, "the connection was lost"});
}

void Session::close(std::string why, milliseconds retry_after) {
  if (close_) return;
  close_ = true;
  why_ = std::move(why);
  retry_after_ = retry_after;
}

void Session::stop(wire::Code code, std::string text) {
  phase_ = Phase::stopped;
  close_ = true;
  fail_calls({code, 0, text});
  events_.emplace_back(event::Stopped{code, std::move(text)});
}

void Session::hurry(Now now) {
  if (phase_ == Phase::waiting) retry_at_ = std::min(retry_at_, now.steady);
}

void Session::received(std::string_view bytes, Now now) {
  if (close_ || phase_ < Phase::greeting || phase_ == Phase::stopped) return;
  heard_at_ = now.steady;
  pinged_ = false;
  in_.append(bytes);
  std::vector<wire::Frame> frames;
  std::size_t used = 0;
  while (const auto raw = wire::split(std::string_view(in_).substr(used))) {
    used += raw->bytes;
    auto frame = wire::decode(*raw);
    if (frame) {
      frames.push_back(std::move(*frame));
    } else if (frame.error() != wire::Code::unknown_frame) {  // a newer server may say more than we understand
      close("the server sent what we cannot read (" + std::string(wire::name_of(frame.error())) + ")");
      break;
    }
  }
  in_.erase(0, used);
  handle(frames, now);
  if (!close_) progress(now);
}

void Session::handle(std::vector<wire::Frame>& frames, Now now) {
  if (frames.empty()) return;
  const bool durable = std::any_of(frames.begin(), frames.end(), [](const wire::Frame& f) {
    return std::holds_alternative<wire::Deliver>(f) || std::holds_alternative<wire::Receipt>(f) ||
           std::holds_alternative<wire::GroupReceipt>(f) || std::holds_alternative<wire::GroupEvent>(f) ||
           std::holds_alternative<wire::Challenge>(f);
  });
  const std::size_t out_before = out_.size();
  Transaction transaction(store_, durable ? Store::Durability::durable : Store::Durability::relaxed);
  try {
    for (const wire::Frame& frame : frames) {
      if (phase_ == Phase::stopped) break;
      std::visit([&](const auto& f) { on(f, now); }, frame);
    }
    transaction.commit();
  } catch (...) {
    undone(out_before);
    throw;
  }
  if (taken_ == acked_ || phase_ != Phase::online) return;
  wire::append(out_, wire::Ack{taken_});
  acked_ = taken_;
  said_at_ = now.steady;
}

// A transaction was rolled back. Nothing may be said that rests on it, and our counts of this connection may be ahead
// of the store: an Ack from here on could cover what was never stored. So this connection has nothing more to say or
// hear.
void Session::undone(std::size_t out_bytes_before) {
  out_.resize(out_bytes_before);
  close("the local store failed");
}

void Session::on(const wire::Challenge& challenge, Now now) {
  if (phase_ != Phase::greeting) return;
  if (challenge.protocol_min > limits::kProtocolVersion || challenge.protocol_max < limits::kProtocolVersion)
    return stop(wire::Code::unsupported_version, final_advice(wire::Code::unsupported_version));
  // Persisted before it is said (this transaction commits before the shell sees the bytes): never used twice.
  account_.session_no = SessionNo(account_.session_no.value + 1);
  store_.set_session_no(account_.session_no);
  const std::string message = wire::login_message(challenge.nonce, account_.session_no, account_.token);
  const auto signature = crypto::sign(message, account_.key);
  wire::append(out_,
               wire::Login{account_.token, std::string(crypto::view(signature)), account_.session_no, client_name_});
  edge_ = challenge.edge;
  phase_ = Phase::logging_in;
  said_at_ = now.steady;
}

void Session::on(const wire::Welcome& welcome, Now now) {
  if (phase_ != Phase::logging_in) return;
  welcome_ = welcome;
  if (welcome_.heartbeat_ms == 0) welcome_.heartbeat_ms = 20'000;
  if (welcome_.half_open_ms == 0) welcome_.half_open_ms = 30'000;
  phase_ = Phase::online;
  phase_since_ = now.steady;
  stale_ = 0;
  if (welcome.incarnation != account_.incarnation) {
    store_.offer_again(welcome.incarnation, now.wall);
    account_.incarnation = welcome.incarnation;
  }
  sender_.connected(welcome.send_window);
  if (!watch_.users.empty() || !watch_.groups.empty()) wire::append(out_, watch_);
  dirty_ = true;
  const milliseconds off(welcome.server_time_ms == 0 ? 0 : welcome.server_time_ms - now.wall.value);
  events_.emplace_back(event::Online{edge_, off});
}

void Session::on(const wire::Accepted& accepted, Now now) {
  sender_.accepted(accepted.ranges);
  store_.accepted(accepted.ranges, now.wall);
  backoff_.reset();
  dirty_ = true;
  events_.emplace_back(event::Changed{});
}

void Session::on(const wire::Refused& refused, Now now) {
  dirty_ = true;
  if (refused.retry_after_ms != 0) {
    const milliseconds wait(refused.retry_after_ms);
    sender_.refused_for_now(refused.seq, now.steady + wait + jitter_.below(wait / 4 + milliseconds(50)));
    return;
  }
  sender_.refused_for_good(refused.seq);
  // A tag that the edge does not accept (any more) is a matter for the directory, like a device that is gone.
  if (refused.code == wire::Code::recipient_gone || refused.code == wire::Code::unknown_recipient) {
    store_.gone(refused.seq, now.wall);
  } else {
    store_.fail(refused.seq, refused.code, now.wall);
  }
  events_.emplace_back(event::Changed{});
}

void Session::on(const wire::Deliver& deliver, Now now) {
  if (phase_ != Phase::online) return not_for_clients(now);
  store_.take(deliver, now.wall);
  ++taken_;
  if (deliver.group != GroupId() || store_.keys_moved()) dirty_ = true;  // one that we do not know, perhaps
  backoff_.reset();
  events_.emplace_back(event::Changed{});
}

void Session::on(const wire::Receipt& receipt, Now now) {
  if (phase_ != Phase::online) return not_for_clients(now);
  store_.receipt(receipt);
  ++taken_;
  dirty_ = true;
  events_.emplace_back(event::Changed{});
}

void Session::on(const wire::GroupReceipt& receipt, Now now) {
  if (phase_ != Phase::online) return not_for_clients(now);
  store_.group_receipt(receipt);
  ++taken_;
  dirty_ = true;
  events_.emplace_back(event::Changed{});
}

void Session::on(const wire::GroupEvent& event, Now now) {
  if (phase_ != Phase::online) return not_for_clients(now);
  store_.group_event(event);
  ++taken_;
  dirty_ = true;
  events_.emplace_back(event::Changed{});
}

void Session::on(const wire::Presence& presence, Now now) {
  if (phase_ != Phase::online) return not_for_clients(now);
  events_.emplace_back(event::Presence{presence.entries});
}

void Session::watch(wire::Watch watch, Now now) {
  if (watch.users.size() > limits::kWatchUsersMax) watch.users.resize(limits::kWatchUsersMax);
  if (watch.groups.size() > limits::kWatchGroupsMax) watch.groups.resize(limits::kWatchGroupsMax);
  watch_ = std::move(watch);
  if (phase_ != Phase::online || close_) return;
  wire::append(out_, watch_);
  said_at_ = now.steady;
}

void Session::typing(const wire::Typing& typing, Now now) {
  if (phase_ != Phase::online || close_ || (typing.user == UserId()) == (typing.group == GroupId())) return;
  const bool same_place = typing.user == typing_.user && typing.group == typing_.group;
  const bool nothing_new = same_place && typing.state == typing_.state;
  if (typing.state == wire::TypingState::stopped ? !same_place || nothing_new
                                                 : nothing_new && now.steady < typing_at_ + kTypingEvery)
    return;
  wire::append(out_, typing);
  typing_ = typing;
  typing_at_ = said_at_ = now.steady;
}

void Session::on(const wire::Ping& ping, Now now) {
  wire::append(out_, wire::Pong{ping.token});
  said_at_ = now.steady;
}

void Session::on(const wire::Error& error, Now) {
  const std::string text(error.text.empty() ? wire::name_of(error.code) : std::string_view(error.text));
  const milliseconds retry_after(error.retry_after_ms);
  if (std::string advice = final_advice(error.code); !advice.empty()) return stop(error.code, std::move(advice));
  switch (error.code) {
    case wire::Code::session_stale: {
      // The server has seen a higher number (a restored backup): go beyond what it says, or in growing
      // strides.
      const std::uint64_t told = number_in(error.text);
      const std::uint64_t stride = std::uint64_t{1} << std::min(8 * ++stale_, 48);
      account_.session_no = SessionNo(std::max(account_.session_no.value + (told == 0 ? stride : 0), told));
      store_.set_session_no(account_.session_no);
      quick_ = stale_ == 1;
      return close("our session number was too low");
    }
    case wire::Code::session_replaced:
      backoff_.at_least(milliseconds(8'000));  // two copies of one account must not fight at full speed
      return close("another session of this device has taken over", retry_after);
    case wire::Code::going_away:
      return close("the server is restarting", retry_after);
    default:
      return close("the server closed the connection: " + text, retry_after);
  }
}

void Session::not_for_clients(Now) { close("the server sent a frame out of place"); }

void Session::tick(Now now) {
  if (phase_ == Phase::stopped || phase_ == Phase::waiting || close_) return;
  if (phase_ != Phase::online) {
    if (now.steady >= phase_since_ + kLoginDeadline) close("the server does not answer");
    return;
  }
  heartbeat(now);
  expire_calls(now);
  if (!close_) progress(now);
}

void Session::heartbeat(Now now) {
  const milliseconds beat(welcome_.heartbeat_ms);
  if (now.steady >= heard_at_ + milliseconds(welcome_.half_open_ms)) return close("the server has fallen silent");
  if (now.steady < said_at_ + beat && (pinged_ || now.steady < heard_at_ + beat)) return;
  wire::append(out_, wire::Ping{static_cast<std::uint64_t>(now.wall.value)});
  said_at_ = now.steady;
  pinged_ = true;
}

void Session::outbox_changed(Now now) {
  dirty_ = true;
  if (phase_ == Phase::online && !close_) progress(now);
}

void Session::progress(Now now) {
  if (phase_ != Phase::online) return;
  if (keys_at_ != TimePoint() && now.steady >= keys_at_) keys_at_ = TimePoint(), dirty_ = true;
  if (dirty_ || sender_.hold_until() || resolve_at_ != TimePoint()) {
    const std::size_t before = out_.size();
    try {
      Transaction transaction(store_,
                              Store::Durability::durable);  // numbers are given out once, whatever happens
      dirty_ = false;
      if (sender_.fill(store_, out_, now)) said_at_ = now.steady;
      if (out_.size() >= Sender::kOutBytesMax) dirty_ = true;
      resolve(now);
      if (store_.seals()) exchange_keys(now);
      transaction.commit();
    } catch (...) {
      undone(before);
      throw;
    }
    if (out_.size() != before) events_.emplace_back(event::Changed{});
  }
  start_calls(now);
  if (!sender_.wants_reconnect()) return;
  if (reconnect_by_ == TimePoint()) reconnect_by_ = now.steady + kReconnectPatience;
  if (!sender_.idle() && now.steady < reconnect_by_) return;
  quick_ = true;
  close("reconnecting to send to a new device");
}

}  // namespace barid::client
