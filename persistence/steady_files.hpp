// A layer below RocksDB that keeps what it does in the background from those who wait for a commit.
//
// Logs have their space before they are written. A sync of a file that grows waits for more than its bytes: the file system also
// has to write down how long the file is now, and where. A sync of blocks that are there already waits for the bytes alone, in
// two thirds of the time or less. So while a store is busy, its next log is made ready, as a file of zeros, and RocksDB writes
// over it.
//
// Tables are written at a walk. A full memtable becomes a file of 64 MB, and to write it at a run takes a core and the disk for a
// tenth of a second, in which every answer is late. There is time until the next one is full, so there are pauses in between.
//
// Files are taken away at a walk. To delete a log of 64 MB is one call, for which a disk that is told what is free (`discard`)
// had nothing else to do for 20 ms. Cut short piece by piece, with pauses, it is hardly seen.
//
// docs/decisions/0007-steady-commits.md has the reasons, and what this means for what a power cut may leave.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace rocksdb {
class Env;
}

namespace cairn::detail {

/// For one store. Must be destroyed after it. Thread safety: start() and stop() from one thread, env() from any.
class steady_files {
public:
  /// Over `base`, which must live longer, for the store in `folder`. When a log is half full the next one is prepared, of
  /// `log_bytes` and an eighth; unless it is synced so seldom that it would not pay. Where that fails, or is late, the next log
  /// is an ordinary one.
  steady_files(rocksdb::Env& base, const std::string& folder, std::uint64_t log_bytes);
  ~steady_files();

  /// What RocksDB is to be given.
  rocksdb::Env* env() const;

  /// Once the folder is locked for this store, and what opening it had to write is written: from now on logs are prepared, tables
  /// are written with pauses, and files taken away with pauses. A table that is late, because the next log has been begun, is
  /// written without them.
  void start();
  /// Before the folder is unlocked: from now on nothing is prepared, nothing pauses, and what is deleted is gone at once. Again
  /// and again is well; start() is not.
  void stop();

  /// The file that is to become the next log of the store in `folder`. Without meaning after a crash.
  static std::string prepared_log(const std::string& folder);

  /// How the name of a file ends that is being taken away. Without meaning after a crash.
  static constexpr std::string_view leaving = ".leaving";

private:
  class file_system;
  class environment;
  std::shared_ptr<file_system> files_;
  std::unique_ptr<environment> env_;
};

}  // namespace cairn::detail
