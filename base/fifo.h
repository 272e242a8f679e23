// A queue that owns no memory while it is empty: what std::deque is not, which takes half a kilobyte for each. For the
// many queues of which most are empty most of the time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace barid {

template <class T>
class Fifo {
 public:
  bool empty() const { return head_ == items_.size(); }
  std::size_t size() const { return items_.size() - head_; }
  T& front() { return items_[head_]; }
  const T& front() const { return items_[head_]; }
  const T& back() const { return items_.back(); }
  auto begin() { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() const { return items_.end(); }

  void push_back(T item) { items_.push_back(std::move(item)); }
  template <class... Args>
  void emplace_back(Args&&... args) {
    items_.emplace_back(std::forward<Args>(args)...);
  }
  void pop_front() {
    items_[head_] = T();
    ++head_;
    if (empty()) {
      clear();
    } else if (head_ >= kSlack && head_ > items_.size() / 2) {
      items_.erase(items_.begin(), begin());
      head_ = 0;
    }
  }
  template <class Predicate>
  void erase_if(Predicate&& predicate) {
    items_.erase(std::remove_if(begin(), end(), predicate), end());
    if (empty()) clear();
  }
  void clear() {
    items_.clear();
    head_ = 0;
    if (items_.capacity() > kSlack) items_ = {};
  }

 private:
  static constexpr std::size_t kSlack = 16;  // so little may be held on to
  std::vector<T> items_;
  std::size_t head_ = 0;
};

}  // namespace barid
