// The RocksDB folder of a journal: opened, checked and closed, with its column families, options and error messages.
//
// Everything about RocksDB that has nothing to do with events. docs/decisions/0002-recovery.md says why the options are these.
#pragma once

#include "store_environment.hpp"

#include <cairn/error.hpp>
#include <cairn/rocksdb_journal.hpp>

#include <filesystem>
#include <memory>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::detail {

inline rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

/// How every error about damage ends.
inline constexpr const char* what_to_do =
    " Keep a copy of the folder as it is; then restore a backup, or save what is intact with `cairn export --intact`";

inline constexpr const char* what_to_do_about_the_index =
    " The log is the truth and the index only says where: `cairn rebuild` makes it anew";

/// How to open a folder.
enum class access {
  whole,     ///< as a store: for reading and writing, and only if it is sound
  log_only,  ///< the same, but whatever is damaged of the index and the snapshots does not matter: they are dropped
  intact,    ///< for reading what a damaged store still holds up to the first damage of its write-ahead log; changes nothing
};

class steady_files;
struct torn_tail;

/// An open folder. Immovable: RocksDB's handles refer to it.
class rocksdb_database {
public:
  /// Throws what rocksdb_journal() is documented to throw.
  rocksdb_database(const std::filesystem::path& folder, const rocksdb_options& options, const store_environment& environment,
                   access how = access::whole);
  ~rocksdb_database();
  rocksdb_database(const rocksdb_database&) = delete;
  rocksdb_database& operator=(const rocksdb_database&) = delete;

  rocksdb::DB& db() const { return *db_; }
  rocksdb::ColumnFamilyHandle* log() const { return log_; }
  rocksdb::ColumnFamilyHandle* index() const { return index_; }
  rocksdb::ColumnFamilyHandle* snapshots() const { return snapshots_; }

  const std::string& folder() const { return folder_; }
  /// The random 16 bytes that this store was given when it was made.
  const std::string& store_id() const { return store_id_; }

  /// Does nothing where `status` is well. Throws error(errc::journal_unavailable) where the disk refuses, and error(damage)
  /// where the bytes are wrong; the detail says what could not be done, in which folder, and why.
  void check(const rocksdb::Status& status, std::string_view what, errc damage = errc::corrupt_record) const;

  /// The same for reading the index: the detail says how to make it anew.
  void check_index(const rocksdb::Status& status, const std::string& what) const;

  /// The same for a write, which is also not trusted where the disk has failed RocksDB somewhere else. The reason is that of the
  /// first failure, since later ones may only say that there was one.
  void check_written(const rocksdb::Status& status, std::string_view what) const;

  /// `what`, told of this folder.
  std::string told(const std::string& what) const { return what.starts_with(folder_) ? what : folder_ + ": " + what; }

  /// Makes a store that was made just now one that can be opened no more, until adopt() gives it its identity.
  void disown();
  /// Makes it the store with the id `store_id`.
  void adopt(const std::string& store_id);

  /// Makes the index empty, as it is before the first write-behind.
  void clear_index();
  /// What the files of the index are written with.
  rocksdb::Options index_file_options() const;
  /// Where the next file of the index is written before it is taken in.
  std::string index_file() const;

  /// Brings all that is in memory to files, so that the next opening has nothing to replay. To be closed then: what keeps commits
  /// from waiting for the background ends.
  void flush();
  /// Makes durable what has been appended. Throws error(errc::journal_unavailable).
  void sync_log();

private:
  class watcher;

  rocksdb_database(const rocksdb_database& damaged, access how);
  void prepare_folder();
  void open(access how);
  void open_whole();
  std::string give_back_index_table(const std::string& reason) const;
  void open_intact();
  void mend_write_ahead_logs();
  rocksdb::Status cut_off(const torn_tail& tail) const;
  void require_unlocked();
  std::vector<rocksdb::ColumnFamilyDescriptor> families() const;
  void take(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& handles);
  void read_meta(access how);
  void write_meta(bool fresh);
  void make_empty(rocksdb::ColumnFamilyHandle*& family, const std::string& name);
  void remove_unfinished_files() const;
  void release() noexcept;
  [[noreturn]] void refuse(errc code, const std::string& what) const;
  [[noreturn]] void refuse_locked() const;
  [[noreturn]] void refuse_damaged_records(const std::string& damage) const;

  std::string folder_;
  std::unique_ptr<steady_files> files_;  // with synced appends
  rocksdb::DBOptions db_options_;
  rocksdb::ColumnFamilyOptions log_options_;
  rocksdb::ColumnFamilyOptions keyed_options_;  // of the index and the snapshots
  std::shared_ptr<watcher> watcher_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* default_ = nullptr;
  rocksdb::ColumnFamilyHandle* log_ = nullptr;
  rocksdb::ColumnFamilyHandle* index_ = nullptr;
  rocksdb::ColumnFamilyHandle* snapshots_ = nullptr;
  rocksdb::ColumnFamilyHandle* meta_ = nullptr;
  std::string store_id_;
  std::uint64_t epoch_ = 0;
};

}  // namespace cairn::detail
