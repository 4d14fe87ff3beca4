// Tells a torn tail of RocksDB's write-ahead log from damage, where RocksDB itself cannot.
//
// RocksDB takes a record whose length leads beyond the end of the file, or whose type it does not expect, for the tail of an
// interrupted write, and goes on without it and all that follows. A flipped bit in such a header would so cost acknowledged
// records without a word. An interrupted write leaves nothing readable behind its beginning; damage does. That is the test.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace cairn::detail {

/// Where a write-ahead log in `folder` is damaged in a way that RocksDB would take for a torn tail: the file and the offset, as
/// a sentence begins. Nothing where none is. Reads files only; nobody may be writing them.
/// Throws error(errc::journal_unavailable) where they cannot be read.
std::optional<std::string> damage_like_a_torn_tail(const std::filesystem::path& folder);

/// The same for a record that is whole and fails its checksum, which RocksDB notices but does not say where.
std::optional<std::string> failed_checksum_in_write_ahead_logs(const std::filesystem::path& folder);

}  // namespace cairn::detail
