#include "base/loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>

namespace barid {
namespace {

struct SocketPair {
  SocketPair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0); }
  ~SocketPair() {
    for (int fd : fds) close_end(fd);
  }
  static void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  void poke() const { EXPECT_EQ(::write(fds[1], "x", 1), 1); }
  std::array<int, 2> fds{-1, -1};
};

TEST(Loop, RunsWhatOtherThreadsPostInTheOrderOfEachThread) {
  Loop loop;
  constexpr int kThreads = 4, kEach = 2'000;
  std::array<std::vector<int>, kThreads> seen;
  std::vector<std::thread> threads;
  std::atomic<int> left = kThreads * kEach;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto work = [&, t, i] {
          seen[static_cast<std::size_t>(t)].push_back(i);
          if (--left == 0) loop.stop();
        };
        while (!loop.post(work)) std::this_thread::yield();
      }
    });
  loop.run();
  for (auto& thread : threads) thread.join();
  for (const auto& list : seen) {
    ASSERT_EQ(list.size(), static_cast<std::size_t>(kEach));
    EXPECT_TRUE(std::is_sorted(list.begin(), list.end()));
  }
}

TEST(Loop, RefusesPostsBeyondTheBoundAndKeepsThoseItTook) {
  Loop loop;
  std::size_t ran = 0;
  for (std::size_t i = 0; i < Loop::kPostedMax; ++i) ASSERT_TRUE(loop.post([&] { ++ran; }));
  EXPECT_FALSE(loop.post([&] { ++ran; }));
  loop.every(milliseconds(1), [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(ran, Loop::kPostedMax);
  EXPECT_TRUE(loop.post([] {}));
}

TEST(Loop, WorkPostedByPostedWorkRuns) {
  Loop loop;
  loop.post([&] { loop.post([&] { loop.post([&] { loop.stop(); }); }); });
  loop.run();
}

TEST(Loop, TimersFireNeitherEarlyNorOnlyOnce) {
  Loop loop;
  const auto start = steady_now();
  std::vector<milliseconds> fired;
  loop.every(milliseconds(10), [&] {
    fired.push_back(std::chrono::duration_cast<milliseconds>(steady_now() - start));
    if (fired.size() == 3) loop.stop();
  });
  loop.run();
  ASSERT_EQ(fired.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_GE(fired[i], milliseconds(10) * (i + 1));
}

TEST(Loop, ATimerMayAddTimersAndTurnEndHooks) {
  Loop loop;
  int inner = 0, ends = 0;
  loop.every(milliseconds(1), [&, added = false]() mutable {
    if (added) return;
    added = true;
    for (int i = 0; i < 50; ++i) loop.every(milliseconds(1), [&] { ++inner; });
    loop.at_turn_end([&] {
      ++ends;
      if (inner >= 100) loop.stop();
    });
  });
  loop.run();
  EXPECT_GE(inner, 100);
  EXPECT_GE(ends, 2);
}

TEST(Loop, ATurnEndHookMayAddMore) {
  Loop loop;
  int late = 0;
  loop.at_turn_end([&, added = false]() mutable {
    if (added) return;
    added = true;
    const std::string kept(100, 'k');  // alive after the hooks' list has grown
    for (int i = 0; i < 50; ++i) loop.at_turn_end([&] { ++late; });
    EXPECT_EQ(kept, std::string(100, 'k'));
    loop.post([&] { loop.stop(); });
  });
  loop.post([] {});
  loop.run();
  EXPECT_GE(late, 50);
}

TEST(Loop, TurnEndHooksRunAfterTheEventsOfTheTurnInOrderAdded) {
  Loop loop;
  SocketPair pair;
  std::string order;
  loop.watch(pair.fds[0], EPOLLIN, [&](std::uint32_t) {
    char c;
    EXPECT_EQ(::read(pair.fds[0], &c, 1), 1);
    order += 'e';
  });
  loop.at_turn_end([&] { order += '1'; });
  loop.at_turn_end([&] {
    order += '2';
    if (order.find('e') != std::string::npos) loop.stop();
  });
  pair.poke();
  loop.run();
  EXPECT_TRUE(order.ends_with("e12")) << order;
}

TEST(Loop, ACallbackMayUnwatchItselfAndOthers) {
  Loop loop;
  SocketPair a, b;
  int calls = 0;
  const auto once = [&](std::uint32_t) {
    ++calls;
    loop.unwatch(a.fds[0]);
    loop.unwatch(b.fds[0]);
    loop.every(milliseconds(5), [&] { loop.stop(); });
  };
  loop.watch(a.fds[0], EPOLLIN, once);
  loop.watch(b.fds[0], EPOLLIN, once);
  a.poke();
  b.poke();  // both are ready in the same turn; whoever runs first silences the other
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(Loop, AnEventOfAClosedDescriptorNeverReachesItsSuccessor) {
  Loop loop;
  SocketPair first, second;
  int stale = 0;
  std::array<int, 2> fresh{-1, -1};
  const auto replace = [&](SocketPair& mine, SocketPair& other) {
    (void)mine;
    const int reused = other.fds[0];
    loop.unwatch(reused);
    SocketPair::close_end(other.fds[0]);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fresh.data()), 0);
    ASSERT_TRUE(fresh[0] == reused || fresh[1] == reused);
    loop.watch(reused, EPOLLIN, [&](std::uint32_t) { ++stale; });
    loop.every(milliseconds(5), [&] { loop.stop(); });
  };
  bool done = false;
  loop.watch(first.fds[0], EPOLLIN, [&](std::uint32_t) {
    if (!done) replace(first, second);
    done = true;
    loop.unwatch(first.fds[0]);
  });
  loop.watch(second.fds[0], EPOLLIN, [&](std::uint32_t) {
    if (!done) replace(second, first);
    done = true;
    if (second.fds[0] >= 0) loop.unwatch(second.fds[0]);
  });
  first.poke();
  second.poke();
  loop.run();
  EXPECT_EQ(stale, 0);
  for (int fd : fresh) ::close(fd);
}

TEST(Loop, ChangedInterestIsObeyed) {
  Loop loop;
  SocketPair pair;
  int writable = 0;
  loop.watch(pair.fds[0], EPOLLIN, [&](std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) {
      ++writable;
      loop.change(pair.fds[0], EPOLLIN);
      loop.every(milliseconds(5), [&] { loop.stop(); });
    }
  });
  loop.post([&] { loop.change(pair.fds[0], EPOLLIN | EPOLLOUT); });
  loop.run();
  EXPECT_EQ(writable, 1);
}

TEST(Loop, UnwatchingWhatItsLibraryHasClosedIsHarmless) {
  Loop loop;
  SocketPair pair;
  loop.watch(pair.fds[0], EPOLLIN, [](std::uint32_t) {});
  SocketPair::close_end(pair.fds[0]);
  loop.unwatch(3'000'000);
  loop.post([&] { loop.stop(); });
  loop.run();
}

TEST(Loop, AnExceptionPassesThroughAndTheRestIsDoneByTheNextRun) {
  Loop loop;
  int ran = 0;
  loop.post([&] { ++ran; });
  loop.post([] { throw std::runtime_error("the environment failed"); });
  loop.post([&] { ++ran; });
  loop.post([&] { loop.stop(); });
  EXPECT_THROW(loop.run(), std::runtime_error);
  EXPECT_EQ(ran, 1);
  loop.run();
  EXPECT_EQ(ran, 2);
}

TEST(Loop, StopFromAnotherThreadWakesASleepingLoop) {
  Loop loop;
  std::atomic<bool> inside = false;
  loop.post([&] { inside = true; });
  std::thread stopper([&] {
    while (!inside) std::this_thread::yield();
    loop.stop();
  });
  loop.run();
  stopper.join();
}

}  // namespace
}  // namespace barid
