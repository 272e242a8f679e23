#include "workers/delivery/owned.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/partition.h"
#include "broker/ack_subject.h"
#include "broker/topology.h"
#include "workers/delivery/lease.h"

namespace barid::delivery {

using broker::AckMeta;
using broker::Lane;
using broker::Message;
using broker::NatsLink;
using broker::number;

namespace {

CoreConfig core_config(Partition partition, const Config& config) {
  CoreConfig core;
  core.partition = partition;
  core.window_letters = limits::kDeliverWindow;
  core.window_bytes = limits::kDeliverWindowBytes;
  core.hands_max = Lease::kHandsMax;
  core.ack_deadline = config.worker.ack_deadline;
  core.delivery_attempts = config.messages.delivery_attempts;
  core.receipt_ttl = config.messages.ttl;
  core.kept_bytes_max = Owned::kKeptBytes / config.nats.partitions;
  return core;
}

}  // namespace

Owned::Owned(Partition partition, Epoch epoch, const Config& config, const Directory& directory, NatsLink& link,
             Edges& edges, ReceiptLanes& receipts, broker::HighWater& high_water, Doubt doubt)
    : partition_(partition),
      epoch_(epoch),
      config_(config),
      link_(link),
      edges_(edges),
      receipts_(receipts),
      on_doubt_(std::move(doubt)),
      core_(core_config(partition, config), directory, *this),
      presence_(partition, epoch, config, directory, link, edges),
      deliver_subject_(link.new_inbox()),
      parks_(
          link, partition, config.nats.inbox_shards,
          {[this, &high_water](const Address& to, const std::vector<Tag>& tags, StreamSeq seq, std::string_view batch) {
             high_water.note(broker::HighWater::kFirstInbox + broker::inbox_shard(to.device, config_.nats.inbox_shards),
                             seq);
             core_.on_parked(to, tags, seq, batch);
           },
           [this](const Address& to, const std::vector<Tag>& tags) { core_.on_park_refused(to, tags); }}) {
  from_ = receipts.join({[this](Tag tag) { core_.on_receipt_durable(tag); },
                         [this](const std::string& why) { this->doubt("receipt refused: " + why); }});
}

Owned::~Owned() {
  receipts_.leave(from_);
  while (!delete_order_.empty()) send_oldest_deletes();  // true whoever owns the partition
  if (subscription_ != 0) link_.unsubscribe(subscription_);
}

void Owned::doubt(const std::string& why) {
  if (!doubted_) on_doubt_(why);
  doubted_ = true;
}

// ---- consuming ----------------------------------------------------------------------------------------------------

bool Owned::all_edges_announced() const {
  bool any = false;
  for (EdgeRef ref = 0; ref < edges_.size(); ++ref) {
    const Edges::Edge& edge = edges_.at(ref);
    if (edge.gone) continue;
    any = true;
    bool here = false;
    for (const auto& announced : edge.announced)
      here = here || (announced.partition == partition_ && announced.epoch == epoch_);
    if (!here) return false;
  }
  return any;
}

void Owned::start() {
  start_by_ = TimePoint::max();
  subscription_ = link_.subscribe(deliver_subject_, [this](const Message& message) { on_message(message); });
  SPDLOG_INFO("partition {}: consuming, epoch {}, {} sessions known", partition_.value, epoch_.value, core_.sessions());
}

void Owned::on_message(const Message& message) {
  if (doubted_) return;
  const AckMeta meta = broker::read_ack_subject(message.reply);
  if (meta.delivered != 1 || meta.consumer_seq != next_delivery_)
    return doubt(
        fmt::format("delivery {} (attempt {}) where {} was due", meta.consumer_seq, meta.delivered, next_delivery_));
  ++next_delivery_;
  const StreamSeq seq(meta.stream_seq);
  ack_subjects_.emplace(seq, std::string(message.reply));
  auto batch = Batch::decode(message.payload);
  const TimePoint now = steady_now();
  const WallMs wall = wall_now();
  if (batch)
    core_.on_batch(seq, std::move(*batch), now, wall,
                   now - milliseconds(wall.value - static_cast<std::int64_t>(meta.stored_ns / 1'000'000)));
  else
    core_.on_unreadable_batch(seq, message.payload);
}

// Not out of the deliveries' own subjects: those fall silent when a full hand holds the stream back.
void Owned::look_at_lag() {
  if (subscription_ == 0) return;
  link_.request("$JS.API.CONSUMER.INFO." + broker::source_stream(partition_, broker::Stage::delivery) + "." +
                    broker::consumer_name(partition_, epoch_),
                "", "", [this, weak = std::weak_ptr(alive_)](const Message* reply, NatsLink::Failure) {
                  if (weak.expired() || reply == nullptr) return;
                  const auto info = nlohmann::json::parse(reply->payload, nullptr, false);
                  if (info.is_object()) waiting_batches_ = info.value("num_pending", waiting_batches_);
                });
}

void Owned::acknowledge(StreamSeq ingress) {
  auto node = ack_subjects_.extract(ingress);
  BARID_ASSERT(!node.empty());
  link_.publish(node.mapped(), "");
}

// ---- to devices ---------------------------------------------------------------------------------------------------

void Owned::deliver(EdgeRef edge, ConnId conn, std::string_view frame) {
  edges_.deliver(edge, partition_, epoch_, conn, frame);
}

void Owned::kick(EdgeRef edge, ConnId conn, wire::Code code) { edges_.kick(edge, partition_, epoch_, conn, code); }

void Owned::session_changed(UserId user, bool open) { presence().on_session(user, open, steady_now(), wall_now()); }

// ---- to streams ---------------------------------------------------------------------------------------------------

void Owned::publish_receipt(const Envelope& receipt, Tag tag) { receipts_.add(from_, receipt, tag, steady_now()); }

void Owned::park(const Address& to, const Envelope& letter, Tag tag) { parks_.add(to, letter, tag); }

void Owned::bury(const Envelope& letter, wire::Code reason, Tag tag) {
  auto& lane = dead_lanes_[reason];
  if (!lane)
    lane = std::make_unique<Lane>(link_, broker::dead_subject(wire::name_of(reason)), crypto::random_u64(),
                                  Lane::Callbacks{[this](const std::vector<Tag>& tags, StreamSeq) {
                                                    for (const Tag t : tags) core_.on_buried(t);
                                                  },
                                                  [this](const std::vector<Tag>&, const std::string& why) {
                                                    doubt("dead letter refused: " + why);
                                                  }},
                                  Lane::WhenFull::keep_trying);
  BARID_ASSERT(lane->add(letter, tag));
}

void Owned::bury_raw(std::string_view batch, Tag tag) {
  SPDLOG_ERROR("partition {}: a batch of {} bytes can't be read; it goes to the dead letters", partition_.value,
               batch.size());
  link_.request(broker::dead_subject(wire::name_of(wire::Code::malformed)), batch, "",
                [this, weak = std::weak_ptr(alive_), tag](const Message* reply, NatsLink::Failure) {
                  if (weak.expired()) return;
                  if (reply != nullptr && reply->status == 0) return core_.on_buried(tag);
                  doubt("an unreadable batch could not be buried");
                });
}

// ---- the inbox ----------------------------------------------------------------------------------------------------

void Owned::read_inbox(const Address& of, StreamSeq from, std::uint64_t read) {
  const std::uint16_t shard = broker::inbox_shard(of.device, config_.nats.inbox_shards);
  const std::string body = fmt::format(R"({{"seq":{},"next_by_subj":"{}"}})", from.value,
                                       broker::inbox_subject(shard, partition_, of.user, of.device));
  link_.request("$JS.API.DIRECT.GET." + broker::inbox_stream(shard), body, "",
                [this, weak = std::weak_ptr(alive_), of, read](const Message* reply, NatsLink::Failure) {
                  if (!weak.expired()) on_inbox_reply(of, read, reply);
                });
}

void Owned::on_inbox_reply(const Address& of, std::uint64_t read, const Message* reply) {
  if (reply == nullptr || (reply->status != 0 && reply->status != 404)) return core_.on_inbox_failed(of, read);
  if (reply->status == 404) return core_.on_inbox_end(of, read);
  const StreamSeq seq(number(reply->header("Nats-Sequence")));
  auto batch = Batch::decode(reply->payload);
  if (batch)
    core_.on_inbox_batch(of, read, seq, std::move(*batch), steady_now(), wall_now());
  else
    core_.on_inbox_unreadable(of, read, seq, reply->payload);
}

void Owned::delete_from_inbox(const Address& of, StreamSeq seq) {
  Deletes& deletes = deletes_[of.device];
  if (deletes.seqs.empty()) {
    deletes.of = of;
    deletes.since = steady_now();
    delete_order_.push_back(of.device);
  }
  deletes.seqs.push_back(seq);
  ++deletes_held_;
}

void Owned::flush_deletes(TimePoint now) {
  while (!delete_order_.empty()) {
    const Deletes& oldest = deletes_.at(delete_order_.front());
    const bool due = oldest.seqs.size() >= kDeletesBurst || now >= oldest.since + kDeleteHold;
    if (deletes_held_ <= kDeletesHeldMax && (!due || deletes_under_way_ >= kDeletesUnderWay)) return;
    send_oldest_deletes();
  }
}

void Owned::send_oldest_deletes() {
  const auto node = deletes_.extract(delete_order_.front());
  delete_order_.pop_front();
  const Deletes& deletes = node.mapped();
  deletes_held_ -= deletes.seqs.size();
  const std::uint16_t shard = broker::inbox_shard(deletes.of.device, config_.nats.inbox_shards);
  const std::string subject = "$JS.API.STREAM.MSG.DELETE." + broker::inbox_stream(shard);
  // Erased, not only forgotten: the block keeps the bytes as long as it holds anybody's letters, up to their 30 days.
  for (auto seq = deletes.seqs.rbegin(); seq != deletes.seqs.rend(); ++seq) {
    ++deletes_under_way_;
    link_.request(subject, fmt::format(R"({{"seq":{}}})", seq->value), "",
                  [this, weak = std::weak_ptr(alive_)](const Message*, NatsLink::Failure) {
                    if (!weak.expired()) --deletes_under_way_;
                  });
  }
}

void Owned::sweep(WallMs) {
  sweep_on(sweep_shard_, StreamSeq(1));
  sweep_shard_ = static_cast<std::uint16_t>((sweep_shard_ + 1) % config_.nats.inbox_shards);
}

void Owned::sweep_on(std::uint16_t shard, StreamSeq from) {
  const std::string body =
      fmt::format(R"({{"seq":{},"next_by_subj":"{}"}})", from.value, broker::inbox_subjects_of(shard, partition_));
  link_.request("$JS.API.DIRECT.GET." + broker::inbox_stream(shard), body, "",
                [this, weak = std::weak_ptr(alive_), shard](const Message* reply, NatsLink::Failure) {
                  if (weak.expired() || reply == nullptr || reply->status != 0) return;
                  const StreamSeq seq(number(reply->header("Nats-Sequence")));
                  const auto batch = Batch::decode(reply->payload);
                  if (!batch || batch->envelopes().empty()) return;  // its device's drain buries it
                  const Envelope& first = batch->envelopes().front();
                  if (core_.on_swept({first.to_user, first.to_device}, seq, *batch, wall_now()))
                    sweep_on(shard, StreamSeq(seq.value + 1));
                });
}

// ---- time ---------------------------------------------------------------------------------------------------------

void Owned::on_tick(TimePoint now) {
  core_.on_tick(now);
  presence().on_tick(now);
  parks_.on_tick(now);
}

void Owned::end_turn(TimePoint now, WallMs wall, bool under_load) {
  if (subscription_ == 0 && start_by_ != TimePoint::max() && (now >= start_by_ || all_edges_announced())) start();
  core_.end_turn(now, wall);
  presence().end_turn(now, under_load);
  for (auto& [code, lane] : dead_lanes_) lane->flush(now);
  parks_.flush(now, under_load);
  flush_deletes(now);
}

}  // namespace barid::delivery
