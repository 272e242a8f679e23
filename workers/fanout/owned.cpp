#include "workers/fanout/owned.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/log.h"
#include "broker/ack_subject.h"
#include "broker/topology.h"
#include "schemas/control.h"
#include "workers/delivery/lease.h"

namespace barid::fanout {

using broker::Lane;
using broker::Message;
using broker::NatsLink;

namespace {
CoreConfig core_config(const Config& config) {
  CoreConfig core;
  core.partitions = config.nats.partitions;
  core.hands_max = delivery::Lease::kFanoutHandsMax;
  core.ttl = config.messages.ttl;
  return core;
}
}  // namespace

Owned::Owned(Partition partition, Epoch epoch, const Config& config, NatsLink& link, Doubt doubt)
    : partition_(partition),
      epoch_(epoch),
      link_(link),
      on_doubt_(std::move(doubt)),
      core_(core_config(config), *this),
      deliver_subject_(link.new_inbox()) {
  for (std::uint16_t p = 0; p < config.nats.partitions; ++p)
    lanes_.push_back(std::make_unique<Lane>(link, broker::ingress_subject(Partition(p)), crypto::random_u64(),
                                            Lane::Callbacks{[this](const std::vector<Tag>& tags, StreamSeq) {
                                                              for (const Tag tag : tags)
                                                                core_.on_durable(tag, wall_now());
                                                            },
                                                            [this](const std::vector<Tag>&, const std::string& why) {
                                                              this->doubt("expansion refused: " + why);
                                                            }},
                                            Lane::WhenFull::keep_trying));
}

Owned::~Owned() {
  if (subscription_ != 0) link_.unsubscribe(subscription_);
}

void Owned::doubt(const std::string& why) {
  if (!doubted_) on_doubt_(why);
  doubted_ = true;
}

void Owned::start() {
  subscription_ = link_.subscribe(deliver_subject_, [this](const Message& message) { on_message(message); });
  SPDLOG_INFO("group partition {}: consuming, epoch {}", partition_.value, epoch_.value);
}

void Owned::on_message(const Message& message) {
  if (doubted_) return;
  const broker::AckMeta meta = broker::read_ack_subject(message.reply);
  if (meta.delivered != 1 || meta.consumer_seq != next_delivery_)
    return doubt(
        fmt::format("delivery {} (attempt {}) where {} was due", meta.consumer_seq, meta.delivered, next_delivery_));
  ++next_delivery_;
  const StreamSeq seq(meta.stream_seq);
  ack_subjects_.emplace(seq, std::string(message.reply));
  auto batch = Batch::decode(message.payload);
  if (batch)
    core_.on_batch(seq, std::move(*batch), wall_now());
  else
    core_.on_unreadable_batch(seq, message.payload);
}

void Owned::look_at_lag() {
  if (subscription_ == 0) return;
  link_.request("$JS.API.CONSUMER.INFO." + broker::source_stream(partition_, broker::Stage::fanout) + "." +
                    broker::consumer_name(partition_, epoch_, broker::Stage::fanout),
                "", "", [this, weak = std::weak_ptr(alive_)](const Message* reply, NatsLink::Failure) {
                  if (weak.expired() || reply == nullptr) return;
                  const auto info = nlohmann::json::parse(reply->payload, nullptr, false);
                  if (info.is_object()) waiting_batches_ = info.value("num_pending", waiting_batches_);
                });
}

void Owned::acknowledge(StreamSeq seq) {
  auto node = ack_subjects_.extract(seq);
  BARID_ASSERT(!node.empty());
  link_.publish(node.mapped(), "");
}

void Owned::publish(Partition to, const Envelope& envelope, Tag tag) {
  BARID_ASSERT(lanes_.at(to.value)->add(envelope, tag));
}

void Owned::bury_raw(std::string_view batch, Tag tag) {
  SPDLOG_ERROR("group partition {}: a batch of {} bytes can't be read; it goes to the dead letters", partition_.value,
               batch.size());
  link_.request(broker::dead_subject(wire::name_of(wire::Code::malformed)), batch, "",
                [this, weak = std::weak_ptr(alive_), tag](const Message* reply, NatsLink::Failure) {
                  if (weak.expired()) return;
                  if (reply != nullptr && reply->status == 0) return core_.on_durable(tag, wall_now());
                  doubt("an unreadable batch could not be buried");
                });
}

void Owned::ask_snapshot(GroupId group, StreamSeq before, Ask ask) {
  link_.request(control::kGroupSubject, control::encode(control::GroupSnapshotCall{group, before}), "",
                [this, weak = std::weak_ptr(alive_), group, ask](const Message* reply, NatsLink::Failure) {
                  if (weak.expired()) return;
                  if (reply != nullptr && reply->status == 0)
                    if (const auto snapshot = control::decode_group_snapshot(reply->payload);
                        snapshot && !snapshot->unavailable)
                      return core_.on_snapshot(group, ask, *snapshot, wall_now());
                  SPDLOG_DEBUG("group {}: no snapshot", hex_id(group.value));
                  core_.on_snapshot_failed(group, ask, steady_now());
                });
}

TimePoint Owned::end_turn(TimePoint now, WallMs wall) {
  core_.end_turn(now, wall);
  TimePoint again = core_.receipts_due();
  for (auto& lane : lanes_) {
    lane->flush(now, kBatchInterval);
    if (!lane->empty()) again = std::min(again, now + kBatchInterval);
  }
  return again;
}

}  // namespace barid::fanout
