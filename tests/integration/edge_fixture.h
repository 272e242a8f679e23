// A real barid-edge between a real nats-server, an owner's bus played by the test (or a real barid-worker), and clients
// on loopback sockets. Owned by the test; the owner's bus has its own thread.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/crypto.h"
#include "base/loop.h"
#include "broker/bus.h"
#include "broker/control.h"
#include "schemas/control.h"
#include "schemas/wire.h"
#include "tests/support/servers.h"

namespace barid::edge {

// The test's stand-in for a delivery worker: remembers what edges say, says what the test wants.
class FakeOwner {
 public:
  explicit FakeOwner(const std::string& endpoint);
  ~FakeOwner();
  void say(control::ToEdge message);  // to the one edge that was heard last
  void lose_a_message() { ++sent_; }  // as if one had been sent and lost
  // All that came so far, in order.
  std::vector<control::SessionOpen> opens();
  std::vector<control::SessionAck> acks();
  std::vector<control::SessionClose> closes();
  std::vector<control::PartitionEpoch> announced();
  std::size_t messages();

 private:
  Loop loop_;
  std::unique_ptr<broker::OwnerBus> bus_;
  std::thread thread_;
  std::mutex mutex_;
  std::string edge_;
  control::ToOwner heard_;
  std::size_t messages_ = 0;
  std::uint64_t sent_ = 0;
};

// A blocking client: frames over one TCP socket, with a time-out on everything.
class TestClient {
 public:
  explicit TestClient(std::uint16_t port, std::string_view first_bytes = {});
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  template <class F>
  void send(const F& frame) {
    std::string bytes;
    wire::append(bytes, frame);
    send_raw(bytes);
  }
  void send_raw(std::string_view bytes);
  std::optional<wire::Frame> next(bool skip_pings = true);  // nullopt: the edge closed, or nothing for 10 s
  template <class F>
  F expect() {
    auto frame = next();
    if (frame && std::holds_alternative<F>(*frame)) return std::get<F>(*frame);
    ADD_FAILURE() << "another frame than expected: " << (frame ? static_cast<int>(frame->index()) : -1);
    return {};
  }
  bool closed();  // waits for the end of the stream
  std::string read_raw(std::string_view until);
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  std::string in_;
};

struct EdgeOptions {
  std::string engine = "auto";
  std::string edge_lines;      // more lines of [edge]
  std::string listener_lines;  // more lines of the first listener
  std::string more_listeners;
  std::string worker_lines{};  // more lines of [worker]
  std::string worker_roles{};  // not empty: a barid-worker with these takes the place of the fake owner
};

class EdgeProcess {
 public:
  static constexpr std::uint16_t kPartitions = 2;

  explicit EdgeProcess(const EdgeOptions& options);
  ~EdgeProcess();

  std::uint16_t port() const { return port_; }
  std::uint16_t more_port() const { return more_port_; }
  std::string folder() const { return dir_.path(); }
  bool wait_ready();
  void start_worker();  // also after worker->signal(SIGKILL)
  std::string http(const std::string& path);
  wire::Welcome log_in(TestClient& client, UserId user, DeviceId device, std::uint64_t session_no = 1);
  wire::Login login(const wire::Challenge& challenge, UserId user, DeviceId device, std::uint64_t session_no) const;
  wire::Address address(UserId user, DeviceId device) const;
  wire::Send message(std::uint64_t seq, const std::string& content, UserId to = UserId(2),
                     DeviceId device = DeviceId(22)) const;
  void own(std::uint64_t epoch);  // every partition, by the fake owner, in the bucket
  std::uint64_t ingress_messages();
  void limit_ingress(std::int64_t messages);  // -1: no limit
  void purge_ingress();

  test::PrivateNats nats;
  std::unique_ptr<broker::Control> control;
  std::unique_ptr<FakeOwner> owner;
  std::unique_ptr<test::ChildProcess> process, worker;

 private:
  std::string worker_roles_;
  test::TempDir dir_;
  crypto::KeyPair directory_, device_key_;
  crypto::ShortKey address_key_{7};
  std::uint16_t port_ = 0, more_port_ = 0, observe_port_ = 0;
};

}  // namespace barid::edge
