// Latencies in nanoseconds, log-linear as in HdrHistogram (Tene): 64 steps a power of two, so a value is known to 1.6
// %. One thread records; any thread may read meanwhile and sees each counter whole.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace barid::bench {

// Written by one thread, read by any: an increment is a plain load and store.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(get() + n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Histogram {
 public:
  static constexpr unsigned kStepBits = 6;
  static constexpr std::uint64_t kSteps = 1U << kStepBits;
  static constexpr std::uint64_t kMax = (std::uint64_t{1} << 40) - 1;  // 18 minutes; longer counts as that
  static constexpr std::size_t kBuckets = (40 - kStepBits + 1) * kSteps;
  using Counts = std::array<std::uint64_t, kBuckets>;

  void record(std::int64_t ns) { buckets_[bucket_of(ns)].add(); }

  void add_to(Counts& counts) const {
    for (std::size_t i = 0; i < kBuckets; ++i) counts[i] += buckets_[i].get();
  }

  static std::size_t bucket_of(std::int64_t ns) {
    std::uint64_t v = ns < 0 ? 0 : static_cast<std::uint64_t>(ns);
    if (v > kMax) v = kMax;
    if (v < kSteps) return static_cast<std::size_t>(v);
    const unsigned shift = static_cast<unsigned>(std::bit_width(v)) - 1 - kStepBits;
    return static_cast<std::size_t>((shift + 1) * kSteps + ((v >> shift) - kSteps));
  }
  // The upper end of a bucket: percentiles are never flattered.
  static std::uint64_t upper_of(std::size_t bucket) {
    if (bucket < kSteps) return bucket;
    const std::size_t shift = bucket / kSteps - 1;
    return ((kSteps + bucket % kSteps + 1) << shift) - 1;
  }

 private:
  std::array<Counter, kBuckets> buckets_{};
};

inline std::uint64_t count_of(const Histogram::Counts& counts) {
  std::uint64_t sum = 0;
  for (const std::uint64_t n : counts) sum += n;
  return sum;
}

// share: 0.99 for p99. 0 when nothing was recorded.
inline double percentile_ms(const Histogram::Counts& counts, double share) {
  const std::uint64_t total = count_of(counts);
  if (total == 0) return 0;
  const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total) + 0.5);
  std::uint64_t seen = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    seen += counts[i];
    last = i;
    if (seen >= wanted) break;
  }
  return static_cast<double>(Histogram::upper_of(last)) / 1e6;
}

}  // namespace barid::bench
