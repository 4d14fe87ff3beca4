// What the benchmarks share: folders, the clock, medians with their spread.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cairn::benchmarks {

using steady = std::chrono::steady_clock;

inline double seconds_since(steady::time_point start) { return std::chrono::duration<double>(steady::now() - start).count(); }

inline std::filesystem::path fresh_folder() {
  static int made = 0;
  const auto folder =
      std::filesystem::temp_directory_path() / ("cairn-benchmark-" + std::to_string(::getpid()) + "-" + std::to_string(made++));
  std::filesystem::remove_all(folder);
  return folder;
}

// How long a cache line takes from one thread to another and back: shared machines put their cores now near, now far.
inline double core_round_trip_ns() {
  constexpr int rounds = 200'000;
  std::atomic<int> line{0};
  std::thread other([&line] {
    for (int round = 0; round < rounds; ++round) {
      while (line.load(std::memory_order_acquire) != 2 * round + 1) {}
      line.store(2 * round + 2, std::memory_order_release);
    }
  });
  const auto start = steady::now();
  for (int round = 0; round < rounds; ++round) {
    line.store(2 * round + 1, std::memory_order_release);
    while (line.load(std::memory_order_acquire) != 2 * round + 2) {}
  }
  const double took = seconds_since(start);
  other.join();
  return took * 1e9 / rounds;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

inline std::string with_spread(const std::vector<double>& values, const char* format) {
  char text[128], least[32], most[32], middle[32];
  std::snprintf(least, sizeof least, format, *std::min_element(values.begin(), values.end()));
  std::snprintf(middle, sizeof middle, format, median(values));
  std::snprintf(most, sizeof most, format, *std::max_element(values.begin(), values.end()));
  std::snprintf(text, sizeof text, "%s (%s to %s)", middle, least, most);
  return text;
}

}  // namespace cairn::benchmarks
