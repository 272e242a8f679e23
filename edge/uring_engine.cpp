// The engine on io_uring: multishot accept and receive into provided buffers, every send of a turn in one enter.
// Watched descriptors of libraries are polled one-shot and armed again after their callback, which makes them
// level-triggered as those libraries expect.
#include <liburing.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "base/assert.h"
#include "edge/engine.h"
#include "edge/uring_ring.h"

namespace barid::edge {
namespace {

// user_data: a 16-byte aligned pointer, and in its low bits which of its operations completed.
enum Op : std::uintptr_t { kIgnored = 0, kReceive = 1, kSend = 2, kWatch = 3, kAccept = 4, kOpMask = 15 };

constexpr unsigned kQueueEntries = 4096;
constexpr unsigned kCompany = 512;  // under load: so many events end the wait before its time
constexpr std::chrono::microseconds kSendPatience{500};

struct alignas(16) Watched {
  FdWatcher::OnEvents on_events;
  int fd = -1;
  std::uint32_t events = 0;
  bool armed = false, dead = false;
};
struct alignas(16) Listener {
  int fd = -1, number = 0;
  bool armed = false;
  TimePoint again{};
};

class UringEngine final : public Engine {
 public:
  UringEngine() : ring_(kQueueEntries, kUringFlags | IORING_SETUP_R_DISABLED) {
    watch(wake_fd(), POLLIN, [this](std::uint32_t) { run_posted(); });
    every(kAcceptPause, [this] { retry_listeners(); });
  }
  const char* name() const override { return "io_uring"; }

  void watch(int fd, std::uint32_t events, OnEvents on_events) override {
    BARID_ASSERT(!watched_.contains(fd));
    auto entry = std::make_unique<Watched>();
    entry->on_events = std::move(on_events);
    entry->fd = fd;
    entry->events = events;
    arm(*entry);
    watched_.emplace(fd, std::move(entry));
  }
  void change(int fd, std::uint32_t events) override {
    const auto found = watched_.find(fd);
    BARID_ASSERT(found != watched_.end());
    Watched& watched = *found->second;
    if (watched.events == events) return;
    watched.events = events;
    if (!watched.armed) return;  // inside its own callback: armed again after it
    io_uring_sqe* sqe = free_entry();
    io_uring_prep_poll_update(sqe, tag(&watched, kWatch), 0, events, IORING_POLL_UPDATE_EVENTS);
    io_uring_sqe_set_data64(sqe, kIgnored);
  }
  void unwatch(int fd) override {
    const auto found = watched_.find(fd);
    if (found == watched_.end()) return;
    Watched& watched = *found->second;
    watched.dead = true;
    if (watched.armed) {
      io_uring_sqe* sqe = free_entry();
      io_uring_prep_poll_remove(sqe, tag(&watched, kWatch));
      io_uring_sqe_set_data64(sqe, kIgnored);
    }
    buried_.emplace(&watched, std::move(found->second));
    watched_.erase(found);
  }

  void listen(int fd, int listener) override {
    auto item = std::make_unique<Listener>();
    item->fd = fd;
    item->number = listener;
    arm(*item);
    listeners_.push_back(std::move(item));
  }
  int accept_flags() const override { return SOCK_CLOEXEC; }
  void stop_listening() override {
    for (auto& listener : listeners_) {
      if (listener->armed) cancel(tag(listener.get(), kAccept));
      listener->fd = -1;
    }
  }

  void add(Socket& socket) override {
    socket.reading = true;
    arm(socket);
  }
  void pause(Socket& socket) override {
    socket.reading = false;
    if (!socket.armed || socket.cancelling || socket.closing) return;
    socket.cancelling = true;
    cancel(tag(&socket, kReceive));
  }
  void resume(Socket& socket) override {
    socket.reading = true;
    if (!socket.armed && !socket.closing && !socket.ended) arm(socket);
  }

  bool send(Socket& socket, std::string bytes) override {
    BARID_ASSERT(!socket.sending && !socket.closing);
    socket.in_flight = std::move(bytes);
    socket.sent = 0;
    socket.sending = true;
    queue_send(socket);
    return false;
  }
  void shutdown_write(Socket& socket) override { ::shutdown(socket.fd, SHUT_WR); }
  void close(Socket& socket) override {
    if (socket.closing) return;
    socket.closing = true;
    if (!socket.armed && !socket.sending) return bury(socket);
    io_uring_sqe* sqe = free_entry();
    io_uring_prep_cancel_fd(sqe, socket.fd, IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, kIgnored);
  }

  void run() override {
    enable();
    while (!stopping()) {
      wait();
      begin_turn();
      reap();
      finish_turn();
      std::vector<Socket*> closed;
      closed.swap(closed_);
      for (Socket* socket : closed) {
        ::close(socket->fd);
        handler_->on_closed(*socket);
      }
      std::erase_if(buried_, [](const auto& item) { return !item.second->armed; });
    }
  }

 private:
  struct Completion {
    std::uint64_t data;
    int result;
    std::uint32_t flags;
  };

  // From here on this thread is the one that submits. liburing 2.3 declares io_uring_enable_rings and does not export
  // it.
  void enable() {
    if (std::exchange(enabled_, true)) return;
    if (::syscall(__NR_io_uring_register, ring_.get()->ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) != 0)
      throw std::system_error(errno, std::generic_category(), "io_uring_register enable");
  }
  template <class T>
  static std::uint64_t tag(T* pointer, Op op) {
    return reinterpret_cast<std::uintptr_t>(pointer) | op;
  }
  io_uring_sqe* free_entry() {
    io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
    while (sqe == nullptr) {  // full: hand over what there is
      if (const int error = io_uring_submit(ring_.get()); error < 0 && error != -EBUSY && error != -EAGAIN)
        uring_refused(error, "io_uring_submit");
      sqe = io_uring_get_sqe(ring_.get());
    }
    return sqe;
  }
  void cancel(std::uint64_t data) {
    io_uring_sqe* sqe = free_entry();
    io_uring_prep_cancel64(sqe, data, 0);
    io_uring_sqe_set_data64(sqe, kIgnored);
  }
  void arm(Watched& watched) {
    io_uring_sqe* sqe = free_entry();
    io_uring_prep_poll_add(sqe, watched.fd, watched.events);
    io_uring_sqe_set_data64(sqe, tag(&watched, kWatch));
    watched.armed = true;
  }
  void arm(Listener& listener) {
    io_uring_sqe* sqe = free_entry();
    io_uring_prep_multishot_accept(sqe, listener.fd, nullptr, nullptr, accept_flags());
    io_uring_sqe_set_data64(sqe, tag(&listener, kAccept));
    listener.armed = true;
  }
  void arm(Socket& socket) {
    io_uring_sqe* sqe = free_entry();
    uring_arm_receive(sqe, socket.fd);
    io_uring_sqe_set_data64(sqe, tag(&socket, kReceive));
    socket.armed = true;
  }
  void queue_send(Socket& socket) {
    io_uring_sqe* sqe = free_entry();
    io_uring_prep_send(sqe, socket.fd, socket.in_flight.data() + socket.sent, socket.in_flight.size() - socket.sent,
                       MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, tag(&socket, kSend));
    ++sends_queued_;
  }

  // Send completions satisfy a wait for one event, so the wait counts them too.
  void wait() {
    __kernel_timespec patience{};
    unsigned count = sends_queued_ + 1;
    std::chrono::nanoseconds left = until_next_timer();
    if (sends_queued_ > 0) left = std::min<std::chrono::nanoseconds>(left, kSendPatience);
    if (const auto hold = pace_.hold(steady_now()); hold.count() > 0) {
      left = std::min(left, hold);
      count += kCompany;
    }
    if (!closed_.empty()) left = std::chrono::nanoseconds(0);
    patience.tv_sec = left.count() / 1'000'000'000;
    patience.tv_nsec = left.count() % 1'000'000'000;
    io_uring_cqe* cqe = nullptr;
    const int result = io_uring_submit_and_wait_timeout(ring_.get(), &cqe, count, &patience, nullptr);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EBUSY && result != -EAGAIN)
      uring_refused(result, "io_uring_enter");
    sends_queued_ = 0;
  }

  void reap() {
    // Bounded: what completes meanwhile is for the next turn.
    for (unsigned left = io_uring_cq_ready(ring_.get()); left > 0;) {
      std::array<io_uring_cqe*, 256> peeked;
      std::array<Completion, 256> batch;
      const unsigned count =
          io_uring_peek_batch_cqe(ring_.get(), peeked.data(), std::min<unsigned>(left, peeked.size()));
      if (count == 0) return;
      for (unsigned i = 0; i < count; ++i) batch[i] = {peeked[i]->user_data, peeked[i]->res, peeked[i]->flags};
      io_uring_cq_advance(ring_.get(), count);
      for (unsigned i = 0; i < count; ++i) dispatch(batch[i]);
      left -= count;
    }
  }

  void dispatch(const Completion& c) {
    const auto op = static_cast<Op>(c.data & kOpMask);
    void* const pointer = reinterpret_cast<void*>(static_cast<std::uintptr_t>(c.data & ~std::uint64_t{kOpMask}));
    if (op == kIgnored) return;
    if (op == kReceive) received(*static_cast<Socket*>(pointer), c);
    if (op == kSend) sent(*static_cast<Socket*>(pointer), c.result);
    if (op == kWatch) fired(*static_cast<Watched*>(pointer), c.result);
    if (op == kAccept) accepted(*static_cast<Listener*>(pointer), c);
  }

  void received(Socket& socket, const Completion& c) {
    if ((c.flags & IORING_CQE_F_MORE) == 0) socket.armed = socket.cancelling = false;
    const bool has_buffer = (c.flags & IORING_CQE_F_BUFFER) != 0;
    const unsigned buffer = c.flags >> IORING_CQE_BUFFER_SHIFT;
    if (!socket.closing && !socket.ended) {
      if (c.result > 0 && has_buffer) {
        pace_.moved(1);
        handler_->on_bytes(socket, ring_.buffer(buffer, c.result));
      } else if (c.result != -ENOBUFS && c.result != -ECANCELED && c.result != -EINTR && c.result != -EAGAIN) {
        socket.ended = true;
        handler_->on_end(socket, -std::min(c.result, 0));
      }
    }
    if (has_buffer) ring_.give_back(buffer);
    settle(socket);
  }

  void sent(Socket& socket, int result) {
    if (result > 0) socket.sent += static_cast<std::uint32_t>(result);
    const bool again = result > 0 || result == -EAGAIN || result == -EINTR;
    if (again && socket.sent < socket.in_flight.size() && !socket.closing) {
      queue_send(socket);
      return;
    }
    socket.sending = false;
    socket.sent = 0;
    recycle_buffer(std::exchange(socket.in_flight, {}));
    if (!socket.closing) handler_->on_sent(socket);  // a broken socket also ends its receive: on_end tells
    settle(socket);
  }

  void bury(Socket& socket) {
    if (!std::exchange(socket.buried, true)) closed_.push_back(&socket);
  }
  void settle(Socket& socket) {
    if (socket.closing) {
      if (!socket.armed && !socket.sending) bury(socket);
    } else if (socket.reading && !socket.armed && !socket.ended) {
      arm(socket);
    }
  }

  void fired(Watched& watched, int result) {
    watched.armed = false;
    if (watched.dead) return;
    if (result != -ECANCELED)
      watched.on_events(result >= 0 ? static_cast<std::uint32_t>(result)
                                    : static_cast<std::uint32_t>(POLLERR | POLLIN));
    if (!watched.dead) arm(watched);
  }

  void accepted(Listener& listener, const Completion& c) {
    if ((c.flags & IORING_CQE_F_MORE) == 0) listener.armed = false;
    if (c.result >= 0) {
      if (listener.fd < 0) {
        ::close(c.result);
      } else {
        handler_->on_accept(listener.number, c.result);
      }
    }
    if (listener.armed || listener.fd < 0) return;
    const bool exhausted = c.result == -EMFILE || c.result == -ENFILE || c.result == -ENOBUFS || c.result == -ENOMEM;
    if (exhausted) {
      listener.again = now_ + kAcceptPause;
    } else {
      arm(listener);
    }
  }
  void retry_listeners() {
    for (auto& listener : listeners_)
      if (!listener->armed && listener->fd >= 0 && now_ >= listener->again) arm(*listener);
  }

  UringRing ring_;
  bool enabled_ = false;
  unsigned sends_queued_ = 0;
  std::unordered_map<int, std::unique_ptr<Watched>> watched_;
  std::unordered_map<Watched*, std::unique_ptr<Watched>> buried_;  // until their last completion
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Socket*> closed_;
};

}  // namespace

std::unique_ptr<Engine> Engine::uring() {
  prove_multishot();
  return std::make_unique<UringEngine>();
}

}  // namespace barid::edge
