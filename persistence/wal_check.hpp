// Tells a torn tail of RocksDB's write-ahead log from damage, where RocksDB itself cannot.
//
// RocksDB takes a record whose length leads beyond the end of the file, or whose type it does not expect, for the tail of an
// interrupted write, and goes on without it and all that follows. A flipped bit in such a header would so cost acknowledged
// records without a word. An interrupted write leaves nothing readable behind its beginning; damage does. That is the test.
#pragma once

#include <filesystem>

namespace cairn::detail {

/// Throws error(errc::corrupt_store), naming the file and the offset, where a write-ahead log in `folder` is damaged in a way
/// that RocksDB would take for a torn tail. Reads files only; the store must not be open.
void check_write_ahead_logs(const std::filesystem::path& folder);

}  // namespace cairn::detail
