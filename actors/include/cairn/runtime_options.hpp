// The options of a runtime, and what it counts.
#pragma once

#include <cairn/time.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace cairn::inline v1 {

class journal;

/// The bounds of a runtime's actors. The runtime's constructor checks them: see the ranges beside each.
struct runtime_bounds {
  std::uint64_t snapshot_every_events = 500;           ///< 0: never. At most 10^9
  std::size_t deduplication_window_size = 64;          ///< command ids that an aggregate keeps. At most 10,000
  std::size_t recovery_queue_max = 10'000;             ///< commands that wait for one aggregate's recovery. 1 to 10^8
  std::size_t batch_appends_max = 8'192;               ///< appends in one group commit. 1 to 10^6
  std::size_t batch_bytes_max = std::size_t{8} << 20;  ///< bytes in one group commit. 1 to 2^30
  std::size_t live_aggregates_max = 250'000;           ///< aggregates in memory. 1 to 10^9
  std::size_t directories = 8;  ///< that share the aggregates; live_aggregates_max is split evenly among them. 1 to 1,024
  /// Recoveries at once, each on its own thread. 0: one for every two cores, so that live aggregates have cores, too.
  /// At most 256
  std::size_t recoveries_at_once_max = 0;
  std::chrono::milliseconds passivate_after{120'000};    ///< 0: never for idleness. At most a year
  std::size_t threads = 0;                               ///< of the scheduler; 0: one for each core. At most 1,024
  std::chrono::milliseconds recovery_retry_min{100};     ///< 1 ms to 1 h; the pause doubles with each failure,
  std::chrono::milliseconds recovery_retry_max{10'000};  ///< up to this. At most 1 h
};

/// The options of a runtime.
struct runtime_options {
  /// Where events and snapshots are kept. Shared with the runtime until it has drained.
  std::shared_ptr<cairn::journal> journal = {};
  /// Operations that are admitted and not finished, reads included. At least 1. Past it: errc::overloaded, or waiting, as the
  /// command's when_full says.
  std::size_t in_flight_max = 100'000;
  /// Commands that wait for a place. Past it: errc::overloaded.
  std::size_t waiting_max = 100'000;
  runtime_bounds bounds = {};
  cairn::clock clock = system_now;
  /// Called for each non-fatal problem (a failed recovery, a damaged snapshot), with a sentence. From any thread; must not
  /// block. What it throws goes to stderr.
  std::function<void(const std::string&)> on_warning = warn_on_stderr;

  static void warn_on_stderr(const std::string& sentence);
};

/// What a runtime has done so far. Counts are read one after the other while the runtime works, so that together they are
/// no snapshot of one moment.
struct runtime_statistics {
  std::uint64_t commits = 0;          ///< group commits
  std::uint64_t events = 0;           ///< made durable
  std::uint64_t failed_commits = 0;   ///< group commits that failed
  std::uint64_t commit_ns = 0;        ///< time spent in journal::append, in nanoseconds
  std::uint64_t last_commit_ns = 0;   ///< of the latest group commit
  std::uint64_t live_aggregates = 0;  ///< in memory now
  std::uint64_t activations = 0;      ///< aggregates ever brought into memory
  std::uint64_t passivations = 0;     ///< aggregates taken out of memory: idle, too many, or draining
  std::uint64_t recoveries = 0;       ///< that succeeded
  std::uint64_t failed_recoveries = 0;
  std::uint64_t events_recovered = 0;  ///< read after a snapshot, or from the beginning
  std::uint64_t snapshots_loaded = 0;  ///< recoveries that started from one
  std::uint64_t snapshots_saved = 0;
  std::uint64_t failed_snapshots = 0;
  std::uint64_t skipped_snapshots = 0;  ///< because too many waited to be saved
  std::uint64_t in_flight = 0;          ///< operations admitted and not answered yet
};

}  // namespace cairn
