#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

#include "base/fifo.h"

namespace barid {
namespace {

TEST(Fifo, BehavesAsADeque) {
  std::mt19937 random(7);
  Fifo<int> fifo;
  std::deque<int> deque;
  for (int i = 0; i < 100'000; ++i) {
    const auto what = random() % (i % 5'000 < 2'500 ? 3 : 5);
    if (what < 2) {
      fifo.push_back(i);
      deque.push_back(i);
    } else if (what < 4 && !deque.empty()) {
      fifo.pop_front();
      deque.pop_front();
    } else if (random() % 50 == 0) {
      const auto odd = [](int n) { return n % 2 != 0; };
      fifo.erase_if(odd);
      std::erase_if(deque, odd);
    }
    ASSERT_EQ(fifo.size(), deque.size());
    if (!deque.empty()) {
      ASSERT_EQ(fifo.front(), deque.front());
      ASSERT_EQ(fifo.back(), deque.back());
      ASSERT_TRUE(i % 100 != 0 || std::equal(fifo.begin(), fifo.end(), deque.begin(), deque.end()));
    }
  }
}

TEST(Fifo, LetsGoOfWhatIsPoppedAtOnce) {
  Fifo<std::shared_ptr<int>> fifo;
  const auto held = std::make_shared<int>(1);
  fifo.push_back(held);
  fifo.push_back(nullptr);
  fifo.pop_front();
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace barid
