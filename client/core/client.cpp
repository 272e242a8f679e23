#include "client/core/client.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/assert.h"

namespace barid::client {
namespace {
constexpr std::size_t kUnsentBytesMax = 1024 * 1024;  // in the transport; beyond it the session keeps its output
constexpr const char* kClientName = "barid/0.1 (terminal)";
}  // namespace

Client::Client(SqliteStore& store, const std::string& directory) : store_(store), lock_(directory), nudge_(directory) {
  const Account account = store.account();
  auto url = parse_server_url(account.server);
  if (!url) throw std::runtime_error(url.error());
  url_ = *url;
  tls_ca_ = account.tls_ca;
  store_.on_commit([this] { nudge_.ring(); });
  take_session();
}

Client::~Client() {
  store_.on_commit({});
  if (!transport_ || transport_->status() != Transport::Status::open) return;
  const TimePoint until = steady_now() + kGoodbye;
  try {
    move_bytes();
    while (transport_ && transport_->status() == Transport::Status::open && transport_->unsent() != 0 &&
           steady_now() < until) {
      pollfd p{transport_->fd(), POLLOUT, 0};
      ::poll(&p, 1, 50);
      transport_->ready(POLLOUT, steady_now());
    }
    if (transport_) transport_->shut();
  } catch (const std::exception&) {  // what could not be said now is said again by the next session
  }
}

void Client::take_session() {
  if (session_ || steady_now() < lock_at_) return;
  lock_at_ = steady_now() + kLockInterval;
  if (!lock_.try_take()) return;
  session_ = std::make_unique<Session>(store_, kClientName, crypto::random_u64());
  session_->watch(watch_, now());
  link_ = {Link::Kind::connecting, {}, {}, {}, false};
}

void Client::connect_if_due() {
  if (!session_ || transport_ || !session_->wants_connection(steady_now())) return;
  session_->connecting(now());
  told_connected_ = false;
  if (link_.kind != Link::Kind::offline) link_.kind = Link::Kind::connecting;
  transport_ = std::make_unique<Transport>(url_, tls_ca_, steady_now());
}

milliseconds Client::wait_for(milliseconds wait_max) const {
  const TimePoint start = steady_now();
  TimePoint until = start + std::min<milliseconds>(wait_max, seconds(60));
  until = std::min(until, look_at_);
  if (!session_) until = std::min(until, lock_at_);
  if (session_) until = std::min(until, session_->deadline());
  if (transport_ && transport_->status() == Transport::Status::opening)
    until = std::min(until, start + milliseconds(250));
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(until - start));
}

Client::Turn Client::turn(milliseconds wait_max, int input_fd) {
  Turn turn;
  take_session();
  connect_if_due();
  std::array<pollfd, 3> fds{{{transport_ ? transport_->fd() : -1, transport_ ? transport_->events() : short{0}, 0},
                             {nudge_.fd(), POLLIN, 0},
                             {input_fd, POLLIN, 0}}};
  const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(wait_for(wait_max).count()));
  turn.input = ready > 0 && fds[2].revents != 0;
  if (transport_) {
    if (ready > 0) transport_->ready(fds[0].revents, steady_now());
    transport_->tick(steady_now());
  }
  if (fds[1].revents != 0) nudge_.drain();
  if (fds[1].revents != 0 || steady_now() >= look_at_) turn.changed = look_at_store();
  if (session_) {
    if (turn.changed) session_->outbox_changed(now());
    serve_calls();
    move_bytes();
    handle_events(turn);
  }
  return turn;
}

bool Client::look_at_store() {
  look_at_ = steady_now() + kLookInterval;
  const std::int64_t version = store_.data_version();
  return std::exchange(seen_version_, version) != version;
}

void Client::move_bytes() {
  if (transport_) {
    if (!told_connected_ && transport_->status() == Transport::Status::open) {
      told_connected_ = true;
      session_->connected(now());
    }
    if (const std::string bytes = transport_->take_received(); !bytes.empty()) session_->received(bytes, now());
  }
  session_->tick(now());
  if (!transport_) return;
  std::string& out = session_->output();
  while (!out.empty() && transport_->status() == Transport::Status::open && transport_->unsent() < kUnsentBytesMax) {
    transport_->send(out);
    out.clear();
    if (!session_->wants_close()) session_->tick(now());  // room again: there may be more
  }
  if (session_->wants_close()) {
    transport_->shut();
    drop_connection("closed");
  } else if (transport_->status() == Transport::Status::closed) {
    drop_connection(transport_->error());
  }
}

void Client::drop_connection(std::string why) {
  transport_.reset();
  session_->disconnected(why, now());
}

void Client::handle_events(Turn& turn) {
  for (Event& event : session_->take_events()) {
    if (std::holds_alternative<event::Changed>(event)) {
      turn.changed = true;
    } else if (std::holds_alternative<event::Online>(event)) {
      link_ = {Link::Kind::online, {}, {}, {}, true};
    } else if (auto* offline = std::get_if<event::Offline>(&event)) {
      link_ = {Link::Kind::offline, std::move(offline->why), {}, steady_now() + offline->retry_in, true};
    } else if (auto* stopped = std::get_if<event::Stopped>(&event)) {
      link_ = {Link::Kind::stopped, std::move(stopped->text), stopped->code, {}, true};
    } else if (auto* presence = std::get_if<event::Presence>(&event)) {
      turn.presence = true;
      for (const wire::PresenceEntry& entry : presence->entries)
        if (presence_.size() < kPresenceMax) presence_.push_back(entry);
    } else if (auto* answer = std::get_if<event::Answer>(&event)) {
      const auto found = serving_.find(answer->call);
      if (found == serving_.end()) continue;
      std::string frame;
      wire::append(frame, answer->response);
      store_.answer_call(found->second, frame);
      serving_.erase(found);
    }
  }
}

void Client::serve_calls() {
  if (session_->stopped()) return;
  const WallMs oldest{wall_now().value - milliseconds(kCallDeadline).count()};
  for (const auto& [id, frame] : store_.open_calls(SqliteStore::kCallsOpenMax, oldest)) {
    const auto same = [id = id](const auto& entry) { return entry.second == id; };
    if (std::any_of(serving_.begin(), serving_.end(), same)) continue;
    const auto raw = wire::split(frame);
    auto decoded = raw ? wire::decode(*raw) : Result<wire::Frame, wire::Code>(fail(wire::Code::malformed));
    if (!decoded || !std::holds_alternative<wire::Request>(*decoded)) {
      store_.drop_call(id);
      continue;
    }
    const std::uint32_t call = session_->call(std::get<wire::Request>(*decoded).body, now());
    if (call == 0) break;
    serving_.emplace(call, id);
  }
}

void Client::wrote() {
  if (session_) session_->outbox_changed(now()), move_bytes();
}

void Client::watch(const wire::Watch& watch) {
  watch_ = watch;
  if (session_) session_->watch(watch, now()), move_bytes();
}

void Client::typing(const wire::Typing& typing) {
  if (session_) session_->typing(typing, now()), move_bytes();
}

void Client::hurry() {
  if (session_) session_->hurry(now());
}

std::int64_t Client::call(const decltype(wire::Request::body)& body) {
  std::string frame;
  wire::append(frame, wire::Request{1, body});
  const std::int64_t id = store_.post_call(frame, wall_now());
  waiting_answer_[id] = steady_now() + kCallDeadline;
  if (session_) serve_calls(), move_bytes();
  return id;
}

std::optional<wire::Response> Client::answer(std::int64_t call) {
  const auto waiting = waiting_answer_.find(call);
  if (waiting == waiting_answer_.end()) return std::nullopt;
  wire::Response response{0, wire::Error{wire::Code::unavailable, 0, "no answer from the directory"}};
  if (const auto frame = store_.take_answer(call)) {
    const auto raw = wire::split(*frame);
    auto decoded = raw ? wire::decode(*raw) : Result<wire::Frame, wire::Code>(fail(wire::Code::malformed));
    if (decoded && std::holds_alternative<wire::Response>(*decoded)) response = std::get<wire::Response>(*decoded);
  } else if (session_ && session_->stopped()) {
    response.body = wire::Error{link_.code, 0, link_.text};
  } else if (steady_now() < waiting->second) {
    return std::nullopt;
  } else {
    store_.drop_call(call);
  }
  waiting_answer_.erase(waiting);
  return response;
}

}  // namespace barid::client
