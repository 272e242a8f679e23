// The io_uring and the buffers that it receives into. Private to uring_engine.cpp; belongs to the engine's thread.
#pragma once

#include <liburing.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace barid::edge {

inline constexpr unsigned kUringBuffers = 512;  // provided for receives; a power of two
inline constexpr unsigned kUringBufferBytes = 8 * 1024;
inline constexpr int kUringBufferGroup = 0;
inline constexpr unsigned kUringFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP;

[[noreturn]] inline void uring_refused(int error, const char* what) {
  throw std::system_error(-error, std::generic_category(), what);
}

// The ring and the buffers that it receives into.
class UringRing {
 public:
  UringRing(unsigned entries, unsigned flags) {
    io_uring_params params{};
    params.flags = flags;
    if (const int error = io_uring_queue_init_params(entries, &ring_, &params); error < 0)
      uring_refused(error, "io_uring_queue_init");
    try {
      provide_buffers();
    } catch (...) {
      io_uring_queue_exit(&ring_);
      throw;
    }
  }
  ~UringRing() {
    io_uring_queue_exit(&ring_);
    munmap(memory_, kMemoryBytes);
  }
  UringRing(const UringRing&) = delete;
  UringRing& operator=(const UringRing&) = delete;

  io_uring* get() { return &ring_; }
  std::string_view buffer(unsigned id, int bytes) const {
    return {data_ + static_cast<std::size_t>(id) * kUringBufferBytes, static_cast<std::size_t>(bytes)};
  }
  void give_back(unsigned id) {
    io_uring_buf_ring_add(buffers_, data_ + static_cast<std::size_t>(id) * kUringBufferBytes, kUringBufferBytes,
                          static_cast<unsigned short>(id), io_uring_buf_ring_mask(kUringBuffers), 0);
    io_uring_buf_ring_advance(buffers_, 1);
  }

 private:
  static constexpr std::size_t kRingBytes = kUringBuffers * sizeof(io_uring_buf);
  static constexpr std::size_t kMemoryBytes = kRingBytes + static_cast<std::size_t>(kUringBuffers) * kUringBufferBytes;

  void provide_buffers() {
    memory_ = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of receive buffers");
    buffers_ = static_cast<io_uring_buf_ring*>(memory_);
    data_ = static_cast<char*>(memory_) + kRingBytes;
    io_uring_buf_reg reg{};
    reg.ring_addr = reinterpret_cast<std::uintptr_t>(memory_);
    reg.ring_entries = kUringBuffers;
    reg.bgid = kUringBufferGroup;
    if (const int error = io_uring_register_buf_ring(&ring_, &reg, 0); error < 0) {
      munmap(memory_, kMemoryBytes);
      uring_refused(error, "io_uring_register_buf_ring");
    }
    io_uring_buf_ring_init(buffers_);
    for (unsigned id = 0; id < kUringBuffers; ++id) give_back(id);
  }

  io_uring ring_{};
  void* memory_ = nullptr;
  io_uring_buf_ring* buffers_ = nullptr;
  char* data_ = nullptr;
};

inline void uring_arm_receive(io_uring_sqe* sqe, int fd) {
  io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = kUringBufferGroup;
}

// A kernel may know the ring and not multishot receive: ask it for one byte.
inline void prove_multishot() {
  UringRing ring(8, kUringFlags);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  io_uring_sqe* sqe = io_uring_get_sqe(ring.get());
  uring_arm_receive(sqe, ends[0]);
  [[maybe_unused]] auto put = ::write(ends[1], "x", 1);
  io_uring_cqe* cqe = nullptr;
  __kernel_timespec patience{1, 0};
  int result = io_uring_submit_and_wait_timeout(ring.get(), &cqe, 1, &patience, nullptr);
  if (result >= 0 && cqe != nullptr) result = cqe->res;
  const bool works = result == 1 && cqe != nullptr && (cqe->flags & IORING_CQE_F_MORE) != 0;
  ::close(ends[0]);
  ::close(ends[1]);
  if (!works) uring_refused(result < 0 ? result : -EOPNOTSUPP, "io_uring multishot receive");
}

}  // namespace barid::edge
