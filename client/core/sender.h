// Which copies go out when: the send window, resending after a reconnect, and go-back-N after a refusal.
// Pure; owned by a Session. Promises: within a connection sequence numbers only grow, except that after
// Refused{seq} with a retry time the next thing sent is `seq` again and then all later ones that are pending,
// in order.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "client/core/store.h"

namespace barid::client {

class Sender {
 public:
  static constexpr std::size_t kOutBytesMax = 256 * 1024;  // frames encoded ahead of the transport

  void connected(std::uint16_t window);
  void disconnected();

  // Makes and appends what may go out now. Inside a transaction of the caller. True: something was sent.
  bool fill(Store& store, std::string& out, Now now);
  bool has_work(TimePoint now) const;

  void accepted(const std::vector<SeqRange>& ranges);
  void refused_for_good(std::uint64_t seq) { in_flight_.erase(seq); }
  void refused_for_now(std::uint64_t seq, TimePoint resend_at);

  // A copy with a number below those already sent is pending again: only a new connection can carry it.
  void pending_again(std::uint64_t seq);
  bool wants_reconnect() const { return wants_reconnect_; }
  bool idle() const { return in_flight_.empty() && !hold_until_; }
  std::optional<TimePoint> hold_until() const { return hold_until_; }

 private:
  void append(std::string& out, const Copy& copy);

  std::size_t window_ = 0;
  std::set<std::uint64_t> in_flight_;       // sent on this connection, neither accepted nor refused; at most window_
  std::uint64_t next_ = 1;                  // lowest number not yet looked at on this connection
  std::optional<TimePoint> hold_until_;     // refused: nothing goes out before
  std::optional<std::uint64_t> resume_at_;  // what must go out first then: the edge ignores everything else
  bool wants_reconnect_ = false;
};

}  // namespace barid::client
