// The RocksDB of the derived data: its options, its column families, and what its errors mean.
//
// Everything about RocksDB that has nothing to do with events. Nothing in it is the only copy of anything.
#pragma once

#include <cairn/error.hpp>

#include <cstdint>
#include <memory>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <string>
#include <string_view>

namespace cairn::inline v1::detail {

inline rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

struct rocksdb_settings {
  std::string path;        ///< by which RocksDB opens it
  std::string shown_path;  ///< by which a user knows it
  std::uint64_t block_cache_mib = 256;
  rocksdb::Env* env = nullptr;  ///< nullptr: the operating system's
  bool read_only = false;
};

/// Thrown by opening if the database is damaged or is not one of cairn's, so that it is to be made again.
class unusable_database : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Thread safety: every member from any thread. Immovable: RocksDB's handles refer to it.
class rocksdb_database {
public:
  /// Opens the database, or makes it if it is missing and is not opened for reading only.
  /// Throws unusable_database, or error(errc::journal_unavailable) if the system refuses something.
  explicit rocksdb_database(const rocksdb_settings& settings);
  ~rocksdb_database();
  rocksdb_database(const rocksdb_database&) = delete;
  rocksdb_database& operator=(const rocksdb_database&) = delete;

  rocksdb::DB& db() const { return *db_; }
  rocksdb::ColumnFamilyHandle* index() const { return index_; }
  rocksdb::ColumnFamilyHandle* snapshots() const { return snapshots_; }
  rocksdb::ColumnFamilyHandle* meta() const { return meta_; }

  /// What the index is written with.
  rocksdb::Options index_file_options() const;
  std::string path_of(const std::string& file) const { return settings_.path + "/" + file; }
  const std::string& shown_path() const { return settings_.shown_path; }

  /// Merges small tables if they are many. RocksDB has no time for it if the database is open for a moment only, and leaves
  /// tables alone that do not overlap. A failure is left to the next attempt.
  void merge_small_tables(rocksdb::ColumnFamilyHandle* family) const;

  /// Makes the index empty.
  void clear_index();
  /// Removes all snapshots.
  void clear_snapshots();

  /// Whether `status` says that bytes are wrong or missing; not if the system refused something.
  static bool is_damage(const rocksdb::Status& status);
  /// Throws error(errc::journal_unavailable) with the reason, unless `status` is well.
  void check(const rocksdb::Status& status, std::string_view what) const;
  /// What `status` says, with the path that a user knows, and the remedy if the system refused something.
  std::string reason(const rocksdb::Status& status) const;

private:
  void open();
  void close() noexcept;
  void clear(rocksdb::ColumnFamilyHandle*& family, const std::string& name);

  const rocksdb_settings settings_;
  rocksdb::DBOptions db_options_;
  rocksdb::ColumnFamilyOptions keyed_options_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* meta_ = nullptr;
  rocksdb::ColumnFamilyHandle* index_ = nullptr;
  rocksdb::ColumnFamilyHandle* snapshots_ = nullptr;
};

}  // namespace cairn::detail
