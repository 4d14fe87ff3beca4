// How long things took: a histogram of fixed size whose every answer is within one percent.
//
// The buckets are linear within each power of two (as HdrHistogram's are): 128 to each, so that a bucket is at most 1/128 wide.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace simulation {

/// Counts values from 0 up; larger ones than `most` are counted as that.
/// Thread safety: record() from one thread at a time; at the same time, any thread may copy from it with add().
class histogram {
public:
  static constexpr std::uint64_t most = (std::uint64_t{1} << 44) - 1;  // in nanoseconds: nearly five hours

  histogram() : counts_(bucket_of(most) + 1) {}

  void record(std::uint64_t value) {
    value = std::min(value, most);
    bump(counts_[bucket_of(value)], 1);
    if (value > max_) std::atomic_ref(max_).store(value, std::memory_order_relaxed);
  }

  /// Adds what `other` has counted so far.
  void add(const histogram& other) {
    for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) counts_[bucket] += read(other.counts_[bucket]);
    max_ = std::max(max_, read(other.max_));
  }

  /// What was counted since `earlier`, an earlier state of this histogram. Its max() is that of the bucket.
  histogram since(const histogram& earlier) const {
    histogram difference;
    for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
      difference.counts_[bucket] = counts_[bucket] - earlier.counts_[bucket];
      if (difference.counts_[bucket] > 0) difference.max_ = std::min(highest_in(bucket), max_);
    }
    return difference;
  }

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const auto in_bucket : counts_) sum += in_bucket;
    return sum;
  }

  /// The value that `percent` of all values do not exceed, rounded up within its bucket; 0 where nothing was counted.
  std::uint64_t percentile(double percent) const {
    const auto all = count();
    const auto wanted =
        std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(percent / 100 * static_cast<double>(all))));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
      seen += counts_[bucket];
      if (all > 0 && seen >= wanted) return std::min(highest_in(bucket), max_);
    }
    return max_;
  }

  std::uint64_t max() const { return max_; }

private:
  static constexpr int bits = 7;  // 2^7 buckets to a power of two

  static std::size_t bucket_of(std::uint64_t value) {
    const auto power = std::max(0, static_cast<int>(std::bit_width(value)) - 1 - bits);
    return (static_cast<std::size_t>(power) << bits) + static_cast<std::size_t>(value >> power);
  }
  static std::uint64_t highest_in(std::size_t bucket) {
    if (bucket < (std::size_t{2} << bits)) return bucket;
    const auto power = (bucket >> bits) - 1;
    const auto place = (bucket & ((std::size_t{1} << bits) - 1)) + (std::size_t{1} << bits);
    return ((static_cast<std::uint64_t>(place) + 1) << power) - 1;
  }

  // There is one writer, so a load and a store do where two writers would need a locked addition.
  static void bump(std::uint64_t& number, std::uint64_t by) {
    std::atomic_ref(number).store(number + by, std::memory_order_relaxed);
  }
  static std::uint64_t read(const std::uint64_t& number) {
    return std::atomic_ref(const_cast<std::uint64_t&>(number)).load(std::memory_order_relaxed);
  }

  std::vector<std::uint64_t> counts_;
  std::uint64_t max_ = 0;
};

}  // namespace simulation
