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
  /// The recent, decompressed blocks kept in memory. 0 to 1,048,576.
  std::uint64_t block_cache_mib = 256;
  /// How many events, or aggregates, the index holds in memory before it is written behind. While one such part is being
  /// written the next may grow to twice the size, and appends wait beyond that; so at most four times as many events are read
  /// from the log at opening after a crash. An event takes 16 bytes, an aggregate about 100 and its name. 1 to 100,000,000.
  std::uint64_t index_events_in_memory_max = 1'000'000;
};

/// Opens the store in `folder`, or makes it where there is none. One process at a time: the folder is locked until the journal
/// is gone. The readers of a journal must be done before it is destroyed.
///
/// After an append that failed the store takes no more (errc::journal_unavailable), and still reads what was durable before;
/// opening it again tells what became of the append. A torn tail, as a crash leaves it, is dropped at opening; whatever was
/// acknowledged with `durability` comes before it.
///
/// Throws error: errc::store_in_use (open in this or another process), errc::unknown_format (written by another version),
/// errc::corrupt_store (damage that is not a torn tail; the detail says what to do), errc::invalid_argument (an option out of
/// its range), errc::journal_unavailable (the folder cannot be written, with the reason).
std::unique_ptr<journal> rocksdb_journal(const std::filesystem::path& folder, rocksdb_options options = {});

}  // namespace cairn
