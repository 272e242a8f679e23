// The engine on epoll: level-triggered, one receive an event, sends tried at once.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/assert.h"
#include "edge/engine.h"

namespace barid::edge {
namespace {

// epoll's 64 bits of user data: a pointer, and in its low bits what it points to.
enum Kind : std::uintptr_t { kSocket = 0, kWatched = 1, kListener = 2, kKindMask = 3 };

struct alignas(16) Watched {
  FdWatcher::OnEvents on_events;
  int fd = -1;
  bool dead = false;
};
struct alignas(16) Listener {
  int fd = -1, number = 0;
  bool paused = false;
  TimePoint until{};
};

template <class T>
std::uint64_t pack(T* pointer, Kind kind) {
  return reinterpret_cast<std::uintptr_t>(pointer) | kind;
}

class EpollEngine final : public Engine {
 public:
  EpollEngine() : epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(std::make_unique<char[]>(kReceiveBytes)) {
    if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    watch(wake_fd(), EPOLLIN, [this](std::uint32_t) { run_posted(); });
    every(kAcceptPause, [this] { retry_listeners(); });
  }
  ~EpollEngine() override { ::close(epoll_); }
  const char* name() const override { return "epoll"; }

  void watch(int fd, std::uint32_t events, OnEvents on_events) override {
    BARID_ASSERT(!watched_.contains(fd));
    auto entry = std::make_unique<Watched>();
    entry->on_events = std::move(on_events);
    entry->fd = fd;
    control(EPOLL_CTL_ADD, fd, events, pack(entry.get(), kWatched));
    watched_.emplace(fd, std::move(entry));
  }
  void change(int fd, std::uint32_t events) override {
    const auto found = watched_.find(fd);
    BARID_ASSERT(found != watched_.end());
    control(EPOLL_CTL_MOD, fd, events, pack(found->second.get(), kWatched));
  }
  void unwatch(int fd) override {
    const auto found = watched_.find(fd);
    if (found == watched_.end()) return;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);  // already closed by its library: fine
    found->second->dead = true;
    buried_.push_back(std::move(found->second));
    watched_.erase(found);
  }

  void listen(int fd, int listener) override {
    auto entry = std::make_unique<Listener>();
    entry->fd = fd;
    entry->number = listener;
    control(EPOLL_CTL_ADD, fd, EPOLLIN, pack(entry.get(), kListener));
    listeners_.push_back(std::move(entry));
  }
  int accept_flags() const override { return SOCK_NONBLOCK | SOCK_CLOEXEC; }
  void stop_listening() override {
    for (auto& listener : listeners_) {
      epoll_ctl(epoll_, EPOLL_CTL_DEL, listener->fd, nullptr);
      listener->fd = -1;
    }
  }

  void add(Socket& socket) override {
    socket.reading = socket.armed = true;
    control(EPOLL_CTL_ADD, socket.fd, EPOLLIN, pack(&socket, kSocket));
  }
  void pause(Socket& socket) override {
    socket.reading = false;
    set_interest(socket);
  }
  void resume(Socket& socket) override {
    socket.reading = true;
    set_interest(socket);
  }

  bool send(Socket& socket, std::string bytes) override {
    BARID_ASSERT(!socket.sending && !socket.closing);
    socket.in_flight = std::move(bytes);
    socket.sent = 0;
    if (push(socket)) return true;
    socket.sending = true;
    set_interest(socket);
    return false;
  }
  void shutdown_write(Socket& socket) override { ::shutdown(socket.fd, SHUT_WR); }
  void close(Socket& socket) override {
    if (socket.closing) return;
    socket.closing = true;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, socket.fd, nullptr);
    closed_.push_back(&socket);  // its number may be given to a new socket only once the handler has let go of this one
  }

  void run() override {
    std::array<epoll_event, 512> events;
    while (!stopping()) {
      const auto hold = pace_.hold(steady_now());
      if (hold.count() > 0) std::this_thread::sleep_for(hold);
      const int timeout = closed_.empty() && hold.count() == 0
                              ? static_cast<int>(std::chrono::ceil<milliseconds>(until_next_timer()).count())
                              : 0;
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
      if (count < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "epoll_wait");
      begin_turn();
      for (int i = 0; i < count; ++i) dispatch(events[static_cast<std::size_t>(i)]);
      finish_turn();
      std::vector<Socket*> closed;
      closed.swap(closed_);  // only now can no event of this turn point at them
      for (Socket* socket : closed) {
        ::close(socket->fd);
        handler_->on_closed(*socket);
      }
      buried_.clear();
    }
  }

 private:
  void control(int operation, int fd, std::uint32_t events, std::uint64_t data) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0)
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
  void set_interest(Socket& socket) {
    if (socket.closing) return;
    socket.armed = socket.reading && !socket.ended;
    control(EPOLL_CTL_MOD, socket.fd, (socket.armed ? EPOLLIN : 0U) | (socket.sending ? EPOLLOUT : 0U),
            pack(&socket, kSocket));
  }

  // True: nothing is left to be sent. A broken socket loses it; the error comes as an event of its own.
  bool push(Socket& socket) {
    while (socket.sent < socket.in_flight.size()) {
      const ssize_t n = ::send(socket.fd, socket.in_flight.data() + socket.sent, socket.in_flight.size() - socket.sent,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
      if (n < 0) break;
      socket.sent += static_cast<std::uint32_t>(n);
    }
    recycle_buffer(std::exchange(socket.in_flight, {}));
    socket.sent = 0;
    return true;
  }

  void dispatch(const epoll_event& event) {
    const auto kind = static_cast<Kind>(event.data.u64 & kKindMask);
    void* const pointer =
        reinterpret_cast<void*>(static_cast<std::uintptr_t>(event.data.u64 & ~std::uint64_t{kKindMask}));
    if (kind == kWatched) {
      auto& watched = *static_cast<Watched*>(pointer);
      if (!watched.dead) watched.on_events(event.events);
    } else if (kind == kListener) {
      accept_some(*static_cast<Listener*>(pointer));
    } else {
      serve(*static_cast<Socket*>(pointer), event.events);
    }
  }

  void serve(Socket& socket, std::uint32_t events) {
    if (socket.closing) return;
    if (socket.sending && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && push(socket)) {
      socket.sending = false;
      set_interest(socket);
      handler_->on_sent(socket);
    }
    if (socket.closing || socket.ended) return;
    const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if (!(socket.reading && (events & EPOLLIN) != 0) && !broken) return;
    const ssize_t n = ::recv(socket.fd, buffer_.get(), kReceiveBytes, MSG_DONTWAIT);
    if (n > 0) {
      pace_.moved(1);
      handler_->on_bytes(socket, {buffer_.get(), static_cast<std::size_t>(n)});
    } else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
      const int error = n == 0 ? 0 : errno;
      socket.ended = true;
      set_interest(socket);
      handler_->on_end(socket, error);
    }
  }

  void accept_some(Listener& listener) {
    for (int i = 0; i < 64 && listener.fd >= 0; ++i) {
      const int fd = ::accept4(listener.fd, nullptr, nullptr, accept_flags());
      if (fd >= 0) {
        handler_->on_accept(listener.number, fd);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        listener.paused = true;
        listener.until = now_ + kAcceptPause;
        control(EPOLL_CTL_MOD, listener.fd, 0, pack(&listener, kListener));
        return;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return;
      }
    }
  }
  void retry_listeners() {
    for (auto& listener : listeners_) {
      if (!listener->paused || listener->fd < 0 || now_ < listener->until) continue;
      listener->paused = false;
      control(EPOLL_CTL_MOD, listener->fd, EPOLLIN, pack(listener.get(), kListener));
    }
  }

  int epoll_;
  std::unique_ptr<char[]> buffer_;
  std::unordered_map<int, std::unique_ptr<Watched>> watched_;
  std::vector<std::unique_ptr<Watched>> buried_;  // unwatched in this turn
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Socket*> closed_;
};

}  // namespace

std::unique_ptr<Engine> Engine::epoll() { return std::make_unique<EpollEngine>(); }

}  // namespace barid::edge
