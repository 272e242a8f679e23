#include "base/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <thread>

#include "base/assert.h"

namespace barid {
namespace {
[[noreturn]] void fail_with(const char* what) { throw std::system_error(errno, std::generic_category(), what); }
}  // namespace

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (epoll_ < 0 || wake_ < 0) fail_with("event loop: out of file descriptors?");
  watch(wake_, EPOLLIN, [this](std::uint32_t) {
    std::uint64_t count = 0;
    [[maybe_unused]] auto got = ::read(wake_, &count, sizeof count);
    run_posted();
  });
}

Loop::~Loop() {
  ::close(wake_);
  ::close(epoll_);
}

void Loop::watch(int fd, std::uint32_t events, OnEvents on_events) {
  BARID_ASSERT(!watched_.contains(fd));
  const std::uint32_t generation = ++generation_;
  watched_.emplace(fd, Watched{generation, std::make_shared<OnEvents>(std::move(on_events))});
  epoll_event event{};
  event.events = events;
  event.data.u64 = (static_cast<std::uint64_t>(generation) << 32) | static_cast<std::uint32_t>(fd);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    watched_.erase(fd);
    fail_with("epoll_ctl add");
  }
}

void Loop::change(int fd, std::uint32_t events) {
  const auto found = watched_.find(fd);
  BARID_ASSERT(found != watched_.end());
  epoll_event event{};
  event.events = events;
  event.data.u64 = (static_cast<std::uint64_t>(found->second.generation) << 32) | static_cast<std::uint32_t>(fd);
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0) fail_with("epoll_ctl mod");
}

void Loop::unwatch(int fd) {
  if (watched_.erase(fd) != 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);  // already closed by its library: fine
}

bool Loop::post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (posted_.size() >= kPostedMax) return false;
    posted_.push_back(std::move(work));
    if (posted_.size() > 1) return true;  // the wake-up is on its way
  }
  wake();
  return true;
}

void Loop::run_posted() {
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  std::size_t begun = 0;
  try {
    while (begun < work.size()) work[begun++]();
  } catch (...) {  // what is left runs when run() is called again
    {
      std::lock_guard lock(mutex_);
      posted_.insert(posted_.begin(), std::make_move_iterator(work.begin() + static_cast<std::ptrdiff_t>(begun)),
                     std::make_move_iterator(work.end()));
    }
    wake();
    throw;
  }
}

void Loop::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] auto put = ::write(wake_, &one, sizeof one);
}

void Loop::every(milliseconds interval, std::function<void()> work) {
  timers_.push_back({interval, steady_now() + interval, std::move(work)});
}

void Loop::at_turn_end(std::function<void()> work) { turn_end_.push_back(std::move(work)); }

int Loop::wait_ms() const {
  TimePoint first = std::min(now_ + std::chrono::seconds(1), turn_by_);
  for (const Timer& timer : timers_) first = std::min(first, timer.due);
  const auto left = std::chrono::ceil<milliseconds>(first - steady_now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

void Loop::run() {
  running_ = true;
  std::array<epoll_event, 512> events;
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (stop_) break;
    }
    const auto hold = pace_.hold(steady_now());
    if (hold.count() > 0) std::this_thread::sleep_for(hold);
    const int timeout = hold.count() > 0 ? 0 : wait_ms();
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
    if (count < 0 && errno != EINTR) fail_with("epoll_wait");
    now_ = steady_now();
    pace_.woke(now_);
    if (now_ >= turn_by_) turn_by_ = TimePoint::max();
    for (int i = 0; i < count; ++i) {
      const auto found = watched_.find(static_cast<int>(events[i].data.u64 & 0xffffffffU));
      if (found == watched_.end() || found->second.generation != (events[i].data.u64 >> 32)) continue;
      const auto callback = found->second.on_events;  // may unwatch itself
      (*callback)(events[i].events);
    }
    for (std::size_t i = 0; i < timers_.size(); ++i) {
      if (timers_[i].due > now_) continue;
      timers_[i].due = now_ + timers_[i].interval;
      timers_[i].work();
    }
    for (std::size_t i = 0; i < turn_end_.size(); ++i) turn_end_[i]();
  }
  running_ = false;
}

void Loop::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake();
}

}  // namespace barid
