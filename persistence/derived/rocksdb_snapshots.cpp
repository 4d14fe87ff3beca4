#include "rocksdb_snapshots.hpp"

#include "index_run.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <rocksdb/write_batch.h>
#include <unordered_map>
#include <vector>

namespace cairn::inline v1::detail {
namespace {

/// The key of the log's last position. No snapshot's key begins with a zero.
constexpr std::string_view log_key{"\0", 1};

class snapshots_in_rocksdb final : public snapshot_store {
public:
  snapshots_in_rocksdb(const rocksdb_database& database, std::function<void()> note_damage, std::function<position()> last)
      : database_(database), note_damage_(std::move(note_damage)), last_(std::move(last)) {}

  void save(stream_view stream, version at, std::string_view bytes) override {
    if (!is_storable(stream))
      throw error(errc::invalid_argument, "an aggregate cannot have this name: " + to_string(stream).substr(0, 200));
    const std::lock_guard lock(mutex_);
    // A snapshot that a power cut takes is made again, so none is worth a sync. One that a power cut leaves, though the log lost
    // its records, is known by the position.
    rocksdb::WriteBatch batch;
    check(batch.Put(database_.snapshots(), key(stream, at), slice(bytes)), "save");
    const auto last = last_().value;
    check(batch.Put(database_.snapshots(), slice(log_key), {reinterpret_cast<const char*>(&last), sizeof last}), "save");
    check(database_.db().Write(rocksdb::WriteOptions(), &batch), "save");
    const auto known = known_.find(stream);
    if (known == known_.end()) return;
    auto& versions = known->second;
    const auto place = std::lower_bound(versions.begin(), versions.end(), at);
    if (place == versions.end() || *place != at) versions.insert(place, at);
  }

  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    if (!is_storable(stream)) return;
    const auto prefix = stream_prefix(stream);
    const auto lowest = key(stream, version{});
    const auto bound = slice(lowest);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> found(database_.db().NewIterator(options, database_.snapshots()));
    for (found->SeekForPrev(key(stream, at_most)); found->Valid(); found->Prev()) {
      const auto at = version_of(view(found->key()), prefix);
      if (!at || !visit({*at, view(found->value())})) return;
    }
    check(found->status(), "read");
  }

  void prune(stream_view stream, std::size_t keep) override {
    if (!is_storable(stream)) return;
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(stream);
    if (known != known_.end()) return delete_oldest(stream, known->second, keep);
    auto versions = versions_of(stream);
    delete_oldest(stream, versions, keep);
    if (stream.id.size() > known_id_bytes_max) return;
    if (known_.size() >= known_max) known_.clear();
    known_.emplace(stream, std::move(versions));
  }

private:
  static std::string key(stream_view stream, version at) {
    auto key = stream_prefix(stream);
    set_version(key, key.size(), at);
    return key;
  }

  /// Oldest first. Reading them passes the marks of those that were deleted, until tables are merged.
  std::vector<version> versions_of(stream_view stream) const {
    std::vector<version> versions;
    read_newest_first(stream, version::max(), [&](const snapshot_view& found) {
      versions.push_back(found.version);
      return true;
    });
    std::reverse(versions.begin(), versions.end());
    return versions;
  }

  /// All but `keep` of `versions`, which are all that there are.
  void delete_oldest(stream_view stream, std::vector<version>& versions, std::size_t keep) {
    if (versions.size() <= keep) return;
    const auto kept = versions.end() - static_cast<std::ptrdiff_t>(keep);
    rocksdb::WriteBatch batch;
    for (auto old = versions.begin(); old != kept; ++old) {
      check(batch.Delete(database_.snapshots(), key(stream, *old)), "delete");
    }
    check(database_.db().Write(rocksdb::WriteOptions(), &batch), "delete");
    versions.erase(versions.begin(), kept);
  }

  void check(const rocksdb::Status& status, const std::string& what) const {
    if (rocksdb_database::is_damage(status)) {
      note_damage_();
      throw error(errc::corrupt_store, database_.shown_path() + ": cannot " + what + " snapshots: " + database_.reason(status) +
                                           ". Open the store again: it removes the damaged ones");
    }
    database_.check(status, what + " snapshots");
  }

  static constexpr std::size_t known_max = 65'536;  // aggregates
  static constexpr std::size_t known_id_bytes_max = 256;

  const rocksdb_database& database_;
  const std::function<void()> note_damage_;
  const std::function<position()> last_;
  std::mutex mutex_;  // of all that writes
  /// The versions of all snapshots of aggregates that were pruned lately, oldest first: reading them again would be most of what
  /// pruning costs. A write that fails leaves them as they were, so that at worst one snapshot too many is kept.
  std::unordered_map<stream_id, std::vector<version>, stream_hash, stream_equal> known_;
};

}  // namespace

std::unique_ptr<snapshot_store> rocksdb_snapshots(rocksdb_database& database, std::function<void()> note_damage,
                                                  std::function<position()> last) {
  return std::make_unique<snapshots_in_rocksdb>(database, std::move(note_damage), std::move(last));
}

std::optional<position> log_of_snapshots(const rocksdb_database& database) {
  rocksdb::PinnableSlice value;
  const auto status = database.db().Get(rocksdb::ReadOptions(), database.snapshots(), slice(log_key), &value);
  if (status.IsNotFound()) return position{};
  if (rocksdb_database::is_damage(status)) return std::nullopt;
  database.check(status, "read of which log the snapshots are");
  position found;
  if (value.size() != sizeof found.value) return std::nullopt;
  std::memcpy(&found.value, value.data(), sizeof found.value);
  return found;
}

}  // namespace cairn::detail
