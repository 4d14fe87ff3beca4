// The index on disk: one sorted file for each generation, which RocksDB takes in whole or not at all.
#pragma once

#include "index_storage.hpp"
#include "rocksdb_database.hpp"

#include <functional>
#include <memory>

namespace cairn::inline v1::detail {

/// `database` must outlive it. `note_damage` is called before an error says that the index is damaged.
std::unique_ptr<index_storage> rocksdb_index(rocksdb_database& database, std::function<void()> note_damage);

/// Where a file of the index is written before RocksDB takes it in.
inline constexpr const char* index_file_name = "index-being-written";

}  // namespace cairn::detail
