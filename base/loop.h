// An epoll loop: file descriptors, timers, work posted from other threads, and one hook at the end of each
// turn. Owner: whoever constructs it. Everything but post() and stop() belongs to the thread inside run().
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/pace.h"

namespace barid {

// What a library handle (NATS, ZeroMQ, an eventfd) needs of an event loop. Events are EPOLLIN, EPOLLOUT …
class FdWatcher {
 public:
  using OnEvents = std::function<void(std::uint32_t events)>;
  virtual ~FdWatcher() = default;
  virtual void watch(int fd, std::uint32_t events, OnEvents on_events) = 0;  // fd must not be watched yet
  virtual void change(int fd, std::uint32_t events) = 0;
  virtual void unwatch(int fd) = 0;                   // allowed inside its own callback
  virtual bool post(std::function<void()> work) = 0;  // any thread; false when the bounded queue is full
};

class Loop final : public FdWatcher {
 public:
  static constexpr std::size_t kPostedMax = 65'536;
  static constexpr std::chrono::microseconds kTurn{500};  // from turn to turn under load

  Loop();
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void watch(int fd, std::uint32_t events, OnEvents on_events) override;
  void change(int fd, std::uint32_t events) override;
  void unwatch(int fd) override;
  bool post(std::function<void()> work) override;

  void every(milliseconds interval, std::function<void()> work);             // first run one interval from now
  void turn_by(TimePoint latest) { turn_by_ = std::min(turn_by_, latest); }  // a turn begins by then, events or not
  void at_turn_end(std::function<void()> work);            // runs after the events of each turn, in order added
  void run();                                              // until stop(); exceptions of callbacks pass through
  void stop();                                             // any thread
  TimePoint now() const { return now_; }                   // taken once a turn
  void moved(std::size_t things) { pace_.moved(things); }  // so that the loop knows when it is under load
  bool under_load() const { return pace_.loaded(); }  // then another turn follows soon, whether anything happens or not

 private:
  struct Watched {
    std::uint32_t generation;
    std::shared_ptr<OnEvents> on_events;
  };
  struct Timer {
    milliseconds interval;
    TimePoint due;
    std::function<void()> work;
  };
  int wait_ms() const;
  void run_posted();
  void wake();

  int epoll_ = -1, wake_ = -1;
  std::uint32_t generation_ = 0;
  std::unordered_map<int, Watched> watched_;
  std::deque<Timer> timers_;  // deques: callbacks may add more while they run
  std::deque<std::function<void()>> turn_end_;
  TimePoint now_ = steady_now(), turn_by_ = TimePoint::max();
  bool running_ = false;
  Pace pace_{kTurn};

  std::mutex mutex_;  // guards posted_ and stop_
  std::vector<std::function<void()>> posted_;
  bool stop_ = false;
};

}  // namespace barid
