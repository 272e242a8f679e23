// The control plane: JetStream management, key-value buckets and watches, over an ordinary blocking NATS
// connection. Never on the message path. Thread-safe: calls block for up to kCallTimeout and throw
// broker::Error when the broker can't be reached or refuses; watch callbacks run on the watch's own thread,
// in order.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/id.h"

namespace barid::broker {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct KvEntry {
  std::string bucket, key, value;
  std::uint64_t revision = 0;
  bool deleted = false;  // delete or purge marker
};

class Control {
 public:
  static constexpr std::chrono::milliseconds kCallTimeout{5000};

  // Retries the first connection until `patience` is over, then throws.
  Control(const NatsConfig& config, const std::string& name, std::chrono::seconds patience = std::chrono::seconds(30));
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  bool connected() const;
  std::uint64_t reconnects() const;  // so far

  // Key-value. nullopt: no such key (or deleted).
  std::optional<KvEntry> get(const char* bucket, std::string_view key);
  std::uint64_t put(const char* bucket, std::string_view key, std::string_view value);
  // Compare-and-swap: revision 0 means "must not exist". nullopt: somebody else was first.
  std::optional<std::uint64_t> put_if(const char* bucket, std::string_view key, std::string_view value,
                                      std::uint64_t revision);
  void remove(const char* bucket, std::string_view key);
  std::vector<std::string> keys(const char* bucket);

  // Every present entry first, then `on_entry` with deleted = true and an empty key ("all present seen"),
  // then every change until the Control dies. Restarts by itself after an outage (entries may then repeat).
  void watch(const char* bucket, std::function<void(const KvEntry&)> on_entry);

  // JetStream management by its JSON API: subject after "$JS.API.", request body; returns the reply's JSON
  // text. Throws on time-out only; an error in the reply is the caller's to read.
  std::string js_api(const std::string& subject, const std::string& body);

  // Publishes to a stream and waits until it is durable there; returns its place. The same message id again, within the
  // stream's duplicate window, is stored once. Throws also when its fate is unknown.
  StreamSeq publish(const std::string& subject, std::string_view payload, const std::string& message_id);

  // Plain publish: whoever listens now hears it, or not. Never throws.
  void tell(const std::string& subject, std::string_view payload);

  // Plain request/reply. nullopt: nobody answered in time.
  std::optional<std::string> request(const std::string& subject, std::string_view body,
                                     std::chrono::milliseconds timeout);

  // A queue subscription served by `threads` threads: each request's reply is what `handle` returns.
  void serve(const std::string& subject, const std::string& queue, unsigned threads,
             std::function<std::string(std::string_view request)> handle);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::broker
