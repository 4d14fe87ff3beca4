// Index and snapshots in RocksDB for a machine's store: in a real folder, on a disk that can fail and lose
// its power.
#pragma once

#include "../../persistence/derived/rocksdb_derived.hpp"
#include "faulty_file_system.hpp"
#include "machine.hpp"
#include "temporary_folder.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

namespace cairn::tests {

class rocksdb_beside {
public:
  /// Both must outlive the stores of the machine.
  void attach_to(machine& machine) {
    machine.open_derived = [this](const detail::store_folder& store, const store_options& options) {
      return open(store, options);
    };
  }

  faulty_disk& disk() { return *disk_; }
  /// Of the store that is opened next; 0: never.
  void cut_power_before(std::uint64_t number) { cut_before_ = number; }
  void cut_power() {
    if (disk_) disk_->cut_power();
  }
  bool has_power() const { return !disk_ || disk_->has_power(); }
  /// After the store was closed: what the power cut leaves.
  void leave(testkit::random& chance, remains what) {
    if (disk_) disk_->leave(chance, what);
    disk_.reset();
  }

private:
  std::unique_ptr<detail::derived_data> open(const detail::store_folder& store, const store_options& options) {
    const auto folder = place_.path() / detail::derived_name;
    if (!folder_) folder_.emplace(detail::store_folder::make(detail::real_file_system(), place_.path(), store.identity()));
    std::filesystem::create_directory(folder);
    disk_ = std::make_unique<faulty_disk>(folder);
    disk_->cut_power_before(cut_before_);
    return detail::open_derived(*folder_, {.block_cache_mib = 1, .warn = options.warn, .env = disk_->env()});
  }

  const temporary_folder place_{in_memory_if_possible()};
  std::optional<detail::store_folder> folder_;  // a store without records, whose `derived` this is
  std::unique_ptr<faulty_disk> disk_;
  std::uint64_t cut_before_ = 0;
};

}  // namespace cairn::tests
