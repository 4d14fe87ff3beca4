#include "rocksdb_database.hpp"

#include "index_run.hpp"
#include "log_walk.hpp"
#include "steady_files.hpp"
#include "wal_check.hpp"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstring>
#include <mutex>
#include <random>
#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <utility>
#include <vector>

namespace cairn::detail {
namespace {

constexpr std::uint32_t store_format = 1;
constexpr std::string_view format_key = "format";
constexpr std::string_view format_unfinished = "unfinished";
constexpr std::string_view store_id_key = "store id";
constexpr std::string_view epoch_key = "epoch";

/// What two keys of one aggregate share: all but the version. Bloom filters are made of these, so that a new aggregate is
/// known to be new without reading.
class stream_of_key final : public rocksdb::SliceTransform {
public:
  const char* Name() const override { return "cairn.stream"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return {key.data(), key.size() - version_suffix_bytes}; }
  bool InDomain(const rocksdb::Slice& key) const override { return key.size() > version_suffix_bytes && key[0] != 0; }
};

/// No LOG file of RocksDB's own. A build with assertions, as Debian's is, ends the process when that file cannot be written any
/// more, so a full disk would take the application with it. What goes wrong comes back as a status and is reported as an error.
class silence final : public rocksdb::Logger {
public:
  void Logv(const char*, va_list) override {}
};

rocksdb::DBOptions make_db_options() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.paranoid_checks = true;
  // Damage is an error. What a crash tore off has been cut off before: wal_check.hpp sees what this mode does not.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.recycle_log_file_num = 0;
  // A store is not trusted after a failure until it is opened again, so RocksDB must not mend it in the background, by writing
  // once more what failed behind what is there of it.
  options.max_bgerror_resume_count = 0;
  // What was replayed goes to a table at once, so that a torn log is never replayed twice.
  options.avoid_flush_during_recovery = false;
  // Snapshots and meta data trickle, and a log file lives as long as anything in it is only in memory.
  options.max_total_wal_size = std::uint64_t{256} << 20;
  options.max_background_jobs = 2;
  options.bytes_per_sync = 1 << 20;
  options.max_open_files = 500;
  options.skip_stats_update_on_db_open = true;
  options.info_log = std::make_shared<silence>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::BlockBasedTableOptions table_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  return table;
}

rocksdb::ColumnFamilyOptions common_options() {
  rocksdb::ColumnFamilyOptions options;
  options.ttl = 0;
  options.periodic_compaction_seconds = 0;
  return options;
}

rocksdb::ColumnFamilyOptions make_log_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  auto options = common_options();
  options.max_write_buffer_number = 4;
  options.compression = rocksdb::kNoCompression;
  // Keys only rise, so files never overlap, and compaction hands them down as they are.
  options.level0_slowdown_writes_trigger = 100;
  options.level0_stop_writes_trigger = 200;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(cache)));
  return options;
}

rocksdb::ColumnFamilyOptions make_keyed_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  auto options = common_options();
  options.write_buffer_size = std::size_t{16} << 20;
  options.prefix_extractor = std::make_shared<stream_of_key>();
  auto table = table_options(cache);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = false;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

template <class Integer>
std::string bytes_of(Integer value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string random_id() {
  std::random_device random;
  std::string id;
  while (id.size() < 16) id += bytes_of(static_cast<std::uint32_t>(random()));
  return id;
}

/// Whether RocksDB itself names its files so.
bool is_rocksdb_file(const std::filesystem::path& file) {
  const auto name = file.filename().string();
  static constexpr std::array<std::string_view, 6> starts{"CURRENT", "IDENTITY", "LOCK", "LOG", "MANIFEST-", "OPTIONS-"};
  const auto begins = [&](std::string_view start) { return name.starts_with(start); };
  return std::any_of(starts.begin(), starts.end(), begins) || file.extension() == ".log" || file.extension() == ".dbtmp";
}

/// Whether the default column family is empty. Leaves no trace in a folder that may be another program's.
bool holds_nothing(const std::string& folder) {
  rocksdb::DB* raw = nullptr;
  rocksdb::Options options;
  options.info_log = std::make_shared<silence>();
  // Where the manifest speaks of write-ahead logs and this is off, RocksDB wants to change the manifest, and dies of having
  // nothing to do that with: it opens for reading only.
  options.track_and_verify_wals_in_manifest = true;
  if (!rocksdb::DB::OpenForReadOnly(options, folder, &raw).ok()) return false;
  const std::unique_ptr<rocksdb::DB> db(raw);
  const std::unique_ptr<rocksdb::Iterator> iterator(db->NewIterator(rocksdb::ReadOptions()));
  iterator->SeekToFirst();
  return !iterator->Valid() && iterator->status().ok();
}

/// Makes a folder and those above it, so that a power cut does not take away the names with all that is below them: RocksDB syncs
/// its own folder and no other.
void make_durable_folder(rocksdb::Env& env, const std::filesystem::path& folder) {
  if (folder.empty() || std::filesystem::exists(folder)) return;
  const auto above = folder.parent_path();
  make_durable_folder(env, above);
  std::filesystem::create_directory(folder);
  std::unique_ptr<rocksdb::Directory> names;
  auto status = env.NewDirectory(above.string(), &names);
  if (status.ok()) status = names->Fsync();
  if (!status.ok()) {
    throw error(errc::journal_unavailable, folder.string() + ": cannot be made durable: " + status.ToString());
  }
}

/// As RocksDB says it, in words only.
bool is_locked(const rocksdb::Status& status) {
  const auto reason = status.ToString();
  const auto says = [&](std::string_view words) { return reason.find(words) != std::string::npos; };
  return status.IsIOError() && (says("lock hold by current process") || says("While lock file"));
}

/// A store that has been opened once has such a file from then on, also after a clean end.
bool has_write_ahead_log(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".log") return true;
  }
  return false;
}

}  // namespace

/// Hears of what RocksDB does by itself.
class rocksdb_database::watcher final : public rocksdb::EventListener {
public:
  explicit watcher(bool sync_before_switch) : sync_before_switch_(sync_before_switch) {}

  void watch(rocksdb::DB* db) { db_ = db; }

  rocksdb::Status failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

  /// A new write-ahead log may have been begun, and nothing is in it yet, nor can be before this returns. Of two files a power
  /// cut may take the end of the first and leave the beginning of the second. Unsynced appends would so lose some from their
  /// middle; therefore the first is made durable now. It is of no matter whose memtable was full, nor why.
  void OnMemTableSealed(const rocksdb::MemTableInfo&) override {
    if (!sync_before_switch_ || !db_ || !failure().ok()) return;
    if (const auto status = db_->SyncWAL(); !status.ok()) fail(status);
  }

  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    if (error->severity() >= rocksdb::Status::kHardError) fail(*error);
  }

  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* by_itself) override { *by_itself = false; }

private:
  void fail(const rocksdb::Status& status) {
    const std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = status;
  }

  const bool sync_before_switch_;
  rocksdb::DB* db_ = nullptr;
  mutable std::mutex mutex_;
  rocksdb::Status failure_;
};

rocksdb_database::rocksdb_database(const std::filesystem::path& folder, const rocksdb_options& options,
                                   const store_environment& environment, access how) {
  // RocksDB knows the folders that this process has open by their spelling, so there must be but one.
  std::error_code failure;
  folder_ = std::filesystem::weakly_canonical(std::filesystem::absolute(folder, failure), failure).string();
  if (failure || folder_.empty()) folder_ = folder.string();
  // Few shards: left to itself RocksDB makes many small ones, in which the filters of a large index, a megabyte each, push each
  // other out, and are read and checked again for nearly every look-up.
  constexpr int shard_bits = 2;
  const auto cache = rocksdb::NewLRUCache(options.block_cache_mib << 20, shard_bits);
  db_options_ = make_db_options();
  if (environment.env) db_options_.env = environment.env;
  // Appends that no sync waits for gain nothing by it.
  if (how != access::intact && options.durability == durability::synced) {
    files_ = std::make_unique<steady_files>(*db_options_.env, folder_, environment.log_buffer_bytes);
    db_options_.env = files_->env();
  }
  watcher_ = std::make_shared<watcher>(options.durability == durability::buffered);
  db_options_.listeners = {watcher_};
  log_options_ = make_log_options(cache);
  log_options_.write_buffer_size = environment.log_buffer_bytes;
  keyed_options_ = make_keyed_options(cache);
  if (how == access::intact) {
    require_unlocked();
  } else {
    prepare_folder();
  }
  open(how);
}

rocksdb_database::rocksdb_database(const rocksdb_database& damaged, access how)
    : folder_(damaged.folder_), db_options_(damaged.db_options_), log_options_(damaged.log_options_),
      keyed_options_(damaged.keyed_options_), watcher_(damaged.watcher_) {
  open(how);
}

void rocksdb_database::open(access how) {
  if (how == access::log_only) {
    // What cannot be opened is left alone until it is dropped.
    db_options_.paranoid_checks = false;
    log_options_.disable_auto_compactions = keyed_options_.disable_auto_compactions = true;
  }
  if (how != access::intact) {
    open_whole();
    // Only now is the folder this store's alone.
    remove_unfinished_files();
  } else {
    open_intact();
  }
  try {
    read_meta(how);
    if (how == access::log_only) {
      make_empty(index_, "index");
      make_empty(snapshots_, "snapshots");
    }
  } catch (...) {
    release();
    throw;
  }
  if (files_) files_->start();
}

rocksdb_database::~rocksdb_database() { release(); }

void rocksdb_database::release() noexcept {
  if (!db_) return;
  if (files_) files_->stop();
  for (auto* handle : {default_, log_, index_, snapshots_, meta_}) {
    if (handle) db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  db_->Close().PermitUncheckedError();
  db_.reset();
}

// What a killed process left half done.
void rocksdb_database::remove_unfinished_files() const {
  std::error_code failure;
  for (const auto& unfinished : {index_file(), steady_files::prepared_log(folder_)}) {
    std::filesystem::remove(unfinished, failure);
  }
  std::error_code unreadable;
  for (std::filesystem::directory_iterator at(folder_, unreadable), end; !unreadable && at != end; at.increment(unreadable)) {
    if (at->path().native().ends_with(steady_files::leaving)) std::filesystem::remove(at->path(), failure);
  }
}

void rocksdb_database::refuse(errc code, const std::string& what) const { throw error(code, folder_ + ": " + what); }

void rocksdb_database::check(const rocksdb::Status& status, std::string_view what, errc damage) const {
  if (status.ok()) return;
  const bool damaged = status.IsCorruption() || status.IsNotFound();
  const std::string advice = damaged && damage == errc::corrupt_store ? std::string(".") + what_to_do : "";
  refuse(damaged ? damage : errc::journal_unavailable, "cannot " + std::string(what) + ": " + status.ToString() + advice);
}

void rocksdb_database::check_index(const rocksdb::Status& status, const std::string& what) const {
  if (status.IsCorruption()) {
    refuse(errc::corrupt_record, "cannot " + what + ": " + status.ToString() + "." + what_to_do_about_the_index);
  }
  check(status, what);
}

void rocksdb_database::check_written(const rocksdb::Status& status, std::string_view what) const {
  const auto first = watcher_->failure().ok() ? status : watcher_->failure();
  if (first.IsCorruption()) {
    refuse(errc::journal_unavailable, "cannot " + std::string(what) + ": " + first.ToString() +
                                          ". `cairn verify` says what is damaged; where that is not the log, `cairn rebuild` "
                                          "makes a store of the log alone");
  }
  check(first, what, errc::journal_unavailable);
}

// Refuses whatever is not a store of cairn before RocksDB writes its first byte.
void rocksdb_database::prepare_folder() {
  namespace fs = std::filesystem;
  try {
    make_durable_folder(*db_options_.env, folder_);
    if (!fs::exists(fs::path(folder_) / "CURRENT")) {
      for (const auto& entry : fs::directory_iterator(folder_)) {
        // RocksDB writes CURRENT before its first log.
        if (entry.path().extension() == ".sst" || entry.path().extension() == ".log") {
          refuse(errc::corrupt_store, std::string("the file CURRENT is missing beside files with data.") + what_to_do);
        }
        // A store whose making was interrupted has such files and no other.
        if (!is_rocksdb_file(entry.path())) {
          refuse(errc::unknown_format, "holds something else than a cairn store (" + entry.path().filename().string() +
                                           "); choose another folder, or an empty one");
        }
      }
      return;
    }
  } catch (const fs::filesystem_error& failure) {
    refuse(errc::journal_unavailable, "cannot be made or read: " + failure.code().message());
  }
  std::vector<std::string> families;
  if (const auto status = rocksdb::DB::ListColumnFamilies(db_options_, folder_, &families); !status.ok()) {
    refuse(errc::corrupt_store, "cannot read the list of its column families: " + status.ToString() + "." + what_to_do);
  }
  const auto has = [&](std::string_view name) { return std::find(families.begin(), families.end(), name) != families.end(); };
  const bool made = has("log") && has("snapshots") && has("meta");
  // Without the three it is a store whose making was interrupted, or another program's database.
  if (!made && !has("log") && (families.size() > 1 || !holds_nothing(folder_))) {
    refuse(errc::unknown_format, "is a RocksDB database of another program; choose another folder");
  }
  if (made && !has_write_ahead_log(folder_)) {
    refuse(errc::corrupt_store, "its write-ahead log (a file *.log) is missing, and with it the newest records. Put it back, or "
                                "restore the folder from a backup");
  }
}

std::vector<rocksdb::ColumnFamilyDescriptor> rocksdb_database::families() const {
  return {{rocksdb::kDefaultColumnFamilyName, common_options()},
          {"log", log_options_},
          {"index", keyed_options_},
          {"snapshots", keyed_options_},
          {"meta", common_options()}};
}

void rocksdb_database::take(rocksdb::DB* db, const std::vector<rocksdb::ColumnFamilyHandle*>& handles) {
  db_.reset(db);
  watcher_->watch(db);
  default_ = handles[0];
  log_ = handles[1];
  index_ = handles[2];
  snapshots_ = handles[3];
  meta_ = handles[4];
}

void rocksdb_database::open_whole() {
  mend_write_ahead_logs();
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  auto status = rocksdb::DB::Open(db_options_, folder_, families(), &handles, &db);
  if (const auto table = status.IsCorruption() ? give_back_index_table(status.ToString()) : std::string(); !table.empty()) {
    status = rocksdb::DB::Open(db_options_, folder_, families(), &handles, &db);
    // Then it was another's, and a damaged folder stays as it is.
    if (!status.ok()) db_options_.env->DeleteFile(table).PermitUncheckedError();
  }
  if (is_locked(status)) refuse_locked();
  const auto reason = status.ToString();
  if (status.IsInvalidArgument()) refuse(errc::unknown_format, "is not a store that this program can open: " + reason);
  if (status.IsCorruption()) {
    refuse(errc::corrupt_store, "is damaged: " + reason + ". Where the damaged file belongs to the index or to the snapshots, " +
                                    "`cairn rebuild` makes a store of the log alone." + what_to_do);
  }
  check(status, "open the store", errc::corrupt_store);
  take(db, handles);
}

// Where RocksDB could not sync the manifest in which it had noted a new table of the index, it deletes that table, and may find
// the note at the next opening. The table's bytes are still in the file that it was taken in from. Returns the table's name, or
// nothing where that is not what is wrong.
std::string rocksdb_database::give_back_index_table(const std::string& reason) const {
  const auto end = reason.find(".ldb");  // the last name under which RocksDB looked for it
  const auto slash = reason.rfind('/', end);
  if (reason.find("No such file") == std::string::npos || end == std::string::npos || slash == std::string::npos) return {};
  const auto table = folder_ + reason.substr(slash, end - slash) + ".sst";
  const bool given = std::filesystem::exists(index_file()) && db_options_.env->LinkFile(index_file(), table).ok();
  return given ? table : std::string();
}

// Refuses damage, and cuts off what a crash tore; under the lock, so that nobody is writing what is looked at.
void rocksdb_database::mend_write_ahead_logs() {
  if (!std::filesystem::exists(folder_ + "/CURRENT")) return;
  rocksdb::FileLock* lock = nullptr;
  if (const auto status = db_options_.env->LockFile(folder_ + "/LOCK", &lock); !status.ok()) {
    if (is_locked(status)) refuse_locked();
    check(status, "lock the folder");
  }
  wal_findings found;
  rocksdb::Status cut;
  try {
    found = check_write_ahead_logs(folder_);
  } catch (...) {
    db_options_.env->UnlockFile(lock).PermitUncheckedError();
    throw;
  }
  for (const auto& tail : found.torn) {
    if (cut.ok()) cut = cut_off(tail);
  }
  check(db_options_.env->UnlockFile(lock), "unlock the folder");
  if (found.damage) refuse_damaged_records(*found.damage);
  check(cut, "cut off what a crash left of an append");
}

// Durably: or else it might be back after the next crash, and with newer logs behind it pass for damage.
rocksdb::Status rocksdb_database::cut_off(const torn_tail& tail) const {
  const auto& files = db_options_.env->GetFileSystem();
  std::unique_ptr<rocksdb::FSWritableFile> file;
  rocksdb::Status status = files->ReopenWritableFile(tail.file.string(), rocksdb::EnvOptions(db_options_), &file, nullptr);
  if (status.ok()) status = file->Truncate(tail.sound_bytes, {}, nullptr);
  if (status.ok()) status = file->Fsync({}, nullptr);
  if (status.ok()) status = file->Close({}, nullptr);
  return status;
}

// What is being written meanwhile would look like damage. Nobody can write where not even the lock can be made.
void rocksdb_database::require_unlocked() {
  rocksdb::FileLock* lock = nullptr;
  if (!std::filesystem::exists(folder_ + "/LOCK")) return;
  if (const auto status = db_options_.env->LockFile(folder_ + "/LOCK", &lock); status.ok()) {
    check(db_options_.env->UnlockFile(lock), "unlock the folder");
  } else if (is_locked(status)) {
    refuse_locked();
  }
}

void rocksdb_database::refuse_locked() const {
  refuse(errc::store_in_use, "is open in this or another process; close it there, or choose another folder");
}

void rocksdb_database::refuse_damaged_records(const std::string& damage) const {
  std::string intact = "How much comes before the damage cannot be told.";
  try {
    const rocksdb_database readable(*this, access::intact);
    log_walk log(readable);
    const auto end = log.last() ? log.chunk().end() : position{1};
    intact = "The records up to position " + std::to_string(end.value - 1) + " come before the damage and can be read.";
  } catch (const error&) {
    // Then nothing is known, and that is said.
  }
  refuse(errc::corrupt_record, damage + ", and opening it would lose the records behind that. " + intact + what_to_do);
}

// Point in time: up to the first damage and no further. In memory only; the files stay as they are. The write-ahead logs are
// held against the manifest here too: see holds_nothing().
void rocksdb_database::open_intact() {
  auto options = db_options_;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.create_if_missing = false;
  options.create_missing_column_families = false;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  auto status = rocksdb::DB::OpenForReadOnly(options, folder_, families(), &handles, &db);
  if (status.IsCorruption()) {
    // A table that cannot even be opened then fails where it is read, and what comes before it can be had.
    options.paranoid_checks = false;
    status = rocksdb::DB::OpenForReadOnly(options, folder_, families(), &handles, &db);
  }
  if (!status.ok()) refuse(errc::corrupt_store, "cannot be read at all: " + status.ToString());
  take(db, handles);
}

void rocksdb_database::read_meta(access how) {
  const auto get = [&](std::string_view key) {
    std::string value;
    const auto status = db_->Get(rocksdb::ReadOptions(), meta_, slice(key), &value);
    if (!status.IsNotFound()) check(status, "read what kind of store it is", errc::corrupt_store);
    return value;
  };
  const auto format = get(format_key);
  if (format.empty() && how == access::intact) refuse(errc::unknown_format, "is not a cairn store");
  if (format.empty()) {
    const std::unique_ptr<rocksdb::Iterator> any(db_->NewIterator(rocksdb::ReadOptions(), log_));
    any->SeekToFirst();
    if (any->Valid()) refuse(errc::unknown_format, "holds a log but no format version; it is not a cairn store");
    store_id_ = random_id();
    return write_meta(true);
  }
  if (format == format_unfinished) refuse(errc::unknown_format, "is left of an import that did not come to its end; delete it");
  std::uint32_t version = 0;
  if (format.size() == sizeof version) std::memcpy(&version, format.data(), sizeof version);
  if (version != store_format) {
    refuse(errc::unknown_format, "was written in format " + std::to_string(version) + ", and this program knows format " +
                                     std::to_string(store_format) +
                                     "; open it with the version of cairn that wrote it, and export it from there");
  }
  store_id_ = get(store_id_key);
  if (store_id_.size() != 16) refuse(errc::corrupt_store, std::string("has damaged meta data.") + what_to_do);
  if (how == access::intact) return;
  const auto epoch = get(epoch_key);
  if (epoch.size() != sizeof epoch_) refuse(errc::corrupt_store, std::string("has damaged meta data.") + what_to_do);
  std::memcpy(&epoch_, epoch.data(), sizeof epoch_);
  write_meta(false);
}

void rocksdb_database::write_meta(bool fresh) {
  rocksdb::WriteBatch batch;
  if (fresh) {
    batch.Put(meta_, slice(format_key), bytes_of(store_format)).PermitUncheckedError();
    batch.Put(meta_, slice(store_id_key), store_id_).PermitUncheckedError();
  }
  batch.Put(meta_, slice(epoch_key), bytes_of(++epoch_)).PermitUncheckedError();
  rocksdb::WriteOptions write;
  write.sync = true;
  check(db_->Write(write, &batch), "write its meta data", errc::corrupt_store);
}

void rocksdb_database::disown() {
  rocksdb::WriteOptions write;
  write.sync = true;
  check(db_->Put(write, meta_, slice(format_key), slice(format_unfinished)), "write its meta data", errc::corrupt_store);
}

void rocksdb_database::adopt(const std::string& store_id) {
  store_id_ = store_id;
  write_meta(true);
}

void rocksdb_database::clear_index() { make_empty(index_, "index"); }

void rocksdb_database::make_empty(rocksdb::ColumnFamilyHandle*& family, const std::string& name) {
  check(db_->DropColumnFamily(family), "drop its " + name);
  check(db_->DestroyColumnFamilyHandle(std::exchange(family, nullptr)), "drop its " + name);
  auto options = keyed_options_;
  options.disable_auto_compactions = false;
  check(db_->CreateColumnFamily(options, name, &family), "make an empty family for its " + name);
}

rocksdb::Options rocksdb_database::index_file_options() const { return {db_options_, keyed_options_}; }

std::string rocksdb_database::index_file() const { return folder_ + "/index-being-written"; }

void rocksdb_database::flush() {
  check_written({}, "flush");
  if (files_) files_->stop();
  rocksdb::FlushOptions options;
  check(db_->Flush(options, {log_, snapshots_, meta_}), "flush");
}

// By a write of nothing, because that waits for its turn: RocksDB's SyncWAL() beside a write that fails ends the process in a
// build with assertions, as Debian's is.
void rocksdb_database::sync_log() {
  rocksdb::WriteBatch nothing;
  rocksdb::WriteOptions write;
  write.sync = true;
  check_written(db_->Write(write, &nothing), "sync the log");
}

}  // namespace cairn::detail
