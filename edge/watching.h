// What a connection watches, and what there is to tell it: at most one entry for each user, and for each typist of a
// group, and at most one frame a kFrameEvery. Pure; exists only for connections that watch or type. Owner and thread:
// the connection, on its reactor's thread.
#pragma once

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/config.h"
#include "edge/token_bucket.h"
#include "schemas/wire.h"

namespace barid::edge {

class Watching {
 public:
  static constexpr milliseconds kFrameEvery{1'000}, kFrameEveryUnderLoad{5'000};
  static constexpr milliseconds kOfferEvery{1'000};  // a watch set, to the owners
  static constexpr RateConfig kTypings{2, 8};

  // The next set; false: the last one came just now, ask offer_due() later.
  bool watch(wire::Watch wanted, TimePoint now) {
    wanted_ = std::move(wanted);
    std::erase_if(pending_, [this](const wire::PresenceEntry& e) { return !wants(e); });
    unoffered_ = true;
    return offer_due(now);
  }
  const wire::Watch& wanted() const { return wanted_; }
  bool unoffered() const { return unoffered_; }
  bool offer_due(TimePoint now) const { return unoffered_ && now >= next_offer_; }
  // The partitions whose owners know of it from now on; those that knew before and have to hear of its end.
  std::vector<Partition> offered(std::vector<Partition> to, TimePoint now) {
    unoffered_ = false;
    next_offer_ = now + kOfferEvery;
    std::vector<Partition> ended = std::exchange(offered_to_, std::move(to));
    std::erase_if(ended, [this](Partition p) {
      return std::find(offered_to_.begin(), offered_to_.end(), p) != offered_to_.end();
    });
    return ended;
  }
  const std::vector<Partition>& offered_to() const { return offered_to_; }
  bool may_type(TimePoint now) { return typings_.take(kTypings, now) == 0; }

  // True: taken, in place of an earlier one of the same. False: nobody asked, or it does not fit.
  bool add(const wire::PresenceEntry& entry) {
    if (!wants(entry)) return false;
    const auto same = std::find_if(pending_.begin(), pending_.end(), [&](const wire::PresenceEntry& e) {
      return e.user == entry.user && e.group == entry.group;
    });
    if (same != pending_.end()) {
      *same = entry;
      return true;
    }
    if (pending_.size() >= limits::kPresenceEntriesMax) return false;
    pending_.push_back(entry);
    return true;
  }
  bool frame_due(TimePoint now, bool under_load) const {
    const auto extra = under_load ? kFrameEveryUnderLoad - kFrameEvery : milliseconds(0);
    return !pending_.empty() && now >= next_frame_ + extra;
  }
  bool has_work() const { return unoffered_ || !pending_.empty(); }
  // The frame, when frame_due().
  wire::Presence take(TimePoint now) {
    next_frame_ = now + kFrameEvery;
    return {std::exchange(pending_, {})};
  }

  bool listed = false;  // in the reactor's list of those with work

 private:
  bool wants(const wire::PresenceEntry& e) const {
    if (e.group != GroupId())
      return std::find(wanted_.groups.begin(), wanted_.groups.end(), e.group) != wanted_.groups.end();
    return std::find(wanted_.users.begin(), wanted_.users.end(), e.user) != wanted_.users.end();
  }

  wire::Watch wanted_;
  std::vector<wire::PresenceEntry> pending_;
  std::vector<Partition> offered_to_;
  TimePoint next_frame_{}, next_offer_{};
  TokenBucket typings_;
  bool unoffered_ = false;
};

}  // namespace barid::edge
