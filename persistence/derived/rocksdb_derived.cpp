#include "rocksdb_derived.hpp"

#include "../log/hex.hpp"
#include "rocksdb_database.hpp"
#include "rocksdb_index.hpp"
#include "rocksdb_snapshots.hpp"

#include <utility>

namespace cairn::inline v1::detail {
namespace {

/// A file that says that a reader found the index damaged.
constexpr const char* damage_name = "damaged";
constexpr std::string_view store_id_key = "store id";
/// The file of RocksDB that names all others. Without it RocksDB makes a new database.
constexpr const char* database_root_name = "CURRENT";

std::shared_ptr<folder> derived_folder(const store_folder& store, bool make) {
  return open_folder(store.root(), derived_name, make);
}

void remove_all(folder& derived) {
  for (const auto& name : names_in(derived)) remove_file(derived, name);
}

/// RocksDB 7.8 keeps a write-ahead log that nothing was written to until a later one is flushed, so that one would pile up for
/// each opening.
void remove_empty_logs(folder& derived) {
  for (const auto& name : names_in(derived)) {
    if (!name.ends_with(".log")) continue;
    if (size_of(*open_file(derived, name, open_mode::read), path_in(derived, name)) == 0) remove_file(derived, name);
  }
}

bool is_in(folder& derived, const std::string& name) { return open_file_if_any(derived, name, open_mode::read) != nullptr; }

class derived_in_rocksdb final : public derived_data {
public:
  derived_in_rocksdb(std::shared_ptr<folder> place, const rocksdb_settings& settings)
      : place_(std::move(place)), read_only_(settings.read_only), database_(settings),
        index_(rocksdb_index(database_, [this] { note_damage(); })),
        snapshots_(rocksdb_snapshots(
            database_, [this] { note_damage(); }, [this] { return last_(); })) {}

  index_storage& index() override { return *index_; }
  snapshot_store& snapshots() override { return *snapshots_; }
  std::string follow_log(const std::function<position()>& last) override {
    last_ = last;
    const auto saved = log_of_snapshots(database_);
    if (saved && *saved <= last_()) return {};
    database_.clear_snapshots();
    if (!saved) return "they cannot be read";
    return "they go to position " + std::to_string(saved->value) + ", and after a power cut the log only to position " +
           std::to_string(last_().value);
  }
  void flush() override {
    database_.check(database_.db().Flush({}, database_.snapshots()), "flush the snapshots");
    for (auto* const family : {database_.index(), database_.snapshots()}) database_.merge_small_tables(family);
  }

  void check() const override {
    const auto status = database_.db().VerifyChecksum();
    if (rocksdb_database::is_damage(status)) {
      throw error(errc::corrupt_store, place_->path() + ": index or snapshots are damaged: " + database_.reason(status) +
                                           ". `cairn rebuild` makes the index again from the log");
    }
    database_.check(status, "read index and snapshots");
  }

  /// Nothing if it is new.
  std::optional<std::string> read_store_id() const {
    std::string id;
    const auto status = database_.db().Get({}, database_.meta(), slice(store_id_key), &id);
    if (status.IsNotFound()) return std::nullopt;
    if (rocksdb_database::is_damage(status)) throw unusable_database(database_.reason(status));
    database_.check(status, "read whose index it is");
    return id;
  }
  void write_store_id(std::string_view id) {
    rocksdb::WriteOptions synced;
    synced.sync = true;
    database_.check(database_.db().Put(synced, database_.meta(), slice(store_id_key), slice(id)), "write whose index it is");
  }

private:
  void note_damage() const {
    if (read_only_) return;
    std::unique_ptr<file> note;
    // If it cannot be made, the next opening finds the damage where this one did.
    static_cast<void>(place_->open(damage_name, open_mode::open_or_create, note));
  }

  std::shared_ptr<folder> place_;
  const bool read_only_;
  rocksdb_database database_;
  std::unique_ptr<index_storage> index_;
  std::function<position()> last_ = [] { return position{}; };
  std::unique_ptr<snapshot_store> snapshots_;
};

rocksdb_settings settings_of(folder& place, const derived_options& options) {
  rocksdb_settings settings;
  settings.shown_path = place.path();
  // By the open folder, so that files go where the folder goes if it is renamed.
  const auto stable = place.stable_path();
  settings.path = stable.empty() ? settings.shown_path : stable;
  settings.block_cache_mib = options.block_cache_mib;
  settings.env = options.env;
  return settings;
}

std::unique_ptr<derived_in_rocksdb> open_checked(const store_folder& store, std::shared_ptr<folder> place,
                                                 const rocksdb_settings& settings) {
  auto opened = std::make_unique<derived_in_rocksdb>(std::move(place), settings);
  const auto& id = store.identity().id;
  const std::string own(id.data(), id.size());
  const auto found = opened->read_store_id();
  if (found && *found != own) throw unusable_database("they are of the store " + to_hex(*found));
  if (!found && !settings.read_only) {
    if (opened->index().mark()) throw unusable_database("they do not say of which store they are");
    opened->write_store_id(own);
  }
  opened->index().mark();  // fails if it is damaged
  return opened;
}

}  // namespace

std::unique_ptr<derived_data> open_derived(const store_folder& store, derived_options options) {
  const auto place = derived_folder(store, true);
  const auto settings = settings_of(*place, options);
  std::string reason;
  try {
    if (is_in(*place, index_file_name)) remove_file(*place, index_file_name);
    if (is_in(*place, damage_name)) throw unusable_database("a reader found damage in them");
    remove_empty_logs(*place);
    if (!is_in(*place, database_root_name)) {
      if (store.high_water() && store.high_water()->through > position{}) {
        options.warn(store.path() + ": index and snapshots are missing, and are made again from the log");
      }
      remove_all(*place);
    }
    return open_checked(store, place, settings);
  } catch (const unusable_database& failure) { reason = failure.what(); } catch (const error& failure) {
    if (failure.kind() != errc::corrupt_store) throw;
    reason = failure.detail();
  }
  options.warn(store.path() + ": index and snapshots cannot be used, and are made again from the log: " + reason);
  remove_all(*place);
  try {
    return open_checked(store, place, settings);
  } catch (const unusable_database& failure) {
    throw error(errc::journal_unavailable, place->path() + ": cannot make an index: " + failure.what());
  }
}

std::unique_ptr<derived_data> open_derived_for_reading(const store_folder& store) {
  const auto place = derived_folder(store, false);
  if (!place || names_in(*place).empty()) return nullptr;
  auto settings = settings_of(*place, {.block_cache_mib = 8});
  settings.read_only = true;
  try {
    return open_checked(store, place, settings);
  } catch (const unusable_database& failure) {
    throw error(errc::corrupt_store, place->path() + ": the index cannot be read: " + failure.what() +
                                         ". Opening the store makes it again from the log");
  }
}

void remove_derived(const store_folder& store) {
  if (const auto place = derived_folder(store, false)) remove_all(*place);
}

}  // namespace cairn::detail
