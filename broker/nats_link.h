// One NATS connection on one event loop: no library threads on the message path. Belongs to the loop's
// thread. What is published in a turn leaves with flush(), in one write; replies and messages arrive through
// callbacks inside the loop's turn.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/config.h"
#include "base/loop.h"

namespace barid::broker {

struct Message {  // views, valid inside the callback
  std::string_view subject, reply, payload;
  int status = 0;                                   // of a headers-only reply: 404, 503 …; 0: none
  std::string_view header(const char* name) const;  // empty: absent
  void* handle = nullptr;                           // natsMsg*, for header()
};

class NatsLink {
 public:
  using OnMessage = std::function<void(const Message&)>;
  enum class Failure { timeout, disconnected };
  // Exactly once per request: message, or nullptr with the failure (fate unknown: ask again with the same
  // message id).
  using OnReply = std::function<void(const Message* reply, Failure failure)>;
  using OnState = std::function<void(bool connected)>;
  using Subscription = std::uint32_t;

  static constexpr milliseconds kReplyTimeout{5'000};
  static constexpr std::size_t kRequestsMax = 1 << 20;  // under way at once

  // Connects, or throws after `patience`. Reconnects by itself for ever; on_state tells (on the loop's
  // thread).
  NatsLink(FdWatcher& loop, const NatsConfig& config, const std::string& name, OnState on_state,
           std::chrono::seconds patience = std::chrono::seconds(30));
  ~NatsLink();
  NatsLink(const NatsLink&) = delete;
  NatsLink& operator=(const NatsLink&) = delete;

  bool connected() const;
  void publish(const std::string& subject, std::string_view payload);
  // message_id, when not empty, becomes the Nats-Msg-Id header (JetStream then stores a repetition once).
  void request(const std::string& subject, std::string_view payload, std::string_view message_id, OnReply on_reply);
  Subscription subscribe(const std::string& subject, OnMessage on_message);
  void unsubscribe(Subscription subscription);  // allowed inside its own callback
  std::string new_inbox() const;                // a subject that nobody else uses

  void flush();  // once a turn, after everything that publishes

  // Once a turn: fails requests that are older than kReplyTimeout.
  void expire_requests(TimePoint now);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace barid::broker
