// Randomness from a seed: the same numbers for the same seed, with every compiler and on every machine.
#pragma once

#include <cairn/error.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

namespace cairn::inline v1::testkit {

/// One thread only. Copies go on independently, with the same numbers.
class random {
public:
  explicit random(std::uint64_t seed) : source_(seed) {}

  /// From 0 to `count` - 1. Small counts are as good as even. Throws error(errc::invalid_argument) where `count` is 0.
  std::uint64_t below(std::uint64_t count) {
    if (count == 0) throw error(errc::invalid_argument, "there is no number below 0, and nothing to pick where there is nothing");
    return source_() % count;
  }
  /// From `least` to `most`, both included, as even as below(). Any two numbers of which `most` is not the smaller one.
  std::int64_t between(std::int64_t least, std::int64_t most) {
    const auto numbers = static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least) + 1;
    const auto chosen = numbers == 0 ? source_() : below(numbers);  // 0: all that there are
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(least) + chosen);
  }
  /// True in so many cases of one: 0 never, 1 always.
  bool chance(double share) { return unit() < share; }
  /// One of several values of one type. Throws as below() where there is none.
  template <class Container>
  const auto& pick(const Container& from) {
    return from[static_cast<std::size_t>(below(from.size()))];
  }
  /// Between two durations, all orders of magnitude alike: as latencies are, of which few are very long. `least` is above 0.
  std::chrono::microseconds duration(std::chrono::microseconds least, std::chrono::microseconds most) {
    const double magnitudes = std::log2(static_cast<double>(most.count()) / static_cast<double>(least.count()));
    const auto doublings = static_cast<int>(below(static_cast<std::uint64_t>(magnitudes) + 1));
    const auto bottom = least.count() << doublings;
    return std::min(most, std::chrono::microseconds(bottom + between(0, bottom)));
  }

private:
  // The standard says which numbers this engine gives; of its distributions it does not.
  double unit() { return static_cast<double>(source_() >> 11) * 0x1p-53; }

  std::mt19937_64 source_;
};

}  // namespace cairn::testkit
