// The embedded store of the library that is measured.
//
// scripts/benchmark compare builds the sources of this folder against another commit's library too. Names that
// differ there are bridged here, and only here.
#pragma once

#if __has_include(<cairn/store.hpp>)

#include "../persistence/store/store_environment.hpp"

namespace cairn::benchmarks {

/// A store whose chunks are not hashed.
inline std::unique_ptr<store> open_unchained(const std::filesystem::path& folder) {
  auto environment = detail::usual_environment();
  environment.chained = false;
  return detail::open_embedded_store(folder, {}, environment);
}

}  // namespace cairn::benchmarks

#else  // up to 48f6fe1: the log in RocksDB

#include "../persistence/store_environment.hpp"

#include <cairn/rocksdb_journal.hpp>

namespace cairn {

using store = rocksdb_store;
using store_options = rocksdb_options;
inline std::unique_ptr<store> open_store(const std::filesystem::path& folder, store_options options = {}) {
  return rocksdb_journal(folder, options);
}

namespace benchmarks {

inline std::unique_ptr<store> open_unchained(const std::filesystem::path& folder) {
  return detail::open_rocksdb_store(folder, {}, {.chained = false});
}

}  // namespace benchmarks
}  // namespace cairn

#endif
