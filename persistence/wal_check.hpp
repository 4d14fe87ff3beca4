// Tells the tail of RocksDB's write-ahead logs that an interrupted write left from damage, before RocksDB reads them.
//
// RocksDB cannot: it takes a record whose length leads beyond the end of the file, or whose type it does not expect, for the tail
// of an interrupted write, and goes on without it and all that follows, so a flipped bit could cost acknowledged records without
// a word. And where a log has its space before it is written (steady_files.hpp), a power cut may take any sectors of what was
// not synced, and RocksDB calls that damage. docs/decisions/0007-steady-commits.md says how the two are told apart.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cairn::detail {

/// What an interrupted write left at the end of a log: its file, and the bytes before it, which are sound.
struct torn_tail {
  std::filesystem::path file;
  std::uint64_t sound_bytes = 0;
};

struct wal_findings {
  /// Where a log is damaged, as a sentence begins. Then nothing is said of tails.
  std::optional<std::string> damage;
  /// To be cut off before RocksDB reads the logs: nothing in them was ever acknowledged as synced.
  std::vector<torn_tail> torn;
};

/// Looks at every write-ahead log in `folder`, with every checksum. Reads files only; nobody may be writing them.
/// Throws error(errc::journal_unavailable) where they cannot be read.
wal_findings check_write_ahead_logs(const std::filesystem::path& folder);

}  // namespace cairn::detail
