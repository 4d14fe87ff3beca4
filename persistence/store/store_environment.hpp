// What only cairn's own tests, benchmarks and its testkit choose about a store: what is below it, and what is left out.
#pragma once

#include "../derived/index_storage.hpp"
#include "../log/file_system.hpp"
#include "../log/store_folder.hpp"

#include <cairn/store.hpp>
#include <cairn/time.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

namespace cairn::inline v1::detail {

struct store_environment {
  file_system* files = nullptr;  ///< of the log; must outlive the store. nullptr: the operating system's
  /// Opens index and snapshots of the store.
  std::function<std::unique_ptr<derived_data>(const store_folder&, const store_options&)> open_derived;
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  std::uint64_t unprepared_bytes = std::uint64_t{1} << 20;
  /// False: the store has no threads, and does nothing in the background.
  bool threads = true;
  /// False: chunks are not hashed, and the store can never be opened again. Shows what the chain costs.
  bool chained = true;
  detail::completeness completeness = detail::completeness::required;
  clock now = system_now;
  std::function<store_id()> make_id = random_store_id;
  /// When it is time to report progress.
  std::function<std::chrono::steady_clock::time_point()> progress_clock = std::chrono::steady_clock::now;
};

/// open_store(), in an environment. `open_derived` must be set.
std::unique_ptr<store> open_embedded_store(const std::filesystem::path& folder, const store_options& options,
                                           const store_environment& environment);

/// The environment of open_store(): the operating system's files, and RocksDB.
store_environment usual_environment();

}  // namespace cairn::detail
