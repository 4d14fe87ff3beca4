// What the benchmarks share: folders, clocks, medians with their spread, and how Ctrl-C ends them.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace cairn::benchmarks {

using steady = std::chrono::steady_clock;

inline double seconds_since(steady::time_point start) { return std::chrono::duration<double>(steady::now() - start).count(); }

/// Somebody wants the program to end: thrown by whatever waits, so that every folder and process goes with its owner.
struct interrupted {};

bool is_interrupted();
/// Throws interrupted, once there was Ctrl-C or SIGTERM. A second one ends the program at once.
void stop_if_interrupted();
/// Sleeps, or throws interrupted.
void pause_for(double seconds);

/// The whole of a main(): runs it with Ctrl-C watched, and tells of what it throws. Exit code 130 where it was interrupted, 2
/// where it failed.
int run_benchmark(const char* name, int (*run_all)(int argc, char** argv), int argc, char** argv);

/// A folder where the operating system keeps such, on the same disk as all others of them; gone with its owner.
class temporary_folder {
public:
  temporary_folder() {
    static int made = 0;
    path_ =
        std::filesystem::temp_directory_path() / ("cairn-benchmark-" + std::to_string(::getpid()) + "-" + std::to_string(made++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directory(path_);
  }
  ~temporary_folder() {
    std::error_code ignored;  // what a destructor cannot take away stays
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }

private:
  std::filesystem::path path_;
};

/// How long a cache line takes from one thread to another and back: shared machines put their cores now near, now far.
inline double core_round_trip_ns() {
  constexpr int rounds = 100'000;
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

/// What all threads of this process have used of the processors.
inline double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// Bytes allocated and not freed, by everything in this process; nothing where the allocator, which is not tcmalloc then, does
/// not say.
std::optional<double> heap_bytes();
/// What this process has in memory, of everything that is not files.
double resident_bytes();
/// Gives what the allocator keeps for later back to the operating system, where it can.
void release_free_memory();

/// Writes what waits to be written, and returns how many bytes the disk of the temporary folders has been given
/// since the system started: by all programs, and by the file system for its own records. For exact figures, TMPDIR
/// names a file system that nothing else uses. /proc/self/io is no alternative: it counts a whole large folio for
/// each page of it that a process makes dirty, many times what is written.
double written_bytes();

/// The median of how long it takes to overwrite 4 KiB of a file that has its size already, and to have that on the disk.
double median_sync_seconds();

/// When cores stood still, as those of a virtual machine do whose host has no more time for them.
struct standstills {
  struct period {
    steady::time_point from;
    steady::time_point to;
  };
  std::vector<period> all;  ///< every core at once: the machine itself stood still
  std::vector<period> any;  ///< one core or more; in order, and none overlaps another

  /// Whether one of `periods` has a part between these two.
  static bool overlap(const std::vector<period>& periods, steady::time_point from, steady::time_point to);
  static double seconds(const std::vector<period>& periods);
};

/// Finds standstills. On each core that the program may use, a thread of real-time priority sleeps for a millisecond, again and
/// again. Where one is a millisecond late, its core was busy in the kernel or nobody's. Shorter ones are not seen. Costs a core
/// about two percent. Needs the right to such priorities, which root has; without it nothing is watched.
class standstill_watch {
public:
  standstill_watch();
  ~standstill_watch();
  standstill_watch(const standstill_watch&) = delete;
  standstill_watch& operator=(const standstill_watch&) = delete;

  /// Ends the watching. Returns nothing if it was not permitted.
  std::optional<standstills> end();

private:
  using period = standstills::period;
  void watch(int core, std::vector<period>& late);

  std::atomic<bool> ended_{false};
  std::atomic<bool> permitted_{true};
  std::vector<std::vector<period>> late_;  // of each thread, in order
  std::vector<std::thread> threads_;
};

/// Numbers that look random and are the same each time.
class number_generator {
public:
  explicit number_generator(std::uint64_t seed = 1) : state_(seed) {}
  std::uint64_t below(std::uint64_t bound) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33) % bound;
  }

private:
  std::uint64_t state_;
};

inline double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

inline double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

inline std::string with_spread(const std::vector<double>& values, const char* format) {
  char text[128], least[32], most[32], middle[32];
  std::snprintf(least, sizeof least, format, *std::min_element(values.begin(), values.end()));
  std::snprintf(middle, sizeof middle, format, median(values));
  std::snprintf(most, sizeof most, format, *std::max_element(values.begin(), values.end()));
  std::snprintf(text, sizeof text, "%s (%s to %s)", middle, least, most);
  return text;
}

}  // namespace cairn::benchmarks
