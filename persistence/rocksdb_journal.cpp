// The journal over RocksDB: appends become chunks of the log, and reads find them through the index.
//
// Read append() downward: stage, write, publish. What is staged is nowhere to be seen until it is written, and is forgotten
// where the write fails.
#include <cairn/rocksdb_journal.hpp>

#include "append_check.hpp"
#include "chain.hpp"
#include "exporter.hpp"
#include "index_run.hpp"
#include "log_chunk.hpp"
#include "log_walk.hpp"
#include "progress_report.hpp"
#include "rocksdb_backup.hpp"
#include "rocksdb_database.hpp"
#include "rocksdb_index.hpp"
#include "store_environment.hpp"
#include "verification.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <rocksdb/write_batch.h>
#include <unordered_map>
#include <utility>

namespace cairn {
namespace {

using detail::slice;
using detail::view;

/// A read of one aggregate collects the places of so many records at a time.
constexpr std::uint64_t window_records = 1024;
/// … and asks RocksDB for so many chunks at a time.
constexpr std::size_t chunks_at_once = 64;
constexpr std::uint64_t index_events_max = 100'000'000;
constexpr std::uint64_t block_cache_mib_max = std::uint64_t{1} << 20;

rocksdb_options checked(rocksdb_options options) {
  if (options.index_events_in_memory_max < 1 || options.index_events_in_memory_max > index_events_max) {
    throw error(errc::invalid_argument, "index_events_in_memory_max must be 1 to 100,000,000");
  }
  if (options.block_cache_mib > block_cache_mib_max)
    throw error(errc::invalid_argument, "block_cache_mib must be 0 to 1,048,576");
  return options;
}

class rocksdb_snapshots final : public snapshot_store {
public:
  explicit rocksdb_snapshots(const detail::rocksdb_database& database) : database_(database) {}

  void save(stream_view stream, version at, std::string_view bytes) override {
    if (!detail::is_storable(stream)) throw error(errc::invalid_argument, "no aggregate can be called so");
    const std::lock_guard lock(mutex_);
    // A snapshot that a power cut takes away is only made again, so none is worth a sync.
    const auto status = database_.db().Put(rocksdb::WriteOptions(), database_.snapshots(), key(stream, at), slice(bytes));
    database_.check_written(status, "save a snapshot of " + to_string(stream));
    const auto known = known_.find(stream);
    if (known == known_.end()) return;
    auto& versions = known->second;
    const auto place = std::lower_bound(versions.begin(), versions.end(), at);
    if (place == versions.end() || *place != at) versions.insert(place, at);
  }

  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    if (!detail::is_storable(stream)) return;
    const auto prefix = detail::stream_prefix(stream);
    const auto lowest = key(stream, version{});
    const auto bound = slice(lowest);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> found(database_.db().NewIterator(options, database_.snapshots()));
    for (found->SeekForPrev(key(stream, at_most)); found->Valid(); found->Prev()) {
      const auto at = detail::version_of(view(found->key()), prefix);
      if (!at || !visit({*at, view(found->value())})) return;
    }
    check(found->status(), "read");
  }

  void prune(stream_view stream, std::size_t keep) override {
    if (!detail::is_storable(stream)) return;
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
    auto key = detail::stream_prefix(stream);
    detail::set_version(key, key.size(), at);
    return key;
  }

  /// Oldest first. To read them leads over the marks of those that were deleted, until tables are merged.
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
    database_.check(status, what + " snapshots", errc::journal_unavailable);
  }

  static constexpr std::size_t known_max = 65'536;  // aggregates
  static constexpr std::size_t known_id_bytes_max = 256;

  const detail::rocksdb_database& database_;
  std::mutex mutex_;  // of all that writes
  /// Of aggregates that were pruned lately, the versions of all snapshots that there are, oldest first: to read them anew would
  /// be most of what a pruning costs. A write that fails leaves them as they were, so that at worst one snapshot too many is
  /// kept.
  std::unordered_map<stream_id, std::vector<version>, stream_hash, stream_equal> known_;
};

class log_store final : public rocksdb_store {
public:
  log_store(const std::filesystem::path& folder, const rocksdb_options& options, const detail::store_environment& environment)
      : database_(folder, options, environment), snapshots_(database_), index_(database_, options), chained_(environment.chained),
        clock_(environment.clock) {
    write_options_.sync = options.durability == durability::synced;
    try {
      recover(options.opening);
    } catch (const error& failure) {
      index_.abandon();
      if (failure.kind() != errc::corrupt_record) throw;
      throw error(failure.kind(), database_.told(failure.detail()) + "." + detail::what_to_do);
    } catch (...) {
      index_.abandon();  // the caller's progress_function threw
      throw;
    }
  }

  ~log_store() override;

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    if (appends.size() != outcomes.size()) throw error(errc::invalid_argument, "append() needs one outcome for each append");
    if (!failure_.empty()) throw error(errc::journal_unavailable, failure_);
    index_.make_room();
    try {
      stage(appends, outcomes);
    } catch (...) {
      unstage();
      throw;
    }
    if (staged_.empty()) return;
    try {
      write();
      publish();
    } catch (const std::exception& reason) {
      unstage();
      refuse_from_now_on(reason);
    }
  }

  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    auto found = index_.look_up(stream);
    auto next = std::max<std::uint64_t>(range.from.value, 1);
    auto end = std::min(range.to.value, found.version());
    if (range.limit == 0 || next > end) return;
    end = next + std::min(end - next, range.limit - 1);
    std::vector<detail::place> places;
    while (next <= end) {
      const auto last = next + std::min(end - next, window_records - 1);
      places.clear();
      found.collect(next, last, places);
      if (!visit_places(stream, version{next}, places, visit)) return;
      next = last + 1;
    }
  }

  position read_all(position from, const record_visitor& visit) const override;

  version highest(stream_view stream) const override { return version{index_.look_up(stream).version()}; }

  position last() const override { return position{last_.load(std::memory_order_acquire)}; }

  snapshot_store& snapshots() override { return snapshots_; }

  chain_head head() const override;
  verification verify(const verify_options& options) const override;
  position backup(const std::filesystem::path& folder, std::size_t keep) override;
  chain_head export_to(std::ostream& out, const export_options& options) const override {
    return detail::export_store(database_, out, options);
  }
  std::uint64_t records_replayed() const override { return replayed_; }

private:
  void stage(std::span<const atomic_append> appends, std::span<append_outcome> outcomes);
  append_outcome stage_one(atomic_append append, std::span<const std::uint32_t> streams);
  position first_time(atomic_append append, std::span<const std::string_view> staged) const;
  void stage_frames(const addition& addition, std::uint32_t stream);
  void close_chunk();
  void unstage();
  void write();
  void publish();
  [[noreturn]] void refuse_from_now_on(const std::exception& reason);

  void recover(const progress_function& tell);
  bool visit_places(stream_view stream, version first, std::span<const detail::place> places, const record_visitor& visit) const;

  detail::rocksdb_database database_;
  rocksdb_snapshots snapshots_;
  detail::rocksdb_index index_;
  rocksdb::WriteOptions write_options_;
  const bool chained_;
  const detail::progress_report::clock clock_;
  std::uint64_t replayed_ = 0;
  std::atomic<std::uint64_t> last_ = 0;

  // The writer's own. The buffers keep their memory from batch to batch.
  detail::sha256 sha256_;
  detail::digest head_{};  // the hash of the last durable chunk
  detail::digest staged_head_{};
  detail::chunk_writer chunk_;
  rocksdb::WriteBatch batch_;
  std::vector<detail::named_stream> named_;  // the aggregates of all additions
  std::vector<std::uint32_t> found_;         // and their numbers in the index
  std::vector<detail::staged_record> staged_;
  std::vector<std::uint32_t> touched_;  // the aggregates of the batch
  std::string failure_;                 // why a write failed; empty while none has
};

log_store::~log_store() {
  if (!failure_.empty()) return;
  try {
    database_.flush();
  } catch (const error&) {
    // What is not in tables is in the write-ahead log.
  }
}

void log_store::stage(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) {
  staged_.clear();
  touched_.clear();
  batch_.Clear();
  staged_head_ = head_;
  chunk_.begin(last() + 1, head_);
  named_.clear();
  std::uint64_t records = 0;
  for (const auto& append : appends) {
    detail::require_sound(append);
    for (const auto& addition : append) {
      named_.push_back({addition.stream, detail::stream_table::hash(addition.stream)});
      records += addition.events;
    }
  }
  detail::require_positions(last(), records);
  index_.find(named_, found_);
  std::span<const std::uint32_t> streams(found_);
  std::size_t gathered = 0;
  std::vector<std::string_view> bodies;  // what is staged, gathered only for a conflict that may be a repeat
  for (std::size_t i = 0; i < appends.size(); ++i) {
    outcomes[i] = stage_one(appends[i], streams.first(appends[i].size()));
    streams = streams.subspan(appends[i].size());
    if (outcomes[i].stored) continue;
    for (; gathered < i; ++gathered) {
      // Neither a conflict nor a repeat, of earlier calls or of this one.
      if (!outcomes[gathered].stored || outcomes[gathered].first != last() + 1 + bodies.size()) continue;
      for (const auto& addition : appends[gathered]) {
        detail::for_each_frame(addition, [&](std::string_view body, const record_view&) { bodies.push_back(body); });
      }
    }
    const auto first = first_time(appends[i], bodies);
    if (first > position{}) outcomes[i] = {.stored = true, .first = first, .stands = {}};
  }
  if (!chunk_.empty()) close_chunk();
}

append_outcome log_store::stage_one(atomic_append append, std::span<const std::uint32_t> streams) {
  const auto touched_before = touched_.size();
  for (std::size_t n = 0; n < append.size(); ++n) {
    const auto& addition = append[n];
    auto& stands = index_.staged(streams[n]);
    if (stands != addition.expected.value) {
      const version conflicting{stands};
      for (auto i = touched_.size(); i-- > touched_before;) {
        index_.staged(touched_[i]) = append[i - touched_before].expected.value;
      }
      touched_.resize(touched_before);
      return {.stored = false, .first = {}, .stands = conflicting};
    }
    stands += addition.events;
    touched_.push_back(streams[n]);
  }
  const auto first = chunk_.next();
  for (std::size_t i = 0; i < append.size(); ++i) stage_frames(append[i], touched_[touched_before + i]);
  return {.stored = true, .first = first, .stands = {}};
}

void log_store::stage_frames(const addition& addition, std::uint32_t stream) {
  detail::for_each_frame(addition, [&](std::string_view body, const record_view&) {
    if (!chunk_.has_room(body.size())) {
      close_chunk();
      chunk_.begin(chunk_.next(), staged_head_);
    }
    staged_.push_back({stream, chunk_.add(body)});
  });
}

// Where the records of `append` stand already, one after the other, in the log or among the `staged` ones that follow it. 0 where
// they do not, or where one of them has no command id to be known by.
position log_store::first_time(atomic_append append, std::span<const std::string_view> staged) const {
  std::vector<std::string_view> bodies;
  bool known = true;
  for (const auto& addition : append) {
    detail::for_each_frame(addition, [&](std::string_view body, const record_view& record) {
      bodies.push_back(body);
      known = known && !record.command_id.empty();
    });
  }
  if (!known || bodies.empty()) return {};
  const auto first_version = append.front().expected + 1;
  position first;
  read(append.front().stream, {first_version, first_version}, [&](const record_view& record) {
    if (record.body == bodies.front()) first = record.position;
    return false;
  });
  if (first == position{}) {
    const auto found = std::find(staged.begin(), staged.end(), bodies.front());
    if (found == staged.end()) return {};
    first = last() + 1 + static_cast<std::uint64_t>(found - staged.begin());
  }
  std::size_t same = 0;
  read_all(first, [&](const record_view& record) { return record.body == bodies[same] && ++same < bodies.size(); });
  const auto end_of_log = last() + 1;
  while (same < bodies.size() && first + same >= end_of_log) {
    const auto place = (first + same).value - end_of_log.value;
    if (place >= staged.size() || staged[place] != bodies[same]) break;
    ++same;
  }
  return same == bodies.size() ? first : position{};
}

void log_store::close_chunk() {
  const auto key = detail::log_key(chunk_.first());
  const std::string_view key_bytes(key.data(), key.size());
  const auto value = chunk_.finish();
  if (chained_) staged_head_ = sha256_(key_bytes, value);
  database_.check(batch_.Put(database_.log(), slice(key_bytes), slice(value)), "append", errc::journal_unavailable);
}

void log_store::unstage() {
  for (const auto stream : touched_) index_.unstage(stream);
}

void log_store::write() { database_.check_written(database_.db().Write(write_options_, &batch_), "append"); }

void log_store::publish() {
  const auto first = last() + 1;
  index_.publish(first, staged_);
  head_ = staged_head_;
  last_.store(first.value + staged_.size() - 1, std::memory_order_release);
}

// Whether the batch is on the disk is unknown now, and so is what another sync would mean: after one that failed, the system may
// call pages clean that never reached the disk. Only reading everything back, by opening the store again, tells.
void log_store::refuse_from_now_on(const std::exception& reason) {
  index_.abandon();
  const auto* const known = dynamic_cast<const error*>(&reason);
  failure_ =
      "an append failed, and the store takes no more until it is opened again: " + (known ? known->detail() : reason.what());
  throw error(errc::journal_unavailable, failure_);
}

bool log_store::visit_places(stream_view stream, version first, std::span<const detail::place> places,
                             const record_visitor& visit) const {
  std::array<std::array<char, 8>, chunks_at_once> keys;
  std::array<rocksdb::Slice, chunks_at_once> key_slices;
  std::array<rocksdb::PinnableSlice, chunks_at_once> values;
  std::array<rocksdb::Status, chunks_at_once> statuses;
  for (std::size_t next = 0; next < places.size();) {
    std::size_t chunks = 0;
    std::size_t end = next;
    for (; end < places.size(); ++end) {
      if (end > next && places[end].chunk == places[end - 1].chunk) continue;
      // Later versions stand at later positions; RocksDB may end the process over keys that do not rise.
      if (end > 0 && places[end].chunk < places[end - 1].chunk) {
        throw error(errc::corrupt_record, database_.folder() + ": the index says that version " +
                                              std::to_string((first + end).value) + " of " + to_string(stream) +
                                              " is at position " + std::to_string(places[end].where().value) +
                                              ", before the version before it");
      }
      if (chunks == chunks_at_once) break;
      keys[chunks] = detail::log_key(position{places[end].chunk});
      key_slices[chunks] = {keys[chunks].data(), keys[chunks].size()};
      values[chunks].Reset();
      ++chunks;
    }
    database_.db().MultiGet(rocksdb::ReadOptions(), database_.log(), chunks, key_slices.data(), values.data(), statuses.data(),
                            true);
    std::size_t chunk = 0;
    std::optional<detail::chunk_reader> reader;
    for (auto here = next; here < end; ++here) {
      const auto expected = first + here;
      const auto where = places[here].where();
      record_view record;
      try {
        if (here > next && places[here].chunk != places[here - 1].chunk) {
          ++chunk;
          reader.reset();
        }
        if (!reader) {
          database_.check(statuses[chunk], "read the log");
          reader.emplace(view(key_slices[chunk]), view(values[chunk]));
        }
        record = decode_record(where, reader->at(places[here].slot));
        if (record.stream != stream || record.version != expected) {
          throw error(errc::corrupt_record, "the log has version " + std::to_string(record.version.value) + " of " +
                                                to_string(record.stream) + " there");
        }
      } catch (const error& failure) {
        throw error(failure.kind(), "version " + std::to_string(expected.value) + " of " + to_string(stream) + ", at position " +
                                        std::to_string(where.value) + ": " + failure.detail());
      }
      if (!visit(record)) return false;
    }
    next = end;
  }
  return true;
}

position log_store::read_all(position from, const record_visitor& visit) const {
  from = std::max(from, position{1});
  const auto end = last();
  if (from > end) return from;
  const auto missing = [&] {
    return error(errc::corrupt_record, database_.folder() + ": the log has no record at position " + std::to_string(from.value));
  };
  detail::log_walk log(database_);
  bool there = log.seek(from);
  for (bool inside = true; from <= end; there = log.next(), inside = false) {
    if (!there) throw missing();
    auto chunk = log.chunk();
    if (inside ? from >= chunk.end() : from != chunk.first()) throw missing();
    auto slot = static_cast<std::uint32_t>(from.value - chunk.first().value);
    for (; !chunk.done(); ++slot) {
      const auto where = from;
      from = from + 1;
      if (!visit(decode_record(where, chunk.at(slot)))) return from;
    }
  }
  return from;
}

chain_head log_store::head() const {
  detail::log_walk log(database_);
  detail::chain chain(database_.store_id());
  if (log.last()) chain.begin_behind(log.key(), log.value());
  return chain.head();
}

verification log_store::verify(const verify_options& options) const { return detail::verify_store(database_, options, clock_); }

position log_store::backup(const std::filesystem::path& folder, std::size_t keep) {
  const auto through = last();
  detail::back_up(database_, folder, keep);
  return through;
}

// Reads the log from where the index on disk ends, checks the chain from there, and so learns the head and the last position.
void log_store::recover(const progress_function& tell) {
  detail::log_walk log(database_);
  detail::chain chain(database_.store_id());
  const auto end = log.last() ? log.chunk().end() : position{1};
  if (index_.complete_through() >= end) {
    throw error(errc::corrupt_store, database_.folder() + ": the index goes to position " +
                                         std::to_string(index_.complete_through().value) + ", and the log only to position " +
                                         std::to_string(end.value - 1) + ": records that were stored are missing." +
                                         detail::what_to_do);
  }
  index_.make_older_form_anew();
  const auto through = index_.complete_through();
  if (end > position{1}) {
    // The chunk of the first record that the index lacks; the last one where it lacks none, for the head's sake.
    bool there = log.seek(std::min(through + 1, position{end.value - 1}));
    if (there && log.chunk().first() > position{1} && (there = log.previous())) {
      chain.begin_behind(log.key(), log.value());
      log.next();
    }
    if (!there) throw error(errc::corrupt_record, "the log does not begin at position 1");
    detail::progress_report progress(tell, end.value - chain.next().value, clock_);
    for (; there; there = log.next()) {
      auto chunk = log.chunk();
      chain.require(chunk);
      auto next = chain.next();
      for (std::uint8_t slot = 0; !chunk.done(); ++slot, next = next + 1) {
        const auto record = decode_record(next, chunk.next());
        if (next > through) index_.restore(record, slot);
      }
      chain.pass(log.key(), log.value(), next);
      progress.add(chunk.count());
    }
    progress.end();
  }
  head_ = chain.hash();
  last_ = chain.next().value - 1;
  replayed_ = last_ - std::min(last_.load(), through.value);
}

}  // namespace

std::unique_ptr<rocksdb_store> rocksdb_journal(const std::filesystem::path& folder, rocksdb_options options) {
  return detail::open_rocksdb_store(folder, options, {});
}

std::unique_ptr<rocksdb_store> detail::open_rocksdb_store(const std::filesystem::path& folder, const rocksdb_options& options,
                                                          const store_environment& environment) {
  return std::make_unique<log_store>(folder, checked(options), environment);
}

void strip_rocksdb_journal(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder / "CURRENT")) {
    throw error(errc::invalid_argument, folder.string() + ": there is no store here");
  }
  detail::rocksdb_database(folder, {}, {}, detail::access::log_only);
}

}  // namespace cairn
