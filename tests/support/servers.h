// A real Postgres and a real nats-server of a test's own, in temporary folders, gone when the test is. Each
// can be stopped, killed, frozen and started again on the same data. Owned by the test (or by its suite, to
// save the 1–2 s that an initdb takes); one thread. All of them throw with the server's own log when
// something does not work.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/process.h"

namespace barid::test {

class PrivatePostgres {
 public:
  PrivatePostgres();  // initdb and start; the database "barid" is there and empty
  ~PrivatePostgres();

  // A libpq connection string (a Unix socket: no port to collide on).
  std::string url() const { return url_of("barid"); }
  std::string new_database();  // creates one more, empty; returns its connection string

  void start();   // waits until it takes connections
  void stop();    // fast shutdown: connections are cut
  void kill();    // -9: every process of the server at once
  void freeze();  // SIGSTOP to all its processes: connections stay open and silent
  void thaw();
  std::string log() const { return read_file(dir_.file("log")); }

 private:
  std::string url_of(const std::string& database) const;
  void signal_all(int number);

  TempDir dir_;
  std::optional<Identity> identity_;
  std::unique_ptr<ChildProcess> server_;
  int databases_ = 0;
};

class PrivateNats {
 public:
  // With JetStream, on a loopback port. file_store_max: what it may store in all, for example "8MB"; empty: its
  // default.
  explicit PrivateNats(std::string file_store_max = {});
  ~PrivateNats() = default;

  std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
  std::uint16_t port() const { return port_; }

  void start();  // on the same port and store; waits until JetStream is ready
  void stop();   // orderly
  void kill();   // -9
  void freeze();
  void thaw();
  std::string store() const { return dir_.file("store"); }  // where JetStream keeps its files
  void lose_disk();                                         // only while stopped: the store is emptied
  std::string log() const { return read_file(dir_.file("log")); }

 private:
  bool try_start();

  TempDir dir_;
  std::string file_store_max_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ChildProcess> server_;
};

}  // namespace barid::test
