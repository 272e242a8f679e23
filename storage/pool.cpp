#include "storage/pool.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <pqxx/pqxx>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "storage/url.h"

namespace barid::storage {
namespace {

// One place for a connection. Its lease holder alone touches `connection`; the rest is guarded by the pool's
// mutex.
struct Slot {
  std::unique_ptr<pqxx::connection> connection;
  int socket = -1;  // our own duplicate: libpq may close its descriptor under the watchdog's hands
  bool connected = false;
  std::optional<TimePoint> leased_at;
  bool cut = false;
};

std::string first_line(const char* text) {
  const std::string all(text);
  return all.substr(0, all.find('\n'));
}

// Classes 53 (out of a resource) and 57 (cancelled, shutting down), and a lock not granted in time.
bool is_passing(const std::string& sqlstate) {
  return sqlstate.rfind("53", 0) == 0 || sqlstate.rfind("57", 0) == 0 || sqlstate == "55P03";
}

}  // namespace

struct Pool::Impl {
  Impl(const std::string& url_in, std::size_t connections) : url(with_connect_timeout(url_in)), slots(connections) {
    watchdog = std::thread([this] { watch(); });
  }
  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    watchdog.join();
    for (auto& slot : slots) {
      BARID_ASSERT(!slot.leased_at);
      if (slot.socket >= 0) ::close(slot.socket);
    }
  }

  Slot& lease();
  void connect(Slot& slot);
  void give_back(Slot& slot, bool broken);
  void drop(Slot& slot);  // under the mutex
  bool was_cut(const Slot& slot) const;
  void watch();

  const std::string url;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<Slot> slots;
  bool stopping = false;
  TimePoint connect_not_before{};  // backoff: until then callers fail at once
  milliseconds backoff = kBackoffMin;
  std::string last_error;
  std::uint64_t connects = 0, failures = 0, cut = 0;
  std::thread watchdog;
};

Slot& Pool::Impl::lease() {
  std::unique_lock lock(mutex);
  Slot* free = nullptr;
  const auto found = [&] {
    free = nullptr;
    for (auto& slot : slots)  // an open connection rather than a new one
      if (!slot.leased_at && (free == nullptr || (slot.connected && !free->connected))) free = &slot;
    return free != nullptr;
  };
  if (!changed.wait_for(lock, kLeaseWait, found))
    throw Unavailable("all " + std::to_string(slots.size()) + " Postgres connections are busy");
  if (!free->connected && steady_now() < connect_not_before)
    throw Unavailable("Postgres is away (" + last_error + "); connecting again shortly");
  free->leased_at = steady_now();
  free->cut = false;
  return *free;
}

void Pool::Impl::connect(Slot& slot) {
  try {
    auto fresh = std::make_unique<pqxx::connection>(url);  // bounded by connect_timeout
    const int socket = ::dup(fresh->sock());
    {
      std::lock_guard lock(mutex);
      if (slot.socket >= 0) ::close(slot.socket);
      slot.socket = socket;
      slot.leased_at = steady_now();
    }
    const std::string statement_ms = std::to_string(kStatementMax.count());
    fresh->set_variable("statement_timeout", statement_ms);
    fresh->set_variable("lock_timeout", statement_ms);
    fresh->set_variable("idle_in_transaction_session_timeout", "30000");
    slot.connection = std::move(fresh);
  } catch (const pqxx::failure& error) {
    std::lock_guard lock(mutex);
    ++failures;
    last_error = first_line(error.what());
    connect_not_before = steady_now() + backoff;
    if (backoff == kBackoffMin) spdlog::warn("Postgres is away: {}", last_error);
    backoff = std::min(2 * backoff, kBackoffMax);
    throw Unavailable("cannot connect to Postgres: " + last_error);
  }
  std::lock_guard lock(mutex);
  ++connects;
  if (backoff != kBackoffMin) spdlog::info("Postgres is back");
  backoff = kBackoffMin;
  slot.connected = true;
}

void Pool::Impl::give_back(Slot& slot, bool broken) {
  {
    std::lock_guard lock(mutex);
    slot.leased_at.reset();
    if (broken) drop(slot);
    if (broken)  // the others were most likely lost to the same outage: don't make three more callers find
                 // out
      for (auto& other : slots)
        if (!other.leased_at) drop(other);
  }
  changed.notify_one();
}

void Pool::Impl::drop(Slot& slot) {
  slot.connection.reset();
  slot.connected = false;
  if (slot.socket >= 0) ::close(slot.socket);
  slot.socket = -1;
}

bool Pool::Impl::was_cut(const Slot& slot) const {
  std::lock_guard lock(mutex);
  return slot.cut;
}

void Pool::Impl::watch() {
  std::unique_lock lock(mutex);
  while (!stopping) {
    changed.wait_for(lock, milliseconds(100), [&] { return stopping; });
    for (auto& slot : slots) {
      if (!slot.leased_at || slot.cut || slot.socket < 0 || steady_now() - *slot.leased_at < kTransactionMax) continue;
      slot.cut = true;
      ++cut;
      ::shutdown(slot.socket, SHUT_RDWR);
    }
  }
}

Pool::Pool(const std::string& url, std::size_t connections) {
  BARID_ASSERT(connections > 0);
  impl_ = std::make_unique<Impl>(url, connections);
}
Pool::~Pool() = default;

void Pool::transact(const char* what, const Body& body) {
  const auto once = [&] {
    Slot& slot = impl_->lease();
    bool broken = true;
    struct Return {
      Impl& impl;
      Slot& slot;
      bool& broken;
      ~Return() { impl.give_back(slot, broken); }
    } on_exit{*impl_, slot, broken};
    if (slot.connection == nullptr) impl_->connect(slot);
    try {
      pqxx::work work(*slot.connection, what);
      body(work);
      work.commit();
      broken = false;
    } catch (const pqxx::in_doubt_error&) {
      throw;
    } catch (const pqxx::broken_connection&) {
      if (impl_->was_cut(slot)) throw Unavailable(std::string(what) + ": Postgres did not answer in time");
      throw;
    } catch (const pqxx::sql_error& error) {
      broken = !slot.connection->is_open();
      if (broken) throw pqxx::broken_connection(error.what());  // "terminating connection due to …": worth a retry
      if (is_passing(error.sqlstate())) throw Unavailable(std::string(what) + ": " + first_line(error.what()));
      throw;
    } catch (const std::exception&) {
      broken = !slot.connection->is_open();
      throw;
    }
  };
  try {
    pqxx::perform(once, kAttempts);
  } catch (const pqxx::in_doubt_error& error) {
    throw InDoubt(std::string(what) + ": the connection broke while committing");
  } catch (const pqxx::statement_completion_unknown& error) {
    throw InDoubt(std::string(what) + ": the connection broke while committing");
  } catch (const pqxx::broken_connection& error) {
    throw Unavailable(std::string(what) + ": " + first_line(error.what()));
  } catch (const pqxx::transaction_rollback& error) {
    throw Unavailable(std::string(what) + ": " + first_line(error.what()));
  }
}

PoolStats Pool::stats() const {
  std::lock_guard lock(impl_->mutex);
  PoolStats stats;
  stats.size = impl_->slots.size();
  for (const auto& slot : impl_->slots) {
    stats.connected += slot.connected ? 1 : 0;
    stats.in_use += slot.leased_at ? 1 : 0;
  }
  stats.connects = impl_->connects;
  stats.failures = impl_->failures;
  stats.cut = impl_->cut;
  return stats;
}

}  // namespace barid::storage
