// XMPP (RFC 6120, 6121) as far as a chat between two logged-in clients needs it: SASL PLAIN, resource binding, message
// stanzas; and rooms (XEP-0045). The server's stanzas are recognised by their ends, not parsed as XML: the generator
// must stay cheap.
#include <openssl/evp.h>

#include "tests/bench/content.h"
#include "tests/bench/dialect.h"

namespace barid::bench {
namespace {

constexpr std::string_view kStream =
    "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
constexpr std::string_view kBind =
    "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>b</resource></bind></iq>";
constexpr std::string_view kMessageEnd = "</message>";

std::string base64(const std::string& bytes) {
  std::string out(bytes.size() * 2 + 4, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

class XmppDialect final : public Dialect {
 public:
  bool has_receipts() const override { return false; }
  bool says_accepted() const override { return false; }
  void greet(Client& client) override { client.out.append(kStream); }

  std::size_t receive(Client& client, std::string_view bytes, Events& events) override {
    std::size_t used = 0;
    while (client.state == ClientState::greeting) {
      const std::size_t taken = log_in(client, bytes.substr(used), events);
      if (taken == 0) return used;
      used += taken;
    }
    while (client.state == ClientState::online) {
      const auto end = bytes.find(kMessageEnd, used);
      if (end == std::string_view::npos) break;
      take(client, bytes.substr(used, end - used), events);
      used = end + kMessageEnd.size();
    }
    return used;
  }

  void end_of_read(Client&) override {}
  void send(Client& client, std::uint64_t seq, const Recipient& to, std::string_view content) override {
    client.out.append("<message to='u")
        .append(std::to_string(to.name))
        .append("@localhost/b' type='chat' id='")
        .append(std::to_string(seq))
        .append("'><body>")
        .append(content)
        .append("</body></message>");
  }
  bool echoes_group() const override { return true; }
  void send_group(Client& client, std::uint64_t seq, const Recipient& to, std::string_view content) override {
    client.out.append("<message to='room")
        .append(std::to_string(to.name))
        .append("@conference.localhost' type='groupchat' id='")
        .append(std::to_string(seq))
        .append("'><body>")
        .append(content)
        .append("</body></message>");
  }
  void join(Client& client, std::uint32_t room) override {
    client.out.append("<presence to='room")
        .append(std::to_string(room))
        .append("@conference.localhost/u")
        .append(std::to_string(client.name))
        .append("'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>");
  }
  void ping(Client& client) override { client.out.push_back(' '); }

 private:
  // stream features → PLAIN → success → stream features → bind → result. Returns what was taken; 0: not all is there.
  std::size_t log_in(Client& client, std::string_view bytes, Events& events) {
    static constexpr std::string_view kAwaited[] = {"</stream:features>", "<success", "</stream:features>",
                                                    "id='bind'"};
    if (bytes.find("<failure") != std::string_view::npos || bytes.find("<stream:error") != std::string_view::npos) {
      events.on_trouble(client, "the XMPP server refused the login");
      return 0;
    }
    const std::string_view awaited = kAwaited[client.step];
    const auto found = bytes.find(awaited);
    if (found == std::string_view::npos) return 0;
    const auto end = bytes.find('>', found);
    if (end == std::string_view::npos) return 0;
    switch (client.step++) {
      case 0: {
        const std::string name = "u" + std::to_string(client.name);
        const std::string plain = std::string(1, '\0') + name + std::string(1, '\0') + "secret";
        client.out.append("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>")
            .append(base64(plain))
            .append("</auth>");
        break;
      }
      case 1:
        client.out.append(kStream);
        break;
      case 2:
        client.out.append(kBind);
        break;
      default:
        client.state = ClientState::online;
        events.on_online(client);
    }
    return end + 1;
  }

  void take(Client& client, std::string_view stanza, Events& events) {
    constexpr std::string_view kBody = "<body>";
    const auto begin = stanza.find(kBody), end = stanza.find("</body>");
    if (begin == std::string_view::npos || end == std::string_view::npos) {
      if (stanza.find("type='error'") != std::string_view::npos) events.on_trouble(client, "a message was bounced");
      if (stanza.find("<subject") != std::string_view::npos) events.on_joined(client);  // the last of a join
      return;
    }
    const std::string_view content = stanza.substr(begin + kBody.size(), end - begin - kBody.size());
    const ContentName name = ContentMaker::name_in(content);
    events.on_message(client, {0, name.sender, 0}, name.seq, content);
  }
};

}  // namespace

std::unique_ptr<Dialect> make_xmpp() { return std::make_unique<XmppDialect>(); }

}  // namespace barid::bench
