// One connection to the server: TCP, with TLS and WebSocket layers as the address says. Non-blocking; owned
// by a Client (or a blocking call of the CLI), one thread; name resolution happens on a thread of its own.
// What is waiting to be written is bounded by the Session (Sender::kOutBytesMax).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "client/core/layer.h"

namespace barid::client {

struct Resolution;

class Transport {
 public:
  enum class Status { opening, open, closed };
  static constexpr seconds kConnectDeadline{8};             // per address of the host
  static constexpr std::size_t kReadBytesMax = 256 * 1024;  // taken per turn

  // Throws when TLS cannot be set up (an unreadable --tls-ca file).
  Transport(const ServerUrl& url, const std::string& tls_ca, TimePoint now);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  Status status() const { return status_; }
  const std::string& error() const { return error_; }
  int fd() const;                            // to poll; -1: nothing to wait for
  short events() const;                      // POLLIN, POLLOUT
  void ready(short revents, TimePoint now);  // after poll
  void tick(TimePoint now);                  // gives up on an address that does not answer
  std::string take_received() { return std::exchange(received_, {}); }
  std::size_t unsent() const { return unsent_.size(); }
  void send(std::string_view bytes);  // only when open; written at once as far as the socket takes it
  void shut();                        // says goodbye and closes

 private:
  void fail(std::string why);
  void try_next(TimePoint now);
  void resolved(TimePoint now);
  void opened();
  void read();
  void write();
  void give_up_socket();
  bool pump_up(std::string bytes);
  void pump_down();

  ServerUrl url_;
  std::vector<std::unique_ptr<Layer>> layers_;  // bottom first
  std::shared_ptr<Resolution> resolution_;
  std::size_t next_address_ = 0;
  TimePoint tried_at_{};
  int socket_ = -1;
  bool connected_ = false;
  Status status_ = Status::opening;
  std::string error_, received_, unsent_;
};

}  // namespace barid::client
