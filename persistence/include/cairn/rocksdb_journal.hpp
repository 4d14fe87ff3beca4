// The embedded default: a log of chained chunks with an index behind it, in one RocksDB folder.
//
// docs/record_format.md has its bytes, docs/architecture.md its shape.
#pragma once

#include <cairn/journal.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>

namespace cairn {

/// What "acknowledged" means.
enum class durability {
  synced,    ///< on stable storage: survives a power cut
  buffered,  ///< in the operating system's hands: survives the death of the process, not a power cut
};

struct rocksdb_options {
  cairn::durability durability = cairn::durability::synced;
  /// The recent, decompressed blocks kept in memory.
  std::uint64_t block_cache_mib = 256;
  /// How many events the index holds in memory before it is written behind; at most about three times as many are read from
  /// the log at opening after a crash. 1 to 100,000,000.
  std::uint64_t index_events_in_memory_max = 1'000'000;
};

/// Opens the store in `folder`, or makes it where there is none.
/// Throws error: errc::store_in_use (open in this or another process), errc::unknown_format (written by another version),
/// errc::corrupt_store (damage that is not a torn tail; the detail says what to do), errc::invalid_argument (an option out of
/// its range), errc::journal_unavailable (the folder cannot be written, with the reason).
std::unique_ptr<journal> rocksdb_journal(const std::filesystem::path& folder, rocksdb_options options = {});

}  // namespace cairn
