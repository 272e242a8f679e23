// The clients of one thread and their sockets: connects, reads, writes once a turn, tells the plan what came. Owner and
// thread: the Runner's thread that drives the plan.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/client.h"
#include "tests/bench/dialect.h"
#include "tests/bench/histogram.h"
#include "tests/bench/layers.h"

struct epoll_event;

namespace barid::bench {

std::int64_t now_ns();  // steady clock

struct Server {
  std::vector<std::uint16_t> ports;  // on 127.0.0.1; clients are spread over them
  Transport transport = Transport::tcp;
  const TlsContext* tls = nullptr;
};

// What a scenario does. Called by the crowd, on its thread.
class Plan : public Events {
 public:
  // Once a turn, before the writes: connections to open, sends that are due. Returns when it wants the next turn at the
  // latest, in nanoseconds from now.
  virtual std::int64_t on_turn(std::int64_t now) = 0;
  virtual void on_gone(Client& client) = 0;  // the other side closed, or close() was carried out
};

class Crowd {
 public:
  static constexpr std::size_t kReadBytes = 256 * 1024;
  static constexpr int kEventsMax = 1'024;
  static constexpr std::size_t kSourceClients = 20'000;  // connections of one source address (ports, server's limit)

  Crowd(Server server, Dialect& dialect, Plan& plan);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  Client& add(std::uint32_t name, const Identity* identity);
  Client& at(std::size_t index) { return *clients_[index]; }
  std::size_t size() const { return clients_.size(); }

  void connect(Client& client);
  void touch(Client& client);               // it has something to write
  void close_when_written(Client& client);  // FIN behind what waits to be written
  void close_now(Client& client);           // RST: no port lingers in TIME_WAIT
  void turn(std::int64_t now, std::int64_t wait_ns);
  std::int64_t turn_now() const { return turn_now_; }  // when the events that are being handled came
  Dialect& dialect() { return dialect_; }

 private:
  void handle(Client& client, std::uint32_t events);
  void connected(Client& client);
  void read(Client& client);
  void receive(Client& client, std::string_view bytes);
  void flush(Client& client);
  void gone(Client& client);
  void rearm(Client& client, bool want_write);

  Server server_;
  Dialect& dialect_;
  Plan& plan_;
  int epoll_ = -1;
  std::int64_t turn_now_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> dirty_, flushing_;
  std::unique_ptr<char[]> buffer_;
  std::unique_ptr<epoll_event[]> events_;
  std::string plain_;
};

}  // namespace barid::bench
