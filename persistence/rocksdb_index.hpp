// Where each aggregate's records are: the newest generations in memory, everything older in the column family `index`.
//
// The log is the truth and the index follows it: this file never decides what an aggregate's events are, only where. It has
// the one background thread of the store, which writes a full generation behind.
#pragma once

#include "index_memory.hpp"
#include "rocksdb_database.hpp"

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace cairn::detail {

/// A record that is about to be durable. Its position follows from its place in the batch.
struct staged_record {
  std::uint32_t stream;  // as rocksdb_index::find() numbers it
  std::uint8_t slot;
};

/// An aggregate and its stream_table::hash().
struct named_stream {
  stream_view name;
  std::uint64_t hash;
};

/// Thread safety: "the writer" is one thread at a time; everything else may be called from any thread at any time.
class rocksdb_index {
public:
  /// Starts with what the column family holds; the caller then adds the log's records from complete_through() on.
  rocksdb_index(rocksdb_database& database, const rocksdb_options& options);
  /// Writes everything behind, where the disk lets it.
  ~rocksdb_index();
  rocksdb_index(const rocksdb_index&) = delete;
  rocksdb_index& operator=(const rocksdb_index&) = delete;

  /// Every record up to here is in the column family, as it was at opening.
  position complete_through() const { return complete_through_; }
  /// An index of the form before this one is dropped, and complete_through() is 0 then. Comes after what it says of the log was
  /// held against the log.
  void make_older_form_anew();

  // --- the writer ---

  /// The numbers of these aggregates in the current generation, in the same order; some may have to be looked for on disk. Valid
  /// until make_room(). Asked for many at once, because with more of them than the processor caches their misses overlap, and
  /// those on disk are read together.
  void find(std::span<const named_stream> streams, std::vector<std::uint32_t>& found);
  /// The version with all that is staged.
  std::uint64_t& staged(std::uint32_t stream) { return current_->streams[stream].staged; }
  /// Forgets what is staged for it.
  void unstage(std::uint32_t stream);
  /// Makes records visible: the first has position `first`, the others follow.
  void publish(position first, std::span<const staged_record> records);
  /// Adds one record of the log, at opening. Throws error(errc::corrupt_record) where it does not follow its aggregate's last.
  void restore(const record_view& record, std::uint8_t slot);
  /// Begins a new generation where the current one is full, and waits where the one before is not written yet either.
  /// Throws error(errc::journal_unavailable) where the index cannot be written and no room is left; nothing is lost by it.
  void make_room();
  /// Gives up writing behind: the log's own state is unknown, and opening it again will tell.
  void abandon();

  // --- readers ---

  /// What is known of one aggregate at one moment, and how to get at its places.
  class view {
  public:
    std::uint64_t version() const { return version_; }
    /// Appends the places of the versions `from` to `to`, all of which exist, to `out`.
    void collect(std::uint64_t from, std::uint64_t to, std::vector<place>& out);

  private:
    friend class rocksdb_index;
    struct part {
      std::shared_ptr<const place_list> places;
      std::uint32_t tail;
      std::uint64_t base;
      std::uint64_t version;
    };
    void collect_from_disk(std::uint64_t from, std::uint64_t to, std::vector<place>& out);
    [[noreturn]] void fail(std::uint64_t version, const std::string& what) const;

    const rocksdb_index* index_ = nullptr;
    stream_view stream_;
    std::vector<part> parts_;  // the newest first
    std::uint64_t version_ = 0;
    std::uint64_t on_disk_ = 0;  // the versions up to here
    std::unique_ptr<rocksdb::Iterator> runs_;
  };

  view look_up(stream_view stream) const;

private:
  bool full(std::uint64_t times) const;
  void begin_writing_behind();
  void run();
  void write(const generation& generation) const;
  std::unique_ptr<rocksdb::Iterator> runs() const;
  std::uint32_t insert(const named_stream& stream, std::uint64_t base);
  void read_versions(std::span<const named_stream> streams, std::span<const std::size_t> asked);
  std::uint64_t version_on_disk(stream_view stream) const;
  std::uint64_t version_in(stream_view stream, const rocksdb::Status& status, const rocksdb::PinnableSlice& value) const;

  rocksdb_database& database_;
  const std::uint64_t events_max_;
  const bool sync_log_first_;
  position complete_through_;
  bool older_form_ = false;

  // The writer's, for what it asks of the disk: which of the aggregates it looks for, their keys and what is there.
  static constexpr std::size_t asked_at_once = 256;
  std::vector<std::size_t> unknown_;
  std::array<std::string, asked_at_once> keys_;
  std::array<rocksdb::Slice, asked_at_once> key_slices_;
  std::array<rocksdb::PinnableSlice, asked_at_once> values_;
  std::array<rocksdb::Status, asked_at_once> statuses_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Only the writer changes the tables, so it looks into them without the lock; it changes them with it.
  std::shared_ptr<generation> current_ = std::make_shared<generation>();
  std::shared_ptr<generation> previous_ = std::make_shared<generation>();
  bool writing_ = false;
  bool stopping_ = false;
  bool abandoned_ = false;
  std::string failure_;  // why previous_ could not be written
  std::thread thread_;
};

}  // namespace cairn::detail
