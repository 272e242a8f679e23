// Receipts of group messages, gathered per (author's device, group): what many members received or read leaves in one
// GroupReceipt. The first for a key leaves at the next flush(); what follows is held until kHold after the one before.
// Pure; belongs to its core. A hand is the core's name for the batch that waits until the receipts are durable.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/limits.h"
#include "schemas/wire.h"

namespace barid::delivery {

class GroupReceipts {
 public:
  using HandId = std::uint64_t;
  static constexpr std::size_t kKeysMax = 65'536;  // then everything leaves, and the holding starts afresh

  struct Key {
    DeviceId author;
    GroupId group;
    bool operator==(const Key&) const = default;
  };
  struct Leaving {
    Key key;
    UserId author_user;
    std::vector<wire::GroupReceipt> receipts;  // more than one when the limits of a frame say so; at_ms is not set
    std::vector<std::pair<HandId, std::uint32_t>> hands;  // and how often each was named to add()
  };

  GroupReceipts(wire::ReceiptKind kind, milliseconds hold) : kind_(kind), hold_(hold) {}

  void add(const Key& key, UserId author_user, UserId member, SeqRange range, HandId hand) {
    Gathered& gathered = gathered_.try_emplace(key).first->second;
    if (!gathered.known) fresh_.push_back(key);
    gathered.known = true;
    gathered.author_user = author_user;
    if (gathered.hands.empty()) ++filled_;
    ++gathered.hands[hand];
    auto& ranges = gathered.members[member];
    if (!ranges.empty() && ranges.back().first + ranges.back().count == range.first)
      ranges.back().count += range.count;
    else
      ranges.push_back(range);
  }

  // Gives what is due, or everything (`all`), to leave(const Leaving&), which must not call back.
  template <class Leave>
  void flush(TimePoint now, bool all, Leave&& leave) {
    for (const Key& key : std::exchange(fresh_, {})) {
      give(key, leave);
      held_.emplace_back(now + hold_, key);
    }
    while (!held_.empty() && held_.front().first <= now) {
      const Key key = held_.front().second;
      held_.pop_front();
      if (gathered_.at(key).hands.empty()) {
        gathered_.erase(key);
        continue;
      }
      give(key, leave);
      held_.emplace_back(now + hold_, key);
    }
    const bool crowded = gathered_.size() >= kKeysMax;
    if ((all || crowded) && filled_ != 0)
      for (const auto& [due, key] : held_)
        if (!gathered_.at(key).hands.empty()) give(key, leave);
    if (crowded) gathered_.clear(), held_.clear();
  }

  // When there will be something to flush.
  TimePoint due() const {
    if (!fresh_.empty()) return TimePoint::min();
    return filled_ == 0 ? TimePoint::max() : held_.front().first;
  }
  bool empty() const { return filled_ == 0; }  // nothing waits to leave

 private:
  struct Gathered {
    bool known = false;  // stands in fresh_ or in held_, once
    UserId author_user;
    std::unordered_map<UserId, std::vector<SeqRange>> members;
    std::unordered_map<HandId, std::uint32_t> hands;  // empty: nothing waits to leave
  };
  struct Hash {
    std::size_t operator()(const Key& k) const {
      return std::hash<DeviceId>{}(k.author) * 31 + std::hash<GroupId>{}(k.group);
    }
  };

  template <class Leave>
  void give(const Key& key, Leave& leave) {
    Gathered& gathered = gathered_.at(key);
    Leaving leaving{key, gathered.author_user, {}, {gathered.hands.begin(), gathered.hands.end()}};
    std::map<std::vector<SeqRange>, std::vector<UserId>> alike;
    for (auto& [member, ranges] : gathered.members) alike[normal(std::move(ranges))].push_back(member);
    for (const auto& [ranges, users] : alike) add_parts(leaving.receipts, key.group, ranges, users);
    gathered.members.clear();
    gathered.hands.clear();
    --filled_;
    leave(std::as_const(leaving));
  }

  static std::vector<SeqRange> normal(std::vector<SeqRange> ranges) {
    std::sort(ranges.begin(), ranges.end());
    std::vector<SeqRange> out;
    for (const SeqRange& r : ranges) {
      const std::uint64_t end = out.empty() ? 0 : out.back().first + out.back().count;
      if (out.empty() || r.first > end || r.first + r.count > out.back().first + kCountMax)
        out.push_back(r);
      else
        out.back().count = static_cast<std::uint32_t>(std::max(end, r.first + r.count) - out.back().first);
    }
    return out;
  }

  void add_parts(std::vector<wire::GroupReceipt>& receipts, GroupId group, const std::vector<SeqRange>& ranges,
                 const std::vector<UserId>& users) {
    for (std::size_t r = 0; r < ranges.size(); r += limits::kRangesMax)
      for (std::size_t u = 0; u < users.size(); u += limits::kGroupReceiptMembersMax) {
        wire::GroupReceiptPart part{slice(users, u, limits::kGroupReceiptMembersMax),
                                    slice(ranges, r, limits::kRangesMax)};
        if (receipts.empty() || users_ + part.users.size() > limits::kGroupReceiptMembersMax ||
            ranges_ + part.ranges.size() > limits::kGroupReceiptRangesMax) {
          receipts.push_back({group, kind_, 0, {}});
          users_ = ranges_ = 0;
        }
        users_ += part.users.size();
        ranges_ += part.ranges.size();
        receipts.back().parts.push_back(std::move(part));
      }
  }
  template <class T>
  static std::vector<T> slice(const std::vector<T>& all, std::size_t from, std::size_t most) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(from);
    return {begin, begin + static_cast<std::ptrdiff_t>(std::min(most, all.size() - from))};
  }
  static constexpr std::uint64_t kCountMax = 0xffff'ffff;

  wire::ReceiptKind kind_;
  milliseconds hold_;
  std::unordered_map<Key, Gathered, Hash> gathered_;
  std::vector<Key> fresh_;
  std::deque<std::pair<TimePoint, Key>> held_;  // by time
  std::size_t filled_ = 0;                      // of gathered_, with something to leave
  std::size_t users_ = 0, ranges_ = 0;          // of the receipt being filled
};

}  // namespace barid::delivery
