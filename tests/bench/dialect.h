// How one protocol is spoken. Dialects keep nothing but what stands in the Client; the Crowd moves the bytes, and what
// was understood goes to Events. One instance a crowd, on its thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "tests/bench/client.h"

namespace barid::bench {

// Who a message came from: a device on Barid, a client's name on the others.
struct From {
  std::uint64_t device = 0;
  std::uint32_t name = 0;
  std::uint64_t group = 0;  // Barid: 0 is one to one
};

class Events {
 public:
  virtual ~Events() = default;
  virtual void on_online(Client& client) = 0;
  virtual void on_accepted(Client& client, std::uint64_t first, std::uint64_t count) = 0;
  virtual void on_refused(Client& client, std::uint64_t seq, std::uint32_t retry_after_ms, std::string_view why) = 0;
  virtual void on_message(Client& client, const From& from, std::uint64_t seq, std::string_view content) = 0;
  virtual void on_delivered(Client& client, std::uint64_t first, std::uint64_t count) = 0;  // receipt
  virtual void on_response(Client&, const wire::Response&) {}
  virtual void on_group_event(Client&, const wire::GroupEvent&) {}
  virtual void on_group_receipt(Client&, const wire::GroupReceipt&) {}
  virtual void on_presence(Client&, std::size_t /*entries*/) {}
  virtual void on_joined(Client&) {}                                   // a peer's room
  virtual void on_trouble(Client& client, std::string_view what) = 0;  // the connection is of no use any more
};

struct Recipient {
  wire::Address address;   // Barid
  std::uint32_t name = 0;  // the others: a client, or a room
};

class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual bool has_receipts() const = 0;
  virtual bool says_accepted() const = 0;  // else a message counts as accepted when it has arrived
  virtual void greet(Client& client) = 0;  // connected: what the client says first, if it speaks first
  // Takes whole frames and says how many bytes those were.
  virtual std::size_t receive(Client& client, std::string_view bytes, Events& events) = 0;
  virtual void end_of_read(Client& client) = 0;  // acknowledgements for what receive() took
  virtual void send(Client& client, std::uint64_t seq, const Recipient& to, std::string_view content) = 0;
  virtual void ping(Client& client) = 0;
  // Groups: all that a dialect without them does not do.
  virtual bool echoes_group() const { return false; }  // the author gets a copy, too
  virtual void send_group(Client&, std::uint64_t, const Recipient&, std::string_view) {}
  virtual void request(Client&, const wire::Request&) {}
  virtual void join(Client&, std::uint32_t) {}  // a room of this number
};

std::unique_ptr<Dialect> make_barid();
std::unique_ptr<Dialect> make_xmpp();
std::unique_ptr<Dialect> make_mqtt();

}  // namespace barid::bench
