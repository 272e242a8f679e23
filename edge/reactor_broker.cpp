// The reactor and the broker's streams: its lanes, and whether the streams are still those that acknowledged what we
// told senders is safe (docs/adr/0013).
#include <spdlog/spdlog.h>

#include "base/log.h"
#include "broker/topology.h"
#include "edge/reactor.h"

namespace barid::edge {

using broker::HighWater;
using wire::Code;

void Reactor::make_lanes() {
  lanes_.clear();
  lanes_.resize(std::size_t{2} * parts_.meta.partitions);
  for (std::size_t p = 0; p < lanes_.size(); ++p) {
    const Partition partition(static_cast<std::uint16_t>(p % parts_.meta.partitions));
    const bool of_users = p < parts_.meta.partitions;
    broker::Lane::Callbacks callbacks;
    callbacks.on_durable = [this, p, of_users](const std::vector<broker::Lane::Tag>& tags, StreamSeq seq) {
      parts_.high_water.note(of_users ? HighWater::kIngress : HighWater::kFanout, seq);
      on_durable(p, tags.size());
    };
    callbacks.on_refused = [this, p](const std::vector<broker::Lane::Tag>& tags, const std::string&) {
      on_refused(p, tags.size());
    };
    lanes_[p].lane = std::make_unique<broker::Lane>(
        *link_, of_users ? broker::ingress_subject(partition) : broker::fanout_subject(partition), crypto::random_u64(),
        std::move(callbacks));
  }
}

void Reactor::on_broker(bool connected) {
  spdlog::warn("reactor {}: the broker is {}", number_, connected ? "back" : "away");
  broker_lost_ = engine_->now();
  if (connected) {
    verify_streams();
  } else {
    unverified_ = parts_.high_water.size();
    verify_at_ = TimePoint::max();
  }
}

// Asks how far the streams are. It may be the same broker that lost its last seconds, or another one.
void Reactor::verify_streams() {
  const std::uint64_t question = ++verification_;
  unverified_ = parts_.high_water.size();
  verify_at_ = engine_->now() + kVerifyEvery;
  for (std::size_t i = 0; i < parts_.high_water.size(); ++i)
    link_->request(
        "$JS.API.STREAM.INFO." + parts_.high_water.stream(i), {}, {},
        [this, question, i, before = parts_.high_water.last(i)](
            const broker::Message* reply, broker::NatsLink::Failure) { on_verified(question, i, before, reply); });
}

void Reactor::on_verified(std::uint64_t question, std::size_t stream, StreamSeq before, const broker::Message* reply) {
  if (question != verification_ || reply == nullptr) return;  // asked again meanwhile, or will be
  switch (parts_.high_water.judge(stream, before, reply->payload)) {
    case HighWater::Verdict::continues:
      if (--unverified_ == 0) verify_at_ = TimePoint::max();
      break;
    case HighWater::Verdict::behind:
      if (!parts_.broker_lost.exchange(true))
        spdlog::error("the broker has lost messages of {} that it had acknowledged", parts_.high_water.stream(stream));
      break;
    case HighWater::Verdict::gone:  // a worker makes it anew
    case HighWater::Verdict::unknown:
      break;
  }
}

// Devices learn it from the Welcome of their next session, and offer again what is not yet delivered. What waits in the
// lanes was never acknowledged: it is among that, and may not overtake it.
void Reactor::set_incarnation(std::uint64_t incarnation) {
  if (rules_.incarnation == incarnation) return;
  rules_.incarnation = incarnation;
  for (auto& c : connections_) {
    if (c == nullptr || c->leaving || c->closing) continue;
    const std::uint32_t spread = crypto::random_below(kGoingAwayMsMin);
    end_session(*c, Code::going_away, spread, "messages were lost here: offer them again");
  }
  make_lanes();
  verify_streams();
}

}  // namespace barid::edge
