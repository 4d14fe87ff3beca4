// What only cairn's own tests and benchmarks choose about a store: the file system below it, and what is left out to measure it.
#pragma once

#include <cairn/rocksdb_journal.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>

namespace rocksdb {
class Env;
}

namespace cairn::detail {

struct store_environment {
  /// Every file of RocksDB's is read and written through it. nullptr: the operating system's. Must outlive the store.
  rocksdb::Env* env = nullptr;
  /// The log's memtable: when it is full, a new write-ahead log file begins.
  std::size_t log_buffer_bytes = std::size_t{64} << 20;
  /// False: chunks are not hashed, and the store can never be opened again. Shows what the chain costs.
  bool chained = true;
  /// When it is time to tell of progress.
  std::function<std::chrono::steady_clock::time_point()> clock = std::chrono::steady_clock::now;
};

std::unique_ptr<rocksdb_store> open_rocksdb_store(const std::filesystem::path& folder, const rocksdb_options& options,
                                                  const store_environment& environment);

}  // namespace cairn::detail
