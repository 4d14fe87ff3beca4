// A disk below RocksDB that can lose its power, and that can fail.
//
// It wraps the real files of one folder. Syncs only move a mark here, so that many power cuts wait for no
// real disk; a power cut may take what is behind the mark. The log has a disk of its own:
// testkit/simulated_file_system.hpp.
#pragma once

#include "../../testkit/simulated_file_system.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace rocksdb {
class Env;
}

namespace cairn::tests {

/// What goes wrong, once, with the `nth` write or sync of the files whose names contain `files`.
struct table_fault {
  enum class kind {
    write_error,  ///< EIO, after a part was written
    disk_full,    ///< ENOSPC, after a part was written; so fails every write of any file until free_space()
    sync_error,   ///< EIO
  };
  kind is;
  std::uint64_t nth = 1;
  std::string files = ".sst";
};

/// The disk below one RocksDB database. Thread safety: every member but leave() from any thread at any time.
class faulty_disk {
public:
  using remains = testkit::detail::remains;

  /// `folder` exists and is the database's. What is in it is durable.
  explicit faulty_disk(const std::filesystem::path& folder);
  ~faulty_disk();
  faulty_disk(const faulty_disk&) = delete;
  faulty_disk& operator=(const faulty_disk&) = delete;

  /// Must outlive the database; owned by the disk.
  rocksdb::Env* env() const;

  /// How many operations have changed anything: writes, syncs, files made, renamed, linked or deleted.
  std::uint64_t operations() const;
  /// From now on every operation fails.
  void cut_power();
  /// The same from the operation on with which operations() would become `number`.
  void cut_power_before(std::uint64_t number);
  bool has_power() const;
  /// Puts the folder into a state that the power cut may have left. Once, after the database was closed.
  void leave(testkit::random& chance, remains what);

  void inject(const table_fault& next);
  void free_space();
  /// Whether the fault has happened.
  bool struck() const;

private:
  class file_system;
  std::shared_ptr<file_system> file_system_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace cairn::tests
