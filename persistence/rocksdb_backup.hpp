// Backups of a whole store, made by RocksDB's own backup engine: checksummed, and only what is new is copied.
#pragma once

#include "rocksdb_database.hpp"

namespace cairn::detail {

/// rocksdb_store::backup(), documented there.
void back_up(const rocksdb_database& database, const std::filesystem::path& folder, std::size_t keep);

}  // namespace cairn::detail
