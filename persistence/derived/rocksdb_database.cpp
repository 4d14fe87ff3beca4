#include "rocksdb_database.hpp"

#include "../log/io.hpp"
#include "index_run.hpp"

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <system_error>
#include <utility>
#include <vector>

namespace cairn::inline v1::detail {
namespace {

constexpr const char* index_family = "index";
constexpr const char* snapshots_family = "snapshots";

/// What the keys of one aggregate share: all but the version. Bloom filters are made of these, so that a new aggregate is known
/// to be new without reading.
class stream_of_key final : public rocksdb::SliceTransform {
public:
  const char* Name() const override { return "cairn.stream"; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return {key.data(), key.size() - version_suffix_bytes}; }
  bool InDomain(const rocksdb::Slice& key) const override { return key.size() > version_suffix_bytes && key[0] != 0; }
};

/// No LOG file of RocksDB's own: a build with assertions, as Debian's is, ends the process if that file cannot be written.
/// Failures come back as a status.
class silence final : public rocksdb::Logger {
public:
  void Logv(const char*, va_list) override {}
};

/// No recovery from errors in the background, also not when the disk has space again: in it RocksDB 7.8 with assertions, as
/// Debian's is, may end the process. What could not be written is written by the next opening.
class no_recovery final : public rocksdb::EventListener {
public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

rocksdb::DBOptions make_db_options(const rocksdb_settings& settings) {
  rocksdb::DBOptions options;
  options.create_if_missing = !settings.read_only;
  options.create_missing_column_families = !settings.read_only;
  options.paranoid_checks = true;
  // Only snapshots go through its write-ahead log, and those that it lost are made again.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.max_total_wal_size = std::uint64_t{64} << 20;
  options.max_background_jobs = 2;
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<no_recovery>());
  options.bytes_per_sync = 1 << 20;
  // All tables are opened when the database is, and when they are made. A table that RocksDB 7.8 opens later and cannot open ends
  // an iterator as if nothing were behind.
  options.max_open_files = -1;
  options.max_file_opening_threads = 1;
  options.skip_stats_update_on_db_open = true;
  options.info_log = std::make_shared<silence>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  if (settings.env) options.env = settings.env;
  return options;
}

rocksdb::ColumnFamilyOptions make_keyed_options(std::uint64_t block_cache_mib) {
  // Few shards: by itself RocksDB makes many small ones, in which the filters of a large index, a megabyte each, push each other
  // out.
  constexpr int shard_bits = 2;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(block_cache_mib << 20, shard_bits);
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = false;
  rocksdb::ColumnFamilyOptions options;
  options.ttl = 0;
  options.periodic_compaction_seconds = 0;
  options.write_buffer_size = std::size_t{16} << 20;
  options.prefix_extractor = std::make_shared<stream_of_key>();
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

/// So many small tables stay when the database is closed.
constexpr std::size_t small_tables_max = 16;
constexpr std::uint64_t small_table_bytes = std::uint64_t{1} << 20;

/// The error of the system that RocksDB's sentence speaks of. 0 if there is none.
int refusal_in(const std::string& sentence) {
  static constexpr std::array refusals{EMFILE, ENFILE, ENOSPC, EDQUOT, ENOMEM, EACCES, EPERM, EROFS, EIO, EAGAIN};
  for (const auto refusal : refusals) {
    if (sentence.find(std::strerror(refusal)) != sentence.npos) return refusal;
  }
  return 0;
}

}  // namespace

rocksdb_database::rocksdb_database(const rocksdb_settings& settings)
    : settings_(settings), db_options_(make_db_options(settings)), keyed_options_(make_keyed_options(settings.block_cache_mib)) {
  open();
}

rocksdb_database::~rocksdb_database() { close(); }

void rocksdb_database::open() {
  const std::vector<rocksdb::ColumnFamilyDescriptor> families{
      {rocksdb::kDefaultColumnFamilyName, {}}, {index_family, keyed_options_}, {snapshots_family, keyed_options_}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  rocksdb::Status status;
  try {
    status = settings_.read_only ? rocksdb::DB::OpenForReadOnly(db_options_, settings_.path, families, &handles, &raw)
                                 : rocksdb::DB::Open(db_options_, settings_.path, families, &handles, &raw);
  } catch (const std::system_error& failure) {
    throw error(errc::journal_unavailable,
                settings_.shown_path + ": cannot start a thread: " + reason_of(failure.code().value()));
  }
  if (!status.ok()) {
    if (refusal_in(status.ToString()) != 0) check(status, "open the index and the snapshots");
    throw unusable_database(reason(status));
  }
  db_.reset(raw);
  meta_ = handles[0];
  index_ = handles[1];
  snapshots_ = handles[2];
}

void rocksdb_database::close() noexcept {
  if (!db_) return;
  for (auto* handle : {meta_, index_, snapshots_}) {
    if (handle) db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  db_->Close().PermitUncheckedError();
  db_.reset();
}

bool rocksdb_database::is_damage(const rocksdb::Status& status) {
  if (status.ok() || refusal_in(status.ToString()) != 0) return false;
  return status.IsCorruption() || status.IsNotFound() || status.IsPathNotFound() ||
         status.ToString().find(std::strerror(ENOENT)) != std::string::npos;
}

std::string rocksdb_database::reason(const rocksdb::Status& status) const {
  auto text = status.ToString();
  for (auto at = text.find(settings_.path); at != text.npos; at = text.find(settings_.path, at + settings_.shown_path.size())) {
    text.replace(at, settings_.path.size(), settings_.shown_path);
    if (settings_.path == settings_.shown_path) break;
  }
  const auto refusal = refusal_in(text);
  if (refusal == 0) return text;
  const auto sentence = reason_of(refusal);
  const auto remedy = sentence.find("; ");
  return remedy == sentence.npos ? text : text + sentence.substr(remedy);
}

void rocksdb_database::check(const rocksdb::Status& status, std::string_view what) const {
  if (status.ok()) return;
  throw error(errc::journal_unavailable, settings_.shown_path + ": cannot " + std::string(what) + ": " + reason(status));
}

rocksdb::Options rocksdb_database::index_file_options() const { return {db_options_, keyed_options_}; }

void rocksdb_database::merge_small_tables(rocksdb::ColumnFamilyHandle* family) const {
  rocksdb::ColumnFamilyMetaData tables;
  db_->GetColumnFamilyMetaData(family, &tables);
  std::vector<std::string> small;
  for (const auto& level : tables.levels) {
    if (level.level > 1) break;
    for (const auto& table : level.files) {
      if (table.size < small_table_bytes) small.push_back(table.name);
    }
  }
  if (small.size() >= small_tables_max) db_->CompactFiles({}, family, small, 1).PermitUncheckedError();
}

void rocksdb_database::clear_index() { clear(index_, index_family); }

void rocksdb_database::clear_snapshots() { clear(snapshots_, snapshots_family); }

void rocksdb_database::clear(rocksdb::ColumnFamilyHandle*& family, const std::string& name) {
  check(db_->DropColumnFamily(family), "clear the " + name);
  check(db_->DestroyColumnFamilyHandle(std::exchange(family, nullptr)), "clear the " + name);
  check(db_->CreateColumnFamily(keyed_options_, name, &family), "clear the " + name);
}

}  // namespace cairn::detail
