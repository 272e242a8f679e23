// The engine on io_uring: multishot accept and receive into provided buffers, every send of a turn in one enter.
// Watched descriptors of libraries are polled one-shot and armed again after their callback, which makes them
// level-triggered as those libraries expect.
#include <liburing.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
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

namespace barid::edge {
namespace {

// user_data: a 16-byte aligned pointer, and in its low bits which of its operations completed.
enum Op : std::uintptr_t { kIgnored = 0, kReceive = 1, kSend = 2, kWatch = 3, kAccept = 4, kOpMask = 15 };

constexpr unsigned kQueueEntries = 4096;
constexpr unsigned kBuffers = 512;  // provided for receives; a power of two
constexpr unsigned kBufferBytes = 8 * 1024;
constexpr int kBufferGroup = 0;
constexpr unsigned kLoadEvents = 8;  // a turn with fewer is not load: never wait for company
constexpr unsigned kWaitEventsMax = 64;
constexpr std::chrono::microseconds kLoadWait{500};
constexpr unsigned kFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP;

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

[[noreturn]] void refused(int error, const char* what) {
  throw std::system_error(-error, std::generic_category(), what);
}

// The ring and the buffers that it receives into.
class Ring {
 public:
  Ring(unsigned entries, unsigned flags) {
    io_uring_params params{};
    params.flags = flags;
    if (const int error = io_uring_queue_init_params(entries, &ring_, &params); error < 0)
      refused(error, "io_uring_queue_init");
    try {
      provide_buffers();
    } catch (...) {
      io_uring_queue_exit(&ring_);
      throw;
    }
  }
  ~Ring() {
    io_uring_queue_exit(&ring_);
    munmap(memory_, kMemoryBytes);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  io_uring* get() { return &ring_; }
  std::string_view buffer(unsigned id, int bytes) const {
    return {data_ + static_cast<std::size_t>(id) * kBufferBytes, static_cast<std::size_t>(bytes)};
  }
  void give_back(unsigned id) {
    io_uring_buf_ring_add(buffers_, data_ + static_cast<std::size_t>(id) * kBufferBytes, kBufferBytes,
                          static_cast<unsigned short>(id), io_uring_buf_ring_mask(kBuffers), 0);
    io_uring_buf_ring_advance(buffers_, 1);
  }

 private:
  static constexpr std::size_t kRingBytes = kBuffers * sizeof(io_uring_buf);
  static constexpr std::size_t kMemoryBytes = kRingBytes + static_cast<std::size_t>(kBuffers) * kBufferBytes;

  void provide_buffers() {
    memory_ = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of receive buffers");
    buffers_ = static_cast<io_uring_buf_ring*>(memory_);
    data_ = static_cast<char*>(memory_) + kRingBytes;
    io_uring_buf_reg reg{};
    reg.ring_addr = reinterpret_cast<std::uintptr_t>(memory_);
    reg.ring_entries = kBuffers;
    reg.bgid = kBufferGroup;
    if (const int error = io_uring_register_buf_ring(&ring_, &reg, 0); error < 0) {
      munmap(memory_, kMemoryBytes);
      refused(error, "io_uring_register_buf_ring");
    }
    io_uring_buf_ring_init(buffers_);
    for (unsigned id = 0; id < kBuffers; ++id) give_back(id);
  }

  io_uring ring_{};
  void* memory_ = nullptr;
  io_uring_buf_ring* buffers_ = nullptr;
  char* data_ = nullptr;
};

void arm_receive(io_uring_sqe* sqe, int fd) {
  io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
}

// A kernel may know the ring and not multishot receive: ask it for one byte.
void prove_multishot() {
  Ring ring(8, kFlags);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  io_uring_sqe* sqe = io_uring_get_sqe(ring.get());
  arm_receive(sqe, ends[0]);
  [[maybe_unused]] auto put = ::write(ends[1], "x", 1);
  io_uring_cqe* cqe = nullptr;
  __kernel_timespec patience{1, 0};
  int result = io_uring_submit_and_wait_timeout(ring.get(), &cqe, 1, &patience, nullptr);
  if (result >= 0 && cqe != nullptr) result = cqe->res;
  const bool works = result == 1 && cqe != nullptr && (cqe->flags & IORING_CQE_F_MORE) != 0;
  ::close(ends[0]);
  ::close(ends[1]);
  if (!works) refused(result < 0 ? result : -EOPNOTSUPP, "io_uring multishot receive");
}

class UringEngine final : public Engine {
 public:
  UringEngine() : ring_(kQueueEntries, kFlags | IORING_SETUP_R_DISABLED) {
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
      now_ = steady_now();
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
        refused(error, "io_uring_submit");
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
    io_uring_prep_multishot_accept(sqe, listener.fd, nullptr, nullptr, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, tag(&listener, kAccept));
    listener.armed = true;
  }
  void arm(Socket& socket) {
    io_uring_sqe* sqe = free_entry();
    arm_receive(sqe, socket.fd);
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

  // Send completions satisfy a wait for one event, so the wait counts them too; under load it also waits, briefly,
  // for about half the company of the last turn. Fuller turns make fuller batches.
  void wait() {
    __kernel_timespec patience{};
    unsigned count = 1;
    std::chrono::nanoseconds left = until_next_timer();
    if (!closed_.empty()) left = std::chrono::nanoseconds(0);
    if (sends_queued_ > 0 || last_events_ >= kLoadEvents) {
      count = sends_queued_ + (last_events_ >= kLoadEvents ? std::min(last_events_ / 2, kWaitEventsMax) : 1U);
      left = std::min<std::chrono::nanoseconds>(left, kLoadWait);
    }
    patience.tv_sec = left.count() / 1'000'000'000;
    patience.tv_nsec = left.count() % 1'000'000'000;
    io_uring_cqe* cqe = nullptr;
    const int result = io_uring_submit_and_wait_timeout(ring_.get(), &cqe, count, &patience, nullptr);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EBUSY && result != -EAGAIN)
      refused(result, "io_uring_enter");
    sends_queued_ = 0;
  }

  void reap() {
    last_events_ = 0;
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
    if (op != kSend) ++last_events_;
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

  Ring ring_;
  bool enabled_ = false;
  unsigned sends_queued_ = 0, last_events_ = 0;
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
