// What all actors of one runtime share: the store, the clock, the bounds, the counters. Knows nothing of CAF.
#pragma once

#include "durable_head.hpp"
#include "recovery.hpp"

#include <cairn/journal.hpp>
#include <cairn/runtime_options.hpp>
#include <cairn/time.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace cairn::inline v1::actors {

using settings = runtime_bounds;

/// The settings with what is 0 for "as the machine has" filled in. Throws error(errc::invalid_argument), naming the setting, its
/// value and its range.
settings checked(settings bounds);

/// The counts of runtime_statistics. Each is written by the actors and may be read by any thread.
struct counters {
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> events{0};
  std::atomic<std::uint64_t> failed_commits{0};
  std::atomic<std::uint64_t> commit_ns{0};
  std::atomic<std::uint64_t> last_commit_ns{0};
  std::atomic<std::uint64_t> live_aggregates{0};
  std::atomic<std::uint64_t> activations{0};
  std::atomic<std::uint64_t> passivations{0};
  std::atomic<std::uint64_t> recoveries{0};
  std::atomic<std::uint64_t> failed_recoveries{0};
  std::atomic<std::uint64_t> events_recovered{0};
  std::atomic<std::uint64_t> snapshots_loaded{0};
  std::atomic<std::uint64_t> snapshots_saved{0};
  std::atomic<std::uint64_t> failed_snapshots{0};
  std::atomic<std::uint64_t> skipped_snapshots{0};
};

/// Whether the journal takes appends. As long as it fails one commit after another, most commands are refused before they are
/// stored: each that failed would cost its aggregate a recovery. Any thread.
class journal_health {
public:
  void note_success() noexcept {
    if (failures_.load(std::memory_order_relaxed) != 0) failures_.store(0, std::memory_order_relaxed);
  }
  void note_failure(errc code, const std::string& detail, timestamp now);

  /// What a command is refused with now. Nothing if it may try: usually, and now and then while the journal fails.
  std::optional<outcome> refusal(timestamp now, const settings& bounds) {
    return failures_.load(std::memory_order_relaxed) < tolerated_failures ? std::nullopt : refusal_while_failing(now, bounds);
  }

private:
  static constexpr std::uint32_t tolerated_failures = 3;  // in a row

  std::optional<outcome> refusal_while_failing(timestamp now, const settings& bounds);

  std::atomic<std::uint32_t> failures_ = 0;  // in a row
  std::mutex mutex_;
  outcome last_failure_;
  timestamp last_try_;
};

/// The events that are decided and not durable may have so many bytes together, and the snapshots that wait to be saved.
inline constexpr std::int64_t undurable_bytes_max = std::int64_t{512} << 20;
inline constexpr std::size_t snapshot_bytes_max = std::size_t{64} << 20;

/// Owned by whoever made the actors, and outlives them.
struct shared_context {
  std::shared_ptr<cairn::journal> store;  ///< null: nothing is stored, an aggregate's commands are acknowledged at once
  clock now = system_now;
  warn_function warn;
  settings bounds;
  counters stats;
  journal_health health = {};
  durable_head head = {};
  std::atomic<std::int64_t> undurable_bytes = 0;
  /// Of the snapshots that wait to be durable and saved. Shared with these.
  std::shared_ptr<std::atomic<std::size_t>> snapshot_bytes = std::make_shared<std::atomic<std::size_t>>(0);

  /// Counts a snapshot among those until the result is gone. Null if they are too many.
  std::shared_ptr<void> room_for_snapshot(std::size_t bytes);
};

}  // namespace cairn::actors
