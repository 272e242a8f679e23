// How connections end when the edge does: nothing new is taken, what is under way is answered, and the client is told
// to come back later or to go elsewhere.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "edge/reactor.h"

namespace barid::edge {

using wire::Code;

// Closed, not only ignored: the kernel goes on handing connections to a socket that listens. What it has handed over
// already is let in and sent away like the others.
void Reactor::stop_accepting() {
  if (listening_) engine_->stop_listening();
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    for (int fd = 0; draining_ && listening_ && fd >= 0;) {
      fd = ::accept4(listeners_[i], nullptr, nullptr, engine_->accept_flags());
      if (fd >= 0) on_accept(static_cast<int>(i), fd);
    }
    ::close(listeners_[i]);
  }
  listeners_.clear();
}

void Reactor::drain(milliseconds over) {
  if (std::exchange(draining_, true) || stopping_) return;
  stop_accepting();
  for (auto& c : connections_)
    if (c != nullptr && !c->leaving && !c->closing) plan_farewell(c->id, over);
}

void Reactor::plan_farewell(ConnId id, milliseconds within) {
  const auto bound = static_cast<std::uint32_t>(std::max<std::int64_t>(1, within.count()));
  farewells_due_.emplace(turn_ + milliseconds(crypto::random_below(bound)), id);
}

void Reactor::begin_due_farewells() {
  while (!farewells_due_.empty() && (farewells_due_.begin()->first <= turn_ || stopping_)) {
    Connection* c = find(farewells_due_.begin()->second);
    farewells_due_.erase(farewells_due_.begin());
    if (c != nullptr && !c->leaving) begin_farewell(*c, crypto::random_below(kElsewhereMsMax));
  }
}

void Reactor::begin_farewell(Connection& c, std::uint32_t retry_after_ms) {
  if (Online* online = c.session.online()) hold_sends(*online);
  farewells_.push_back({c.id, turn_, retry_after_ms});
}

bool Reactor::nothing_under_way(const Connection& c, TimePoint since) const {
  if (c.session.requests != 0) return false;
  const auto* online = std::get_if<Online>(&c.session.state);
  if (online == nullptr) return true;
  return online->unaccepted == 0 && (online->acked >= online->written || turn_ >= since + kFarewellAckPatience);
}

void Reactor::end_farewells() {
  std::erase_if(farewells_, [this](const Farewell& farewell) {
    Connection* c = find(farewell.conn);
    if (c == nullptr || c->leaving) return true;
    if (!nothing_under_way(*c, farewell.since) && turn_ < farewell.since + kFarewellPatience) return false;
    end_session(*c, Code::going_away, farewell.retry_after_ms, "this edge stops");
    return true;
  });
}

void Reactor::begin_stop() {
  if (std::exchange(stopping_, true)) return;
  stop_deadline_ = turn_ + kStopPatience;
  if (!draining_) stop_accepting();
  begin_due_farewells();
  for (auto& c : connections_) {
    if (c == nullptr || c->leaving || c->closing) continue;
    const bool begun =
        std::any_of(farewells_.begin(), farewells_.end(), [&](const auto& f) { return f.conn == c->id; });
    if (!begun) begin_farewell(*c, kGoingAwayMsMin + crypto::random_below(kGoingAwayMsMax - kGoingAwayMsMin));
  }
}

}  // namespace barid::edge
