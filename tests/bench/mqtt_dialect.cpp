// MQTT 3.1.1 (OASIS) as far as a chat between two clients needs it: persistent sessions, one topic a client, QoS 1 both
// ways.
#include "tests/bench/content.h"
#include "tests/bench/dialect.h"

namespace barid::bench {
namespace {

enum Packet : std::uint8_t {
  kConnect = 0x10,
  kConnack = 0x20,
  kPublish = 0x32,
  kPuback = 0x40,
  kSubscribe = 0x82,
  kSuback = 0x90,
  kPingreq = 0xc0
};
constexpr std::uint64_t kPacketIds = 65'535;  // 1 to this

void append_u16(std::string& out, std::size_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value & 0xff));
}
void append_text(std::string& out, std::string_view text) {
  append_u16(out, text.size());
  out.append(text);
}
void append_head(std::string& out, std::uint8_t type, std::size_t length) {
  out.push_back(static_cast<char>(type));
  do {
    const std::size_t digit = length % 128;
    length /= 128;
    out.push_back(static_cast<char>(digit | (length != 0 ? 0x80 : 0)));
  } while (length != 0);
}
std::string topic_of(std::uint32_t name) { return "u/" + std::to_string(name); }
std::size_t u16_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::size_t>(static_cast<std::uint8_t>(bytes[at])) << 8 | static_cast<std::uint8_t>(bytes[at + 1]);
}

struct Split {
  std::uint8_t type = 0;
  std::string_view body;
  std::size_t bytes = 0;  // 0: not whole
};
Split split_packet(std::string_view bytes) {
  std::size_t length = 0, at = 1;
  for (unsigned shift = 0;; shift += 7, ++at) {
    if (at >= bytes.size() || at > 4) return {};
    const auto digit = static_cast<std::uint8_t>(bytes[at]);
    length |= static_cast<std::size_t>(digit & 0x7fU) << shift;
    if ((digit & 0x80U) == 0) break;
  }
  ++at;
  if (bytes.size() - at < length) return {};
  return {static_cast<std::uint8_t>(bytes[0]), bytes.substr(at, length), at + length};
}

class MqttDialect final : public Dialect {
 public:
  bool has_receipts() const override { return false; }
  bool says_accepted() const override { return true; }

  void greet(Client& client) override {
    const std::string id = "u" + std::to_string(client.name);
    append_head(client.out, kConnect, 10 + 2 + id.size());
    append_text(client.out, "MQTT");
    client.out.push_back(4);     // 3.1.1
    client.out.push_back('\0');  // a session that is kept, no password
    append_u16(client.out, 0);   // no keep-alive
    append_text(client.out, id);
  }

  std::size_t receive(Client& client, std::string_view bytes, Events& events) override {
    std::size_t used = 0;
    while (true) {
      const Split packet = split_packet(bytes.substr(used));
      if (packet.bytes == 0) break;
      used += packet.bytes;
      take(client, packet, events);
      if (client.fd < 0) break;
    }
    return used;
  }

  void end_of_read(Client&) override {}
  void send(Client& client, std::uint64_t seq, const Recipient& to, std::string_view content) override {
    const std::string topic = topic_of(to.name);
    append_head(client.out, kPublish, 2 + topic.size() + 2 + content.size());
    append_text(client.out, topic);
    append_u16(client.out, (seq - 1) % kPacketIds + 1);
    client.out.append(content);
  }
  void ping(Client& client) override { append_head(client.out, kPingreq, 0); }

 private:
  void take(Client& client, const Split& packet, Events& events) {
    switch (packet.type & 0xf0U) {
      case kConnack: {
        if (packet.body.size() < 2 || packet.body[1] != 0)
          return events.on_trouble(client, "the broker refused the login");
        const std::string topic = topic_of(client.name);
        append_head(client.out, kSubscribe, 2 + 2 + topic.size() + 1);
        append_u16(client.out, 1);
        append_text(client.out, topic);
        client.out.push_back(1);  // QoS
        return;
      }
      case kSuback:
        return events.on_online(client);
      case kPuback: {
        // Numbers are of 16 bits: the one meant is the next with it.
        const std::uint64_t next = client.accepted.next();
        const std::uint64_t ahead = (u16_at(packet.body, 0) - 1 + kPacketIds - (next - 1) % kPacketIds) % kPacketIds;
        return events.on_accepted(client, next + ahead, 1);
      }
      case kPublish & 0xf0U: {
        const std::size_t topic = u16_at(packet.body, 0);
        if (packet.body.size() < topic + 4) return events.on_trouble(client, "a malformed PUBLISH");
        append_head(client.out, kPuback, 2);
        client.out.append(packet.body.substr(2 + topic, 2));
        const std::string_view content = packet.body.substr(topic + 4);
        const ContentName name = ContentMaker::name_in(content);
        return events.on_message(client, {0, name.sender, 0}, name.seq, content);
      }
      default:
        return;
    }
  }
};

}  // namespace

std::unique_ptr<Dialect> make_mqtt() { return std::make_unique<MqttDialect>(); }

}  // namespace barid::bench
