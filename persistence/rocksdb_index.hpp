// Where each aggregate's records are: the newest generations in memory, everything older in the column family `index`.
//
// The log is the truth and the index follows it: this file never decides what an aggregate's events are, only where. It has
// the one background thread of the store, which writes a full generation behind.
#pragma once

#include "index_memory.hpp"
#include "rocksdb_database.hpp"

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

  // --- the writer ---

  /// Says which aggregates, by stream_table::hash(), find() is about to be asked for. With more of them than the processor
  /// caches, this is worth a third of the whole append.
  void expect(std::span<const std::uint64_t> hashes) const;
  /// The number of an aggregate in the current generation, which may have to look for it on disk. Valid until make_room().
  std::uint32_t find(stream_view stream, std::uint64_t hash);
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
  std::uint64_t version_on_disk(stream_view stream) const;

  rocksdb_database& database_;
  const std::uint64_t events_max_;
  const bool sync_log_first_;
  position complete_through_;

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
