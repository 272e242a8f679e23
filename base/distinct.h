// How many different ids were seen, without keeping them: a HyperLogLog (Flajolet et al. 2007) of 4096 six-bit ranks,
// salted, so that two of them can't be compared. Standard error 1.6 %; nearly exact below a few thousand. Pure.
#pragma once

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace barid {

class Distinct {
 public:
  static constexpr unsigned kBits = 12;
  static constexpr std::size_t kRanks = std::size_t{1} << kBits;

  explicit Distinct(std::uint64_t salt) : salt_(salt) {}

  void add(std::uint64_t id) {
    const std::uint64_t hash = XXH3_64bits_withSeed(&id, sizeof id, salt_);
    const auto rank = static_cast<std::uint8_t>(std::countl_zero(hash << kBits | (kRanks - 1)) + 1);
    std::uint8_t& kept = ranks_[hash >> (64 - kBits)];
    kept = std::max(kept, rank);
  }

  double count() const {
    constexpr auto m = static_cast<double>(kRanks);
    double sum = 0;
    int empty = 0;
    for (const std::uint8_t rank : ranks_) {
      sum += std::ldexp(1.0, -int{rank});
      empty += rank == 0 ? 1 : 0;
    }
    const double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    return std::round(estimate <= 2.5 * m && empty != 0 ? m * std::log(m / empty) : estimate);
  }

 private:
  std::uint64_t salt_;
  std::array<std::uint8_t, kRanks> ranks_{};
};

}  // namespace barid
