// Runs an account: session, transport and store on the caller's thread, together with other barid processes
// of the same account. Whoever gets the session lock talks to the server; the others read and write the
// store, and one of them takes over when the holder ends. So the user interface only ever looks at the store.
// Owned by a command; one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "client/core/process_link.h"
#include "client/core/session.h"
#include "client/core/sqlite_store.h"
#include "client/core/transport.h"

namespace barid::client {

class Client {
 public:
  static constexpr milliseconds kLookInterval{500};  // at the store, in case a nudge was lost
  static constexpr milliseconds kLockInterval{200};  // tries to take the session over
  static constexpr seconds kCallDeadline{20};
  static constexpr milliseconds kGoodbye{500};  // for the last acknowledgements, when closing

  struct Link {
    enum class Kind { elsewhere, connecting, online, offline, stopped };
    Kind kind = Kind::elsewhere;
    std::string text;  // offline, stopped: why
    wire::Code code = wire::Code::none;
    TimePoint retry_at{};  // offline
    bool tried = false;    // the first attempt to connect has had its outcome
  };
  struct Turn {
    bool changed = false;   // messages, states or contacts, by us or by another process
    bool presence = false;  // there is some to take_presence()
    bool input = false;     // input_fd is readable
  };

  // `store` must be that of `directory`, and have an account.
  Client(SqliteStore& store, const std::string& directory);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Turn turn(milliseconds wait_max, int input_fd = -1);  // waits for something to happen and handles it
  void wrote();                                         // we wrote to the store: send it
  void hurry();                                         // do not wait for the next try to connect
  const Link& link() const { return link_; }

  // Presence is for the process that holds the session: the others see and tell nothing.
  static constexpr std::size_t kPresenceMax = 1'024;  // entries not taken yet
  void watch(const wire::Watch& watch);
  void typing(const wire::Typing& typing);
  std::vector<wire::PresenceEntry> take_presence() { return std::exchange(presence_, {}); }

  // A request to the directory, by whoever holds the session. Always answered; unavailable after
  // kCallDeadline.
  std::int64_t call(const decltype(wire::Request::body)& body);
  std::optional<wire::Response> answer(std::int64_t call);

 private:
  Now now() const { return {steady_now(), wall_now()}; }
  void take_session();
  void connect_if_due();
  void move_bytes();
  void drop_connection(std::string why);  // by value: the reason is the transport's own
  void handle_events(Turn& turn);
  void serve_calls();
  bool look_at_store();
  milliseconds wait_for(milliseconds wait_max) const;

  SqliteStore& store_;
  SessionLock lock_;
  Nudge nudge_;
  ServerUrl url_;
  std::string tls_ca_;
  std::unique_ptr<Session> session_;  // while we hold the lock
  std::unique_ptr<Transport> transport_;
  bool told_connected_ = false;
  Link link_;
  TimePoint look_at_{}, lock_at_{};
  std::int64_t seen_version_ = -1;
  wire::Watch watch_;
  std::vector<wire::PresenceEntry> presence_;
  std::unordered_map<std::uint32_t, std::int64_t> serving_;     // session call → stored call; at most kCallsOpenMax
  std::unordered_map<std::int64_t, TimePoint> waiting_answer_;  // ours → deadline
};

// One request on a connection of its own, before there is an account (requestCode, verifyCode). Blocks.
Result<wire::Response, std::string> call_once(const ServerUrl& url, const std::string& tls_ca,
                                              const decltype(wire::Request::body)& body, milliseconds deadline);

}  // namespace barid::client
