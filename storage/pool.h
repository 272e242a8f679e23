// A bounded set of Postgres connections, opened on demand and again after an outage. Owned by main (or a
// test); any thread may call transact(), which never blocks for ever: waiting for a connection, connecting
// and talking are each bounded, the last by a watchdog that cuts the socket of a transaction that takes too
// long (a server that is frozen or behind a dead network answers nothing, and libpq alone would wait).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace pqxx {
class transaction_base;
}

namespace barid::storage {

// Postgres can't be reached, or has no connection left for us: try again later.
class Unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
// The connection broke while committing: the change is there or it isn't. Look it up before doing anything
// else.
class InDoubt : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct PoolStats {
  std::size_t size = 0, connected = 0, in_use = 0;
  std::uint64_t connects = 0, failures = 0, cut = 0;  // since start; cut: by the watchdog
};

class Pool {
 public:
  static constexpr std::chrono::milliseconds kLeaseWait{2'000};       // for a free connection
  static constexpr std::chrono::milliseconds kTransactionMax{4'000};  // then the watchdog cuts the connection
  static constexpr std::chrono::milliseconds kStatementMax{3'000};    // asked of Postgres itself
  static constexpr std::chrono::milliseconds kBackoffMin{100}, kBackoffMax{2'000};  // between attempts to connect
  static constexpr int kAttempts = 3;

  // Connects to nothing yet: a worker starts while Postgres is away.
  Pool(const std::string& url, std::size_t connections);
  ~Pool();  // no transaction may be under way
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  using Body = std::function<void(pqxx::transaction_base&)>;
  // Runs `body` in a transaction and commits it; again, up to kAttempts times, when the connection broke
  // before the commit or Postgres asks for a retry (serialisation, deadlock). So `body` may have no side
  // effect other than assigning its result. `what` goes into error texts. Throws Unavailable, InDoubt, or
  // pqxx::sql_error for the rest.
  void transact(const char* what, const Body& body);

  PoolStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::storage
