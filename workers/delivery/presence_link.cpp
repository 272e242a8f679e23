#include "workers/delivery/presence_link.h"

#include <algorithm>

namespace barid::delivery {

using broker::Message;
using broker::NatsLink;
using control::PresenceCall;

PresenceLink::PresenceLink(Partition partition, Epoch epoch, const Config& config, const Directory& directory,
                           NatsLink& link, Edges& edges)
    : partition_(partition),
      epoch_(epoch),
      link_(link),
      edges_(edges),
      core_({config.worker.presence_grace, config.worker.last_seen_every}, directory, *this, steady_now()) {}

PresenceLink::~PresenceLink() {
  const auto seen = core_.take_last_seen();
  for (std::size_t at = 0; at < seen.size(); at += limits::kLastSeenBatchMax) {
    const auto first = seen.begin() + static_cast<std::ptrdiff_t>(at);
    const auto count = std::min(limits::kLastSeenBatchMax, seen.size() - at);
    link_.request(control::kPresenceSubject,
                  control::encode(PresenceCall{{}, {first, first + static_cast<std::ptrdiff_t>(count)}}), "",
                  [](const Message*, NatsLink::Failure) {});
  }
  if (!seen.empty()) link_.flush();  // the loop may end with this turn
}

void PresenceLink::tell(EdgeRef edge, ConnId conn, const wire::PresenceEntry& entry) {
  edges_.tell(edge, {partition_, epoch_, conn, entry});
}

void PresenceLink::ask_rights(std::uint64_t ask, const std::vector<control::PresencePair>& pairs) {
  link_.request(control::kPresenceSubject, control::encode(PresenceCall{pairs, {}}), "",
                [this, weak = std::weak_ptr(alive_), ask](const Message* reply, NatsLink::Failure) {
                  if (weak.expired()) return;
                  if (reply != nullptr && reply->status == 0)
                    if (auto answer = control::decode_presence_answer(reply->payload); answer && !answer->unavailable)
                      return core_.on_rights(ask, std::move(answer->rights), steady_now());
                  core_.on_rights(ask, std::nullopt, steady_now());
                });
}

void PresenceLink::ask_members(GroupId group) {
  link_.request(control::kGroupSubject, control::encode(control::GroupSnapshotCall{group, StreamSeq()}), "",
                [this, weak = std::weak_ptr(alive_), group](const Message* reply, NatsLink::Failure) {
                  if (weak.expired()) return;
                  if (reply != nullptr && reply->status == 0)
                    if (const auto snapshot = control::decode_group_snapshot(reply->payload);
                        snapshot && !snapshot->unavailable) {
                      std::vector<UserId> members;
                      for (const auto& member : snapshot->members) members.push_back(member.user);
                      return core_.on_members(group, std::move(members), steady_now());
                    }
                  core_.on_members(group, std::nullopt, steady_now());
                });
}

void PresenceLink::write_last_seen(const std::vector<control::LastSeen>& seen) {
  link_.request(control::kPresenceSubject, control::encode(PresenceCall{{}, seen}), "",
                [this, weak = std::weak_ptr(alive_)](const Message* reply, NatsLink::Failure) {
                  if (weak.expired()) return;
                  bool written = false;
                  if (reply != nullptr && reply->status == 0)
                    if (const auto answer = control::decode_presence_answer(reply->payload))
                      written = !answer->unavailable;
                  core_.on_last_seen_written(written);
                });
}

}  // namespace barid::delivery
