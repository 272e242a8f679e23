#include <algorithm>

#include "base/clock.h"
#include "tests/bench/dialect.h"
#include "tests/bench/packed.h"

namespace barid::bench {
namespace {

using wire::FrameType;

class BaridDialect final : public Dialect {
 public:
  bool has_receipts() const override { return true; }
  bool says_accepted() const override { return true; }
  void greet(Client&) override {}  // the edge speaks first

  std::size_t receive(Client& client, std::string_view bytes, Events& events) override {
    std::size_t used = 0;
    while (const auto frame = wire::split(bytes.substr(used))) {
      used += frame->bytes;
      take(client, *frame, events);
      if (client.fd < 0) break;
    }
    return used;
  }

  void end_of_read(Client& client) override {
    if (client.taken == client.acked) return;
    append_ack(client.out, client.taken);
    client.acked = client.taken;
  }

  void send(Client& client, std::uint64_t seq, const Recipient& to, std::string_view content) override {
    append_send(client.out, seq, to.address, wall_now().value, content);
  }
  void send_group(Client& client, std::uint64_t seq, const Recipient& to, std::string_view content) override {
    append_send(client.out, seq, to.address, wall_now().value, content, wire::SendKind::group);
  }
  void request(Client& client, const wire::Request& request) override { wire::append(client.out, request); }
  void ping(Client& client) override { wire::append(client.out, wire::Ping{1}); }

 private:
  void take(Client& client, const wire::RawFrame& frame, Events& events) {
    switch (frame.type) {
      case FrameType::deliver:
        if (!reader_.open(frame.payload)) return events.on_trouble(client, "a malformed Deliver");
        ++client.taken;
        return events.on_message(client, {reader_.word(1), 0, reader_.word(5)}, reader_.word(2), reader_.bytes(0));
      case FrameType::receipt:
        if (!reader_.open(frame.payload)) return events.on_trouble(client, "a malformed Receipt");
        ++client.taken;
        if ((reader_.word(0) & 0xffff) != static_cast<std::uint64_t>(wire::ReceiptKind::delivered))
          return events.on_trouble(client, "a receipt that is not about a delivery");
        return each(reader_.ranges(0), [&](SeqRange r) { events.on_delivered(client, r.first, r.count); });
      case FrameType::accepted:
        if (!reader_.open(frame.payload)) return events.on_trouble(client, "a malformed Accepted");
        return each(reader_.ranges(0), [&](SeqRange r) { events.on_accepted(client, r.first, r.count); });
      default:
        return take_rare(client, frame, events);
    }
  }
  template <class Use>
  void each(const PackedReader::Ranges& ranges, Use&& use) {
    for (std::uint32_t i = 0; i < ranges.count; ++i) use(ranges[i]);
  }

  void take_rare(Client& client, const wire::RawFrame& raw, Events& events) {
    auto frame = wire::decode(raw);
    if (!frame) return events.on_trouble(client, "an undecodable frame");
    if (const auto* challenge = std::get_if<wire::Challenge>(&*frame)) return log_in(client, *challenge);
    if (std::holds_alternative<wire::Welcome>(*frame)) return events.on_online(client);
    if (const auto* receipt = std::get_if<wire::GroupReceipt>(&*frame)) {
      ++client.taken;
      return events.on_group_receipt(client, *receipt);
    }
    if (const auto* event = std::get_if<wire::GroupEvent>(&*frame)) {
      ++client.taken;
      return events.on_group_event(client, *event);
    }
    if (const auto* presence = std::get_if<wire::Presence>(&*frame))
      return events.on_presence(client, presence->entries.size());
    if (const auto* response = std::get_if<wire::Response>(&*frame)) return events.on_response(client, *response);
    if (const auto* ping = std::get_if<wire::Ping>(&*frame)) return wire::append(client.out, wire::Pong{ping->token});
    if (const auto* refused = std::get_if<wire::Refused>(&*frame))
      return events.on_refused(client, refused->seq, refused->retry_after_ms, wire::name_of(refused->code));
    if (const auto* error = std::get_if<wire::Error>(&*frame))
      return events.on_trouble(client, wire::name_of(error->code));
  }

  // The wall clock numbers the sessions: a later run with the same users is always the newer session.
  void log_in(Client& client, const wire::Challenge& challenge) {
    client.session_no = std::max(client.session_no + 1, static_cast<std::uint64_t>(wall_now().value));
    const SessionNo number(client.session_no);
    const auto message = wire::login_message(challenge.nonce, number, client.identity->token);
    const auto signature = crypto::sign(message, client.identity->secret_key);
    wire::append(client.out,
                 wire::Login{client.identity->token, std::string(crypto::view(signature)), number, "bench"});
  }

  PackedReader reader_;
};

}  // namespace

std::unique_ptr<Dialect> make_barid() { return std::make_unique<BaridDialect>(); }

}  // namespace barid::bench
