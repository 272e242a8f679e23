#include "base/partition.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_set>

namespace barid {
namespace {

RC_GTEST_PROP(Partition, DoublingMovesAUserNowhereOrByTheOldCount, (std::uint64_t user)) {
  for (std::uint16_t count = 1; count <= 16'384; count = static_cast<std::uint16_t>(count * 2)) {
    const auto before = partition_of(UserId(user), count).value;
    const auto after = partition_of(UserId(user), static_cast<std::uint16_t>(count * 2)).value;
    RC_ASSERT(before < count);
    RC_ASSERT(after == before || after == before + count);
  }
}

TEST(Partition, ConsecutiveUsersSpreadEvenly) {
  std::array<int, 16> users{};
  for (std::uint64_t user = 0; user < 16'000; ++user) ++users[partition_of(UserId(user), 16).value];
  for (const int count : users) {
    EXPECT_GT(count, 800);  // of 1,000 expected; six standard deviations
    EXPECT_LT(count, 1'200);
  }
}

TEST(Ids, ConsecutiveOnesDoNotShareLowBitsOfTheirHash) {
  std::unordered_set<std::size_t> buckets;
  for (std::uint64_t id = 0; id < 1'024; ++id) buckets.insert(std::hash<UserId>{}(UserId(id << 20)) & 1'023);
  EXPECT_GT(buckets.size(), 512U);  // random: 647
}

}  // namespace
}  // namespace barid
