// The event loop of one reactor: stream sockets, listeners, watched descriptors, timers, posted work. Two
// implementations behind one interface: io_uring (multishot accept and receive, all sends of a turn in one enter) and
// epoll. Owner and thread: the reactor; only post() and stop() may be called from elsewhere.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/pace.h"

namespace barid::edge {

// The engine's share of a connection. The connection derives from it, so an event needs no look-up.
struct alignas(16) Socket {
  int fd = -1;
  bool reading = false;  // wanted by the owner
  bool armed = false;    // a receive is with the kernel (io_uring), EPOLLIN is set (epoll)
  bool cancelling = false;
  bool sending = false;  // `in_flight` is with the kernel, or waits for room
  bool ended = false;    // on_end was called
  bool closing = false;  // close() was called
  bool buried = false;   // on_closed is due at the end of this turn
  std::uint32_t sent = 0;
  std::string in_flight;
};

// What happens to sockets. All calls come on the engine's thread, inside run().
class SocketHandler {
 public:
  virtual ~SocketHandler() = default;
  virtual void on_accept(int listener, int fd) = 0;  // the handler owns fd from here on
  // May still come after pause(), for what the kernel had handed over already.
  virtual void on_bytes(Socket& socket, std::string_view bytes) = 0;
  virtual void on_end(Socket& socket, int error) = 0;  // once: 0 = the peer's FIN, else errno
  virtual void on_sent(Socket& socket) = 0;  // all that send() took is with the kernel (or lost with the socket)
  // After close(): the last call, the handler may free the socket. Its descriptor is not in use again before that.
  virtual void on_closed(Socket& socket) = 0;
};

class Engine : public FdWatcher {
 public:
  static constexpr std::size_t kPostedMax = 65'536;
  static constexpr std::chrono::microseconds kTurn{250};       // from turn to turn under load
  static constexpr std::size_t kReceiveBytes = 64 * 1024;      // taken from a socket at once, at most
  static constexpr milliseconds kAcceptPause{100};             // when out of descriptors
  static constexpr std::size_t kSpareBuffersMax = 256;         // send buffers kept for reuse …
  static constexpr std::size_t kSpareBufferBytesMax = 16'384;  // … if not larger than this

  // Throws std::system_error when the system refuses.
  static std::unique_ptr<Engine> epoll();
  static std::unique_ptr<Engine> uring();
  // "auto", "io_uring" or "epoll". Auto takes io_uring where it works and says in the log which it is.
  static std::unique_ptr<Engine> make(const std::string& kind);

  ~Engine() override;
  virtual const char* name() const = 0;
  void set_handler(SocketHandler& handler) { handler_ = &handler; }

  virtual void listen(int fd, int listener) = 0;  // fd listens already; stays the caller's
  virtual void stop_listening() = 0;
  virtual int accept_flags() const = 0;  // of accept4(2), as the engine wants its sockets
  virtual void add(Socket& socket) = 0;  // socket.fd is non-blocking; reading starts
  virtual void pause(Socket& socket) = 0;
  virtual void resume(Socket& socket) = 0;
  // One at a time for a socket (assert !socket.sending). True: it is with the kernel already, on_sent won't come.
  virtual bool send(Socket& socket, std::string bytes) = 0;
  virtual void shutdown_write(Socket& socket) = 0;
  virtual void close(Socket& socket) = 0;

  std::string take_buffer();  // an empty string, probably with capacity
  void recycle_buffer(std::string buffer);

  bool post(std::function<void()> work) override;
  void every(milliseconds interval, std::function<void()> work);
  void turn_by(TimePoint latest) { turn_by_ = std::min(turn_by_, latest); }  // a turn begins by then, events or not
  void at_turn_end(std::function<void()> work);
  virtual void run() = 0;  // until stop()
  void stop();
  TimePoint now() const { return now_; }              // taken once a turn
  bool under_load() const { return pace_.loaded(); }  // then another turn follows soon, whether anything happens or not

 protected:
  Engine();
  bool stopping();
  std::chrono::nanoseconds until_next_timer() const;
  void begin_turn();   // takes the time
  void finish_turn();  // timers, then the turn-end hooks
  void run_posted();   // when the wake-up descriptor is readable
  int wake_fd() const { return wake_; }

  SocketHandler* handler_ = nullptr;
  TimePoint now_ = steady_now(), turn_by_ = TimePoint::max();
  Pace pace_{kTurn};

 private:
  struct Timer {
    milliseconds interval;
    TimePoint due;
    std::function<void()> work;
  };
  int wake_ = -1;
  std::vector<Timer> timers_;
  std::vector<std::function<void()>> turn_end_;
  std::vector<std::string> spare_;

  std::mutex mutex_;  // guards posted_ and stop_
  std::vector<std::function<void()>> posted_;
  bool stop_ = false;
};

}  // namespace barid::edge
