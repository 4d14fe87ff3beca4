// A disk that can lose its power, and that can fail or lie in every way that the tests of a store need.
//
// A layer below RocksDB, over real files in a folder. Sync and folder sync only move a mark here, so a test of thousands of power
// cuts waits for no real disk; what lies behind the mark is what a power cut may take.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>

namespace rocksdb {
class Env;
}

namespace cairn::tests {

/// What a power cut leaves of that which was not synced. Names are made and dropped in order, as journaling file systems do it; a
/// file that was synced in a folder that was not may still be without its name. Of a log that had its space before it was written
/// any sectors may be lost that were not synced, where the modes say that something is. The first four are what a file system
/// leaves that extends a file only after its data is written; the last two are the work of one that does not.
enum class remains {
  synced_only,  ///< nothing
  newest_file,  ///< everything of the last made of the files that are not whole, nothing of the others; every name
  torn,         ///< of each file some prefix; the names as they were at some moment
  everything,
  zeros,  ///< every file's full length, zeros from some place on; every name
  pages,  ///< every file's full length, with some pages lost and later ones kept; every name
};

/// What goes wrong, once, with the `nth` write or sync of those files whose names contain `files`.
struct fault {
  enum class kind {
    write_error,  ///< EIO, nothing is written
    torn_write,   ///< EIO, after a part was written
    disk_full,    ///< ENOSPC, after a part was written; and so for every write of any file from then on, until free_space()
    sync_error,   ///< EIO; the system then takes the lost pages for clean, so that later syncs are well and mean nothing
    lost_write,   ///< the disk says well, and there are zeros
    lost_sync,    ///< the disk says well, and nothing is durable
  };
  kind what;
  std::uint64_t nth = 1;
  std::string files = ".log";
};

/// What the errors of the disk say.
inline constexpr const char* no_power = "the power is out";
inline constexpr const char* write_failed = "the disk failed to write";
inline constexpr const char* sync_failed = "the disk failed to sync";
inline constexpr const char* no_space = "the disk has no space left";

/// The disk below one store. Thread safety: every member but leave() from any thread at any time.
class faulty_disk {
public:
  /// `folder` is the store's. What is in it already is taken to be durable.
  explicit faulty_disk(const std::filesystem::path& folder);
  ~faulty_disk();
  faulty_disk(const faulty_disk&) = delete;
  faulty_disk& operator=(const faulty_disk&) = delete;

  /// Must outlive the store; owned by the disk.
  rocksdb::Env* env() const;

  /// How many operations have changed anything: writes, syncs, files made, renamed, linked or deleted.
  std::uint64_t operations() const;
  /// From now on every operation fails.
  void cut_power();
  /// From the operation on with which operations() would become `number`.
  void cut_power_before(std::uint64_t number);
  bool has_power() const;
  /// Puts the folder into a state that the power cut may have left. Once, after the store is gone.
  void leave(remains what, std::mt19937_64& random);
  /// Whether the newest log had its space before it was written.
  bool has_prepared_log() const;
  /// Whether leave() took sectors of a log that had its space before it was written.
  bool lost_sectors() const;

  void inject(const fault& next);
  void free_space();
  /// Whether the fault has happened.
  bool struck() const;
  /// How many writes those files have seen since.
  std::uint64_t writes_since_struck() const;

private:
  class file_system;
  std::shared_ptr<file_system> file_system_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace cairn::tests
