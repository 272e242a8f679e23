// Whether all members of a group see its messages in one order. A message's author does not see it come, so what an
// author gets says where it stands among the messages of others only; members who write nothing see all of them, and
// whoever of them is first says what comes next. Pure; lives with its plan.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace barid::bench {

class GroupOrder {
 public:
  // Members 0 to writers - 1 write, the others only read: one of them at least. `echo`: authors get their own, too.
  GroupOrder(std::uint32_t members, std::uint32_t writers, bool echo)
      : members_(members), writers_(echo ? 0 : writers) {}

  // Member `member` got, for the first time, number `number` of member `author`.
  void take(std::uint32_t member, std::uint32_t author, std::uint64_t number) {
    const std::uint64_t id = number << kAuthorBits | author;
    Member& m = members_[member];
    if (member >= writers_) return lead(m, id);
    m.ahead.push_back(id);
    catch_up(m, member);
  }

  // Copies that came after one which others got later. Complete once catch_up() is, after the last message.
  std::uint64_t misplaced() const { return misplaced_; }
  void catch_up() {
    for (std::uint32_t w = 0; w < writers_; ++w) catch_up(members_[w], w);
  }

 private:
  static constexpr unsigned kAuthorBits = 16;
  struct Member {
    std::size_t place = 0;            // in order_: what comes next
    std::deque<std::uint64_t> ahead;  // an author: not yet in order_. As many as are in flight at most
  };

  void lead(Member& m, std::uint64_t id) {
    if (m.place < order_.size() && order_[m.place] == id) {
      ++m.place;
      return;
    }
    if (index_.contains(id)) return jump(m, id);
    index_.emplace(id, order_.size());
    order_.push_back(id);
    m.place = order_.size();  // what it skipped is lost, or comes late and is misplaced then
  }
  void jump(Member& m, std::uint64_t id) {
    const std::size_t at = index_.at(id);
    if (at < m.place) {
      ++misplaced_;
    } else {
      m.place = at + 1;
    }
  }
  void catch_up(Member& m, std::uint32_t self) {
    for (; !m.ahead.empty() && index_.contains(m.ahead.front()); m.ahead.pop_front()) {
      while (m.place < order_.size() && (order_[m.place] & ((1U << kAuthorBits) - 1)) == self) ++m.place;
      jump(m, m.ahead.front());
    }
  }

  std::vector<Member> members_;
  const std::uint32_t writers_;
  std::vector<std::uint64_t> order_;
  std::unordered_map<std::uint64_t, std::size_t> index_;
  std::uint64_t misplaced_ = 0;
};

}  // namespace barid::bench
