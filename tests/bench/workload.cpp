#include "tests/bench/workload.h"

#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "edge/session.h"
#include "schemas/control.h"
#include "schemas/envelope.h"
#include "schemas/token.h"
#include "schemas/wire.h"
#include "tests/bench/content.h"
#include "workers/delivery/core.h"

namespace barid::bench {
namespace {

constexpr WallMs kWall{1'700'000'000'000};
constexpr TimePoint kNow{std::chrono::hours(1)};
constexpr std::size_t kPairs = 25;  // each pair writes twice a batch
constexpr delivery::EdgeRef kEdge = 1;

void need(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("workload: ") + what);
}

// What the core asks for, answered at once as a healthy world would.
class HealthyPort final : public delivery::Port {
 public:
  void deliver(delivery::EdgeRef, ConnId conn, std::string_view frame) override {
    to_edge.deliveries.push_back({Partition(0), Epoch(1), conn, frame});
  }
  void kick(delivery::EdgeRef, ConnId, wire::Code) override { need(false, "nobody is to be kicked"); }
  void park(const delivery::Address&, const envelope::Envelope&, delivery::Tag) override {
    need(false, "nothing is to be parked");
  }
  void publish_receipt(const envelope::Envelope& receipt, delivery::Tag tag) override {
    frames.emplace_back(receipt.frame);
    receipts.push_back(receipt);
    receipts.back().frame = frames.back();
    tags.push_back(tag);
  }
  void bury(const envelope::Envelope&, wire::Code, delivery::Tag) override { need(false, "nothing is to be buried"); }
  void bury_raw(std::string_view, delivery::Tag) override { need(false, "nothing is to be buried"); }
  void acknowledge(StreamSeq) override { ++acknowledged; }
  void read_inbox(const delivery::Address& of, StreamSeq, std::uint64_t read) override { reads.emplace_back(of, read); }
  void delete_from_inbox(const delivery::Address&, StreamSeq) override {}

  control::ToEdge to_edge;
  std::vector<envelope::Envelope> receipts;
  std::deque<std::string> frames;  // of the receipts; their views stay good
  std::vector<delivery::Tag> tags;
  std::vector<std::pair<delivery::Address, std::uint64_t>> reads;
  std::uint64_t acknowledged = 0;
};

}  // namespace

struct Workload::Impl {
  Impl();
  void open_sessions();
  void make_sends();
  void take_sends();
  void encode_envelopes();
  void deliver(std::string_view bytes);
  void acknowledge();

  ContentMaker content{kContentBytes};
  std::vector<wire::Address> senders, recipients;
  std::uint64_t next_seq = 1;

  EdgeConfig edge_config;
  edge::Rules rules{edge_config};
  crypto::KeyPair directory_keys, device_keys;
  std::unique_ptr<edge::LoginVerifier> verifier;
  std::vector<edge::Session> sessions;
  edge::Effects effects;

  std::string sends;                // frames of one batch
  std::vector<std::string> frames;  // Deliver frames of one batch
  std::vector<envelope::Envelope> envelopes;
  std::string batch_bytes, receipt_bytes, bus_bytes;

  delivery::Directory directory;
  HealthyPort port;
  std::unique_ptr<delivery::Core> core;
  std::uint64_t stream_seq = 0, batches = 0, delivered = 0;
  std::vector<std::uint64_t> written;  // by recipient, then by sender: frames of that session

  std::vector<std::string> tokens;
  std::array<std::uint8_t, 32> nonce{};
  std::size_t next_token = 0;
};

Workload::Impl::Impl() {
  crypto::init_crypto();
  std::array<std::uint8_t, 32> seed{};
  directory_keys = crypto::key_pair_from_seed(seed);
  seed[0] = 1;
  device_keys = crypto::key_pair_from_seed(seed);
  verifier = std::make_unique<edge::LoginVerifier>(directory_keys.public_key);
  rules.message_ttl = std::chrono::hours(24);
  rules.wall = kWall;
  edge_config.sends_per_device = {};
  for (std::uint64_t i = 0; i < kPairs; ++i) {
    const auto address = [&](std::uint64_t n) {
      const UserId user(0x1234'5678'9abc'0000 + n);
      const DeviceId device(0x2345'6789'abcd'0000 + n);
      return wire::Address{user, device, token::address_tag(user, device, rules.address_key)};
    };
    senders.push_back(address(2 * i));
    recipients.push_back(address(2 * i + 1));
  }
  for (std::uint64_t i = 0; i < 64; ++i) {
    const token::Token token{UserId(i + 1), DeviceId(i + 1), device_keys.public_key, kWall.value / 1000,
                             kWall.value / 1000 + 1'000};
    tokens.push_back(token::seal(token, directory_keys.secret_key));
  }
  open_sessions();
  make_sends();
  take_sends();
  encode_envelopes();
}

void Workload::Impl::open_sessions() {
  delivery::CoreConfig config;
  config.partition = Partition(0);
  core = std::make_unique<delivery::Core>(config, directory, port);
  written.assign(2 * kPairs, 0);
  for (std::size_t i = 0; i < 2 * kPairs; ++i) {
    const wire::Address& a = i < kPairs ? recipients[i] : senders[i - kPairs];
    core->on_open(kEdge, {a.user, a.device, ConnId(i + 1), SessionNo(1)});
  }
  while (!port.reads.empty()) {
    const auto [of, read] = port.reads.back();
    port.reads.pop_back();
    core->on_inbox_end(of, read);
  }
  for (const wire::Address& a : senders) {
    edge::Online online;
    online.user = a.user;
    online.device = a.device;
    sessions.push_back({online, kNow});
  }
}

void Workload::Impl::make_sends() {
  sends.clear();
  for (std::size_t i = 0; i < kBatch; ++i) {
    wire::Send send;
    send.seq = next_seq + i / kPairs;
    send.to = recipients[i % kPairs];
    send.sent_at_ms = kWall.value;
    send.content = content.make(static_cast<std::uint32_t>(i % kPairs), send.seq);
    wire::append(sends, send);
  }
  next_seq += kBatch / kPairs;
}

void Workload::Impl::take_sends() {
  frames.resize(kBatch);
  envelopes.resize(kBatch);
  std::string_view left = sends;
  for (std::size_t i = 0; i < kBatch; ++i) {
    const auto raw = wire::split(left);
    need(raw.has_value(), "a frame is missing");
    left.remove_prefix(raw->bytes);
    effects.clear();
    edge::step(sessions[i % kPairs], *raw, rules, *verifier, kNow, effects);
    need(effects.enqueue, "a send was not taken");
    frames[i] = effects.frame;
    envelopes[i] = effects.envelope;
    envelopes[i].frame = frames[i];
  }
}

void Workload::Impl::encode_envelopes() { envelope::encode_batch(batch_bytes, 1, ++batches, envelopes); }

// A batch of the stream → what leaves for the edge, over the bus, in one message.
void Workload::Impl::deliver(std::string_view bytes) {
  auto decoded = envelope::Batch::decode(bytes);
  need(decoded.has_value(), "a batch can't be read");
  core->on_batch(StreamSeq(++stream_seq), std::move(*decoded), kNow, kWall);
  control::encode(bus_bytes, port.to_edge);
  port.to_edge.clear();
  control::ToEdge at_edge;
  need(control::decode_to_edge(bus_bytes, at_edge) == nullptr, "the bus message can't be read");
  for (const control::Delivery& d : at_edge.deliveries) ++written[d.conn.value - 1];
  delivered += at_edge.deliveries.size();
}

// Every device acknowledges what it got; receipts leave at the end of the turn and are durable at once.
void Workload::Impl::acknowledge() {
  for (std::size_t i = 0; i < written.size(); ++i) {
    const wire::Address& a = i < kPairs ? recipients[i] : senders[i - kPairs];
    core->on_ack(kEdge, {a.user, a.device, ConnId(i + 1), written[i]}, kNow);
  }
  core->end_turn(kNow, kWall);
  if (port.receipts.empty()) return;
  envelope::encode_batch(receipt_bytes, 2, ++batches, port.receipts);
  for (const delivery::Tag tag : port.tags) core->on_receipt_durable(tag);
  port.receipts.clear();
  port.frames.clear();
  port.tags.clear();
}

Workload::Workload() : impl_(std::make_unique<Impl>()) {}
Workload::~Workload() = default;

void Workload::codec() {
  impl_->make_sends();
  std::string_view left = impl_->sends;
  for (std::size_t i = 0; i < kBatch; ++i) {
    const auto send = wire::split(left);
    left.remove_prefix(send->bytes);
    need(wire::decode(*send).has_value(), "a Send can't be read");
    const auto deliver = wire::split(impl_->frames[i]);
    need(wire::decode(*deliver).has_value(), "a Deliver can't be read");
  }
  impl_->delivered += kBatch;
}

void Workload::session_step() {
  for (edge::Session& session : impl_->sessions) session.online()->last_seq = 0;  // the same frames again
  impl_->take_sends();
  impl_->delivered += kBatch;
}

void Workload::batch() {
  impl_->encode_envelopes();
  const auto decoded = envelope::Batch::decode(impl_->batch_bytes);
  need(decoded.has_value() && decoded->envelopes().size() == kBatch, "a batch can't be read");
  impl_->delivered += kBatch;
}

void Workload::delivery_step() {
  for (envelope::Envelope& e : impl_->envelopes) e.seq += kBatch;  // else the owner drops repetitions
  impl_->encode_envelopes();
  impl_->deliver(impl_->batch_bytes);
  impl_->acknowledge();
}

void Workload::token_check() {
  Impl& i = *impl_;
  wire::Login login;
  login.session_no = SessionNo(1);
  edge::LoginVerifier fresh(i.directory_keys.public_key);
  login.token = i.tokens[i.next_token++ % i.tokens.size()];
  login.signature = std::string(crypto::view(
      crypto::sign(wire::login_message(i.nonce, login.session_no, login.token), i.device_keys.secret_key)));
  need(fresh.verify(login, i.nonce, kWall).has_value(), "a login was refused");
  need(fresh.verify(login, i.nonce, kWall).has_value() && fresh.tokens_opened() == 1, "a known token was opened again");
  ++i.delivered;
}

void Workload::path() {
  impl_->make_sends();
  impl_->take_sends();
  impl_->encode_envelopes();
  impl_->deliver(impl_->batch_bytes);
  impl_->acknowledge();
  impl_->deliver(impl_->receipt_bytes);  // senders and recipients share the partition
  impl_->acknowledge();
}

std::uint64_t Workload::check() const {
  need(impl_->delivered > 0, "nothing was delivered");
  need(impl_->port.acknowledged == impl_->stream_seq, "a batch was not settled");
  return impl_->delivered;
}

}  // namespace barid::bench
