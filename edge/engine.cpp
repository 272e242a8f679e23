#include "edge/engine.h"

#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace barid::edge {

std::unique_ptr<Engine> Engine::make(const std::string& kind) {
  if (kind == "epoll") return epoll();
  if (kind == "io_uring") return uring();
  try {
    return uring();
  } catch (const std::system_error& error) {
    spdlog::info("io_uring can't be used here ({}): epoll instead", error.what());
    return epoll();
  }
}

Engine::Engine() : wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (wake_ < 0) throw std::system_error(errno, std::generic_category(), "event loop: eventfd");
}

Engine::~Engine() { ::close(wake_); }

std::string Engine::take_buffer() {
  if (spare_.empty()) return {};
  std::string buffer = std::move(spare_.back());
  spare_.pop_back();
  return buffer;
}

void Engine::recycle_buffer(std::string buffer) {
  if (spare_.size() >= kSpareBuffersMax || buffer.capacity() > kSpareBufferBytesMax) return;
  buffer.clear();
  spare_.push_back(std::move(buffer));
}

bool Engine::post(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (posted_.size() >= kPostedMax) return false;
    posted_.push_back(std::move(work));
    if (posted_.size() > 1) return true;  // the wake-up is on its way
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] auto put = ::write(wake_, &one, sizeof one);
  return true;
}

void Engine::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] auto got = ::read(wake_, &count, sizeof count);
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (auto& item : work) item();
}

void Engine::every(milliseconds interval, std::function<void()> work) {
  timers_.push_back({interval, steady_now() + interval, std::move(work)});
}

void Engine::at_turn_end(std::function<void()> work) { turn_end_.push_back(std::move(work)); }

void Engine::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] auto put = ::write(wake_, &one, sizeof one);
}

bool Engine::stopping() {
  std::lock_guard lock(mutex_);
  return stop_;
}

std::chrono::nanoseconds Engine::until_next_timer() const {
  TimePoint first = std::min(now_ + seconds(1), turn_by_);
  for (const Timer& timer : timers_) first = std::min(first, timer.due);
  return std::max<std::chrono::nanoseconds>(first - now_, std::chrono::nanoseconds(0));
}

void Engine::begin_turn() {
  now_ = steady_now();
  pace_.woke(now_);
  if (now_ >= turn_by_) turn_by_ = TimePoint::max();
}

void Engine::finish_turn() {
  for (std::size_t i = 0; i < timers_.size(); ++i) {
    if (timers_[i].due > now_) continue;
    timers_[i].due = now_ + timers_[i].interval;
    const auto work = timers_[i].work;  // may add a timer
    work();
  }
  for (std::size_t i = 0; i < turn_end_.size(); ++i) turn_end_[i]();
}

}  // namespace barid::edge
