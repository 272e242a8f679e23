#include "broker/lane.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"

namespace barid::broker {
namespace {

struct PubAck {
  StreamSeq seq;
  std::string error;   // empty: stored
  bool retry = false;  // refused for now, for a reason that passes by itself
};

// {"stream":"INGRESS_0","seq":17} or {"error":{"code":503,"err_code":10077,"description":"maximum bytes
// exceeded"},…}
PubAck read_ack(const Message& reply, Lane::WhenFull when_full) {
  if (reply.status != 0) return {StreamSeq(), "no stream answers", true};  // 503: JetStream is still starting
  // The common answer is read without a JSON parser.
  if (const auto at = reply.payload.find("\"seq\":");
      at != std::string_view::npos && reply.payload.find("\"error\"") == std::string_view::npos) {
    std::uint64_t seq = 0;
    for (std::size_t i = at + 6; i < reply.payload.size(); ++i) {
      const char c = reply.payload[i];
      if (c == ' ') continue;
      if (c < '0' || c > '9') break;
      seq = seq * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (seq != 0) return {StreamSeq(seq), {}, false};
  }
  const auto json = nlohmann::json::parse(reply.payload, nullptr, false);
  if (!json.is_object() || !json.contains("error") || !json["error"].is_object())
    return {StreamSeq(), "unreadable answer of the broker", true};
  const auto& error = json["error"];
  const int err_code = error.value("err_code", 0);
  const std::string why = error.value("description", "refused") + " (" + std::to_string(err_code) + ")";
  // 10077: a limit of the stream or of the subject, with discard = new. 10023, 10047: the server's own storage is used
  // up.
  const bool full = err_code == 10077 || err_code == 10023 || err_code == 10047;
  const bool subject_full = err_code == 10077 && why.find("per subject") != std::string::npos;
  const bool too_large = err_code == 10054;
  const bool for_good = subject_full || too_large || (full && when_full == Lane::WhenFull::refuse);
  return {StreamSeq(), why, !for_good};
}

// Envelopes that wait for the next batch; frames and recipients are copied into arenas.
struct Open {
  struct Place {  // in the arenas
    std::size_t frame, frame_bytes, recipient, recipients;
  };
  std::vector<envelope::Envelope> envelopes;  // views are set when the batch is encoded
  std::vector<Place> places;
  std::vector<Lane::Tag> tags;
  std::string arena;
  std::vector<envelope::Recipient> recipients;
  std::size_t taken = 0;  // of the front, already in a batch

  std::size_t waiting() const { return envelopes.size() - taken; }
  void clear() {
    envelopes.clear(), places.clear(), tags.clear(), arena.clear(), recipients.clear();
    taken = 0;
  }
};

}  // namespace

struct Lane::Impl : std::enable_shared_from_this<Lane::Impl> {
  enum class State { idle, waiting_for_ack, to_be_repeated };

  Impl(NatsLink& l, std::string s, std::uint64_t o, Callbacks c, WhenFull w)
      : link(l), subject(std::move(s)), origin(o), callbacks(std::move(c)), when_full(w) {}

  NatsLink& link;
  std::string subject;
  std::uint64_t origin;
  Callbacks callbacks;
  WhenFull when_full;
  Open open;

  State state = State::idle;
  std::string batch;  // encoded, kept until its fate is known
  std::string message_id;
  std::vector<Tag> tags;  // of the batch under way
  std::uint64_t number = 0;
  TimePoint started{}, repeat_at{};

  void start_batch() {
    std::size_t bytes = 0, letters = 0, end = open.taken;
    thread_local std::vector<envelope::Envelope> envelopes;
    envelopes.clear();
    tags.clear();
    while (end < open.envelopes.size() && envelopes.size() < limits::kBatchEnvelopesMax) {
      const Open::Place& place = open.places[end];
      bytes += place.frame_bytes + 96 + place.recipients * sizeof(envelope::Recipient);  // 96: the envelope's own words
      letters += std::max<std::size_t>(1, place.recipients);
      if ((bytes > limits::kBatchBytesMax || letters > limits::kBatchLettersMax) && !envelopes.empty()) break;
      envelopes.push_back(open.envelopes[end]);
      envelopes.back().frame = std::string_view(open.arena).substr(place.frame, place.frame_bytes);
      envelopes.back().recipients = std::span(open.recipients).subspan(place.recipient, place.recipients);
      tags.push_back(open.tags[end]);
      ++end;
    }
    ++number;
    envelope::encode_batch(batch, origin, number, envelopes);
    message_id = hex_id(origin) + "-" + std::to_string(number);
    open.taken = end;
    if (open.taken == open.envelopes.size()) open.clear();
  }

  void publish() {
    state = State::waiting_for_ack;
    link.request(subject, batch, message_id, [weak = weak_from_this()](const Message* reply, NatsLink::Failure) {
      if (auto self = weak.lock()) self->on_reply(reply);
    });
  }

  void on_reply(const Message* reply) {
    const PubAck ack = reply != nullptr ? read_ack(*reply, when_full) : PubAck{StreamSeq(), "no answer", true};
    if (ack.error.empty()) {
      state = State::idle;
      const auto done = std::move(tags);
      tags.clear();
      callbacks.on_durable(done, ack.seq);
      return;
    }
    if (ack.retry) {
      SPDLOG_WARN("{}: batch {} not acknowledged ({}), repeating it", subject, message_id, ack.error);
      state = State::to_be_repeated;
      repeat_at = steady_now() + milliseconds(reply != nullptr ? 200 : 0);
      return;
    }
    SPDLOG_WARN("{}: batch {} refused by the broker: {}", subject, message_id, ack.error);
    state = State::idle;
    auto refused = std::move(tags);
    refused.insert(refused.end(), open.tags.begin() + static_cast<std::ptrdiff_t>(open.taken), open.tags.end());
    tags.clear();
    open.clear();
    callbacks.on_refused(refused, ack.error);
  }
};

Lane::Lane(NatsLink& link, std::string subject, std::uint64_t origin, Callbacks callbacks, WhenFull when_full)
    : impl_(std::make_shared<Impl>(link, std::move(subject), origin, std::move(callbacks), when_full)) {}
Lane::~Lane() = default;

bool Lane::add(const envelope::Envelope& envelope, Tag tag) {
  Open& open = impl_->open;
  if (impl_->when_full == WhenFull::refuse && open.arena.size() + envelope.frame.size() > limits::kOpenBatchBytesMax)
    return false;
  BARID_ASSERT(envelope.recipients.size() <= limits::kEnvelopeRecipientsMax);
  open.places.push_back({open.arena.size(), envelope.frame.size(), open.recipients.size(), envelope.recipients.size()});
  open.arena.append(envelope.frame);
  open.recipients.insert(open.recipients.end(), envelope.recipients.begin(), envelope.recipients.end());
  open.envelopes.push_back(envelope);
  open.envelopes.back().frame = {};
  open.envelopes.back().recipients = {};
  open.tags.push_back(tag);
  return true;
}

void Lane::flush(TimePoint now, std::chrono::microseconds interval) {
  Impl& lane = *impl_;
  if (lane.state == Impl::State::to_be_repeated && lane.link.connected() && now >= lane.repeat_at) {
    lane.publish();
  } else if (lane.state == Impl::State::idle && lane.open.waiting() != 0 && lane.link.connected()) {
    if (now < lane.started + interval && lane.open.waiting() < kBatchLarge) return;
    lane.started = now;
    lane.start_batch();
    lane.publish();
  }
}

bool Lane::idle() const { return impl_->state == Impl::State::idle && impl_->open.waiting() == 0; }
bool Lane::empty() const { return impl_->open.waiting() == 0; }
void Lane::aim(std::string subject) {
  BARID_ASSERT(idle());
  impl_->subject = std::move(subject);
  impl_->started = {};
}
std::string_view Lane::batch() const { return impl_->batch; }
std::size_t Lane::waiting() const { return impl_->open.waiting() + impl_->tags.size(); }

}  // namespace barid::broker
