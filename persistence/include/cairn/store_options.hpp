// How a store is opened.
#pragma once

#include <cairn/progress_function.hpp>
#include <cairn/time.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace cairn::inline v1 {

/// What "acknowledged" means.
enum class durability {
  synced,    ///< on stable storage: survives a power cut
  buffered,  ///< with the operating system: survives the end of the process, not a power cut
};

struct store_options {
  cairn::durability durability = cairn::durability::synced;
  /// The cache of the index and the snapshots. 0 to 1,048,576.
  std::uint64_t block_cache_mib = 256;
  /// How many events, or aggregates, the index holds in memory before it writes them to disk. While it writes, the next part may
  /// grow to twice the size, and appends wait beyond that; so opening after a crash reads at most four times as many events.
  /// An event takes 16 bytes, an aggregate about 100 and its name; while they are written, 12 and 20 more. 1 to 100,000,000.
  std::uint64_t index_events_in_memory_max = 1'000'000;
  /// Called while opening reads much of the log: after a crash, and if the index is made again. It may throw to stop the opening.
  progress_function opening = {};
  /// Called with a sentence for each problem that the store survived: an index that was damaged and is made again, a segment that
  /// could not be prepared. Called on any thread, never two at once. The default ignores them.
  std::function<void(const std::string&)> warn = {};
};

}  // namespace cairn
