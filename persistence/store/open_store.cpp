// open_store(): the embedded store over the operating system's files, with index and snapshots in RocksDB.
#include "../derived/rocksdb_derived.hpp"
#include "store_environment.hpp"

#include <cairn/store.hpp>

namespace cairn::inline v1 {

std::unique_ptr<store> open_store(const std::string& folder, store_options options) {
  return detail::open_embedded_store(folder, options, detail::usual_environment());
}

detail::store_environment detail::usual_environment() {
  store_environment usual;
  usual.open_derived = [](const store_folder& store, const store_options& options) {
    derived_options chosen;
    chosen.block_cache_mib = options.block_cache_mib;
    if (options.warn) chosen.warn = options.warn;
    return open_derived(store, chosen);
  };
  return usual;
}

}  // namespace cairn
