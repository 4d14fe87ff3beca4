// Index and snapshots in the folder `derived` of a store, by RocksDB. They are made again if they are damaged, missing, or of
// another store.
#pragma once

#include "../log/store_folder.hpp"
#include "index_storage.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace rocksdb {
class Env;
}

namespace cairn::inline v1::detail {

struct derived_options {
  std::uint64_t block_cache_mib = 256;
  std::function<void(const std::string&)> warn = [](const std::string&) {};
  rocksdb::Env* env = nullptr;  ///< nullptr: the operating system's
};

/// Opens the derived data of a store that is locked. What cannot be used is removed with a warning; the index is empty then.
/// Throws error(errc::journal_unavailable) if the system refuses something.
std::unique_ptr<derived_data> open_derived(const store_folder& store, derived_options options);

/// Opens the index for reading only, and changes nothing. nullptr if there is none.
/// Throws error(errc::corrupt_store) if it cannot be used.
std::unique_ptr<derived_data> open_derived_for_reading(const store_folder& store);

/// Removes index and snapshots of a store that is locked.
void remove_derived(const store_folder& store);

}  // namespace cairn::detail
