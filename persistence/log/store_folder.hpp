// The folder of a store: its identity, its lock and its high-water mark, and where its log is.
//
//   identity      format, store id, time of creation; each segment's header has them as well
//   lock          locked by the program that has the store open
//   high-water    a position that the log certainly reached
//   log/          the segments
//   derived/      index and snapshots, made of the log (persistence/derived/)
#pragma once

#include "format.hpp"
#include "io.hpp"
#include "segment_files.hpp"

#include <cairn/time.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace cairn::inline v1::detail {

inline constexpr const char* identity_name = "identity";
inline constexpr const char* lock_name = "lock";
inline constexpr const char* high_water_name = "high-water";
inline constexpr const char* log_name = "log";
inline constexpr const char* derived_name = "derived";

/// A file that says that the store is being made by an import or a restore, which has not come to its end.
inline constexpr const char* unfinished_name = "unfinished";

/// A file that says that a backup is being brought up to date: its log is whole up to its high-water mark, and is not looked at
/// beyond.
inline constexpr const char* backing_up_name = "backing-up";

/// Whether a store that is not finished is refused.
enum class completeness { required, not_required };

/// What a user does about damage of the log.
inline constexpr const char* what_to_do =
    " Keep a copy of the folder; then restore a backup, or save the records before the damage with `cairn export --salvage`";

/// What kind of folder a path leads to.
enum class folder_kind {
  missing,
  empty,  ///< or what an interrupted creation left
  store,
  older_store,  ///< a store of format 1, which was a RocksDB database
  other,
};

/// Thread safety: one thread at a time, but note_high_water() and is_written() from any thread.
class store_folder {
public:
  /// Opens the folder of a store, changes nothing, and takes no lock: another program may be writing to it.
  /// Throws error(errc::invalid_argument) if there is no store, error(errc::unknown_format) if it is one of another format or
  /// another program's folder, error(errc::corrupt_store) if its identity is lost, error(errc::journal_unavailable) if it cannot
  /// be read.
  static store_folder open_for_reading(file_system& files, const std::filesystem::path& path,
                                       completeness complete = completeness::required);

  /// Opens the folder of a store and locks it, or makes a store there if the folder is missing or empty.
  /// Throws what open_for_reading() throws, and error(errc::store_in_use) if it is locked.
  static store_folder open_for_writing(file_system& files, const std::filesystem::path& path, timestamp now,
                                       const std::function<store_id()>& make_id, completeness complete = completeness::required);

  /// Makes a store with this identity in an empty folder, and locks it.
  static store_folder make(file_system& files, const std::filesystem::path& path, const store_identity& identity);

  const std::string& path() const { return root_->path(); }
  folder& root() const { return *root_; }
  const std::shared_ptr<folder>& log() const { return log_; }
  const store_identity& identity() const { return *identity_; }
  std::unique_ptr<segment_files> open_segments() const;

  /// As it was when the folder was opened.
  const std::optional<high_water_mark>& high_water() const { return high_water_; }
  /// Notes durably that the log reaches this far. Never goes back.
  void note_high_water(const high_water_mark& mark);

  /// Whether the store is a backup that is being brought up to date, or whose update was interrupted.
  bool ends_at_high_water() const;

  /// Whether a program has the store open for writing, or did when this was made and this one has not.
  bool is_written() const;

  /// What is wrong, with the folder's name, and what to do.
  error damaged(const error& failure) const;

private:
  store_folder(std::shared_ptr<folder> root, std::unique_ptr<file_lock> lock);
  void read_identity();
  void read_high_water();
  void sync_what_was_found();
  void create(const store_identity& identity);

  std::shared_ptr<folder> root_;
  std::unique_ptr<file_lock> lock_;  // before what it guards
  std::shared_ptr<folder> log_;
  std::optional<store_identity> identity_;
  bool identity_is_lost_ = false;  // the file; the segments still have it
  std::optional<high_water_mark> high_water_;
  std::unique_ptr<file> high_water_file_;
};

/// Looks at a folder without changing it. Throws error(errc::journal_unavailable) if it cannot be read.
folder_kind kind_of_folder(file_system& files, const std::filesystem::path& path);

/// Makes a folder and those above it, durably: also the name of one that exists already, because its maker may not have synced
/// it.
void make_durable_folder(file_system& files, const std::filesystem::path& path);

/// 16 random bytes.
store_id random_store_id();

}  // namespace cairn::detail
