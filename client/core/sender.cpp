#include "client/core/sender.h"

#include "base/assert.h"

namespace barid::client {

void Sender::connected(std::uint16_t window) {
  disconnected();
  window_ = window == 0 ? 1 : window;
}

void Sender::disconnected() { *this = Sender(); }

bool Sender::has_work(TimePoint now) const {
  return window_ != 0 && in_flight_.size() < window_ && (!hold_until_ || *hold_until_ <= now);
}

void Sender::append(std::string& out, const Copy& c) {
  wire::Send send;
  send.seq = c.seq;
  send.to = c.to;
  send.kind = c.kind;
  send.sent_at_ms = c.created_ms;
  send.content = c.content;
  send.ranges = c.ranges;
  send.author = c.author;
  wire::append(out, send);
  in_flight_.insert(c.seq);
  next_ = c.seq + 1;
}

bool Sender::fill(Store& store, std::string& out, Now now) {
  if (!has_work(now.steady) || wants_reconnect_) return false;
  hold_until_.reset();
  bool any = false;
  if (resume_at_) {  // even if its receipt has come meanwhile: an older session of ours may have got it
                     // through
    const auto first = store.copy(*resume_at_);
    if (!first) {
      wants_reconnect_ = true;  // nothing left to say under that number; a new connection is not waiting for it
      return false;
    }
    append(out, *first);
    store.sent({*first});
    resume_at_.reset();
    any = true;
  }
  while (in_flight_.size() < window_ && out.size() < kOutBytesMax) {
    std::size_t room = window_ - in_flight_.size();
    std::vector<Copy> copies = store.pending(next_, room);
    if (copies.empty()) {
      if (store.address_messages(room) + store.address_reads(room, now.wall) == 0) break;
      continue;
    }
    std::size_t taken = 0;
    for (; taken < copies.size() && (taken == 0 || out.size() < kOutBytesMax); ++taken) append(out, copies[taken]);
    copies.resize(taken);
    store.sent(copies);
    any = true;
  }
  return any;
}

void Sender::accepted(const std::vector<SeqRange>& ranges) {
  for (const SeqRange& r : ranges) {
    const auto first = in_flight_.lower_bound(r.first);
    auto last = first;
    while (last != in_flight_.end() && *last - r.first < r.count) ++last;
    in_flight_.erase(first, last);
  }
}

void Sender::refused_for_now(std::uint64_t seq, TimePoint resend_at) {
  if (!in_flight_.contains(seq) && !(resume_at_ && *resume_at_ > seq)) return;  // answered already
  in_flight_.erase(in_flight_.lower_bound(seq), in_flight_.end());
  if (!resume_at_ || seq < *resume_at_) resume_at_ = seq;
  next_ = *resume_at_;
  if (!hold_until_ || *hold_until_ < resend_at) hold_until_ = resend_at;
}

void Sender::pending_again(std::uint64_t seq) {
  if (seq != 0 && seq < next_) wants_reconnect_ = true;
}

}  // namespace barid::client
