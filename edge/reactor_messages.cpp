// The reactor carries out what sessions ask for: lanes, acceptances, directory calls, goodbyes.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"
#include "base/partition.h"
#include "edge/reactor.h"
#include "schemas/control.h"

namespace barid::edge {

using wire::Code;

void Reactor::apply(Connection& c) {
  if (effects_.enqueue) enqueue(c);
  if (!effects_.out.empty()) {
    out_of(c).append(effects_.out);
    tally_.add(Count::frames_out);
    if (over_full(c)) return end_session(c, Code::slow_reader, 0, "answers are not read");
  }
  if (effects_.refused != Code::none) tally_.refused(effects_.refused);
  if (effects_.acked) {
    const Online& online = *c.session.online();
    if (acks_due_ == TimePoint::max()) engine_->turn_by(acks_due_ = turn_ + kAcksHold);
    owners_->ack(partition_of(online.user, rules_.partitions),
                 {online.user, online.device, c.owner_conn, *effects_.acked});
  }
  if (effects_.logged_in) open_session(c);
  if (effects_.request) call_directory(c);
  if (effects_.watch) watch(c);
  if (effects_.typing) tell_typing(c);
  if (effects_.ended != Code::none) leave(c);
}

void Reactor::end_session(Connection& c, Code code, std::uint32_t retry_after_ms, std::string_view text) {
  if (c.leaving) return;
  if (code == Code::slow_reader) {  // what waits will not be read: make room for the reason
    tally_.add(Count::limit_out_buffer);
    c.out.clear();
  }
  effects_.clear();
  end(c.session, code, retry_after_ms, text, effects_);
  out_of(c).append(effects_.out);
  leave(c);
}

// The session has ended. What waits goes out, then FIN; the peer has kLinger to read it, or a reset could overtake it.
void Reactor::leave(Connection& c) {
  if (std::exchange(c.leaving, true)) return;
  const Ended& ended = std::get<Ended>(c.session.state);
  if (ended.was) {
    spdlog::debug("connection {:x} of device {} closed: {}", c.id.value, hex_id(ended.was->device.value),
                  wire::name_of(ended.code));
    owners_->close(partition_of(ended.was->user, rules_.partitions),
                   {ended.was->user, ended.was->device, c.owner_conn});
    end_watch(c, *ended.was);
    keep_bucket(*ended.was);
  } else {
    spdlog::debug("connection {:x} closed before login: {}", c.id.value, wire::name_of(ended.code));
  }
  tally_.closed(ended.code);
  c.in = {};
  if (std::exchange(c.stalled, false)) engine_->resume(c);  // to see the peer's FIN
  c.linger_until = turn_ + kLinger;
  c.wheel_tick = wheel_.put(c.id, c.linger_until);
  mark_dirty(c);
}

// A device that comes back at once finds its rate limit where it left it.
void Reactor::keep_bucket(const Online& online) {
  Online copy = online;
  if (copy.sends.full(rules_.edge.sends_per_device, turn_) &&
      copy.requests.full(rules_.edge.requests_per_device, turn_))
    return;
  if (buckets_.size() < kBucketsMax) buckets_[online.device] = {copy.sends, copy.requests};
}

// ---- sends

void Reactor::enqueue(Connection& c) {
  const bool to_group = effects_.envelope.group.value != 0;
  LaneState& lane = lanes_[effects_.partition.value + (to_group ? std::size_t{parts_.meta.partitions} : 0U)];
  Online& online = *c.session.online();
  const std::uint64_t seq = effects_.envelope.seq;
  effects_.envelope.frame = effects_.frame;
  if (!lane.lane->add(effects_.envelope, lane.next_tag)) {
    refuse_send(online, seq, Code::unavailable, Rules::kLaneFullRetryMs, "too much waits for the broker", effects_);
    return;
  }
  if (tally_.read_to_durable().due()) lane.measured.emplace_back(lane.next_tag, turn_);
  ++lane.next_tag;
  lane.senders.push_back({c.id, seq});
  note_enqueued(online);
  if (spdlog::should_log(spdlog::level::trace))
    spdlog::trace("{} taken for {} {}", trace_id(effects_.envelope.id()), to_group ? "group partition" : "partition",
                  effects_.partition.value);
}

// The first `count` of the lane leave it.
void Reactor::measure_settled(LaneState& lane, std::size_t count, bool durable) {
  lane.settled += count;
  while (!lane.measured.empty() && lane.measured.front().first < lane.settled) {
    if (durable) tally_.read_to_durable().add(turn_ - lane.measured.front().second);
    lane.measured.pop_front();
  }
}

void Reactor::on_durable(std::size_t lane, std::size_t count) {
  begin_turn();
  auto& senders = lanes_[lane].senders;
  BARID_ASSERT(count <= senders.size());
  tally_.batch(count);
  measure_settled(lanes_[lane], count, true);
  for (std::size_t i = 0; i < count; ++i) {
    const InLane sent = senders[i];
    Connection* c = find(sent.conn);
    if (c == nullptr || c->leaving) continue;
    note_settled(*c->session.online(), 1);
    note_accepted(*c, sent.seq);
    if (c->stalled) resumable_.push_back(c->id);
  }
  senders.erase(senders.begin(), senders.begin() + static_cast<std::ptrdiff_t>(count));
}

// In order of add(), so the first of a connection is its lowest: refuse_send ignores the rest, which come again anyway.
void Reactor::on_refused(std::size_t lane, std::size_t count) {
  begin_turn();
  auto& senders = lanes_[lane].senders;
  BARID_ASSERT(count <= senders.size());
  measure_settled(lanes_[lane], count, false);
  for (std::size_t i = 0; i < count; ++i) {
    const InLane sent = senders[i];
    Connection* c = find(sent.conn);
    if (c == nullptr || c->leaving) continue;
    Online& online = *c->session.online();
    note_settled(online, 1);
    effects_.clear();
    refuse_send(online, sent.seq, Code::broker_full, Rules::kBrokerFullRetryMs, "the broker is full", effects_);
    apply(*c);
    if (c->stalled) resumable_.push_back(c->id);
  }
  senders.erase(senders.begin(), senders.begin() + static_cast<std::ptrdiff_t>(count));
}

void Reactor::note_accepted(Connection& c, std::uint64_t seq) {
  if (c.accepted_slot == 0) {
    if (accepted_used_ == accepted_.size()) accepted_.emplace_back();
    c.accepted_slot = static_cast<std::uint32_t>(++accepted_used_);
    accepted_[c.accepted_slot - 1].conn = c.id;
  }
  auto& ranges = accepted_[c.accepted_slot - 1].ranges;
  if (!ranges.empty() && ranges.back().first + ranges.back().count == seq) {
    ++ranges.back().count;
  } else {
    ranges.push_back({seq, 1});
  }
}

void Reactor::flush_accepted() {
  thread_local wire::Accepted accepted;
  for (std::size_t i = 0; i < accepted_used_; ++i) {
    AcceptedSet& set = accepted_[i];
    if (Connection* c = find(set.conn); c != nullptr) {
      c->accepted_slot = 0;
      accepted.ranges.swap(set.ranges);
      for (const SeqRange& range : accepted.ranges) c->held_accepted += range.count;
      const Online* online = c->session.online();
      const bool sender_waits = online != nullptr && online->unaccepted + c->held_accepted >= limits::kSendWindow / 2;
      std::string& out = sender_waits ? out_of(*c) : ticks_of(*c);
      for (std::size_t at = 0; !c->leaving && at < accepted.ranges.size(); at += limits::kRangesMax) {
        if (accepted.ranges.size() <= limits::kRangesMax) {
          wire::append(out, accepted);
        } else {
          const auto first = accepted.ranges.begin() + static_cast<std::ptrdiff_t>(at);
          const auto count = std::min(limits::kRangesMax, accepted.ranges.size() - at);
          wire::append(out, wire::Accepted{{first, first + static_cast<std::ptrdiff_t>(count)}});
        }
        tally_.add(Count::frames_out);
      }
      accepted.ranges.swap(set.ranges);
    }
    set.ranges.clear();
  }
  accepted_used_ = 0;
}

// ---- the directory

void Reactor::call_directory(Connection& c) {
  const std::uint32_t request = effects_.request->id;
  control::DirectoryCall call;
  if (const Online* online = c.session.online()) {
    call.user = online->user;
    call.device = online->device;
  } else if (const auto wait = parts_.gate.request(c.address, turn_)) {
    tally_.add(Count::limit_requests);
    tally_.refused(Code::rate_limited);
    --c.session.requests;
    wire::append(out_of(c), wire::Response{request, wire::Error{Code::rate_limited, wait, "requests per address"}});
    return;
  }
  call.address = c.address.text();
  call.request = std::move(*effects_.request);
  tally_.add(Count::requests);
  link_->request(control::kDirectorySubject, control::encode(call), {},
                 [this, id = c.id, request](const broker::Message* reply, broker::NatsLink::Failure) {
                   answer_request(id, request, reply);
                 });
}

void Reactor::answer_request(ConnId id, std::uint32_t request, const broker::Message* reply) {
  Connection* c = find(id);
  if (c == nullptr || c->leaving) return;
  --c->session.requests;
  wire::Response response{request,
                          wire::Error{Code::unavailable, Rules::kBrokerAwayRetryMs, "the directory does not answer"}};
  if (reply != nullptr && reply->status == 0) {
    if (auto decoded = control::decode_response(reply->payload)) response.body = std::move(decoded->body);
  }
  wire::append(out_of(*c), response);
  tally_.add(Count::frames_out);
}

}  // namespace barid::edge
