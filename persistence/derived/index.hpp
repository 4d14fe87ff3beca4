// Where each aggregate's records are: the newest generations in memory, everything older in an index_storage.
//
// The log is the truth and the index follows it: this file never decides what an aggregate's events are, only where they are. It
// has one background thread, which writes a full generation to the storage.
#pragma once

#include "index_memory.hpp"
#include "index_storage.hpp"

#include <cairn/error.hpp>
#include <cairn/record.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace cairn::inline v1::detail {

/// A record of the commit that is being built.
struct staged_record {
  std::uint32_t stream;  ///< as index::find() numbers it
  std::uint32_t chunk;   ///< where in the commit its chunk begins
  std::uint8_t slot;
};

/// An aggregate and its stream_table::hash().
struct named_stream {
  stream_view name;
  std::uint64_t hash;
};

struct index_options {
  /// Events, or aggregates, of one generation.
  std::uint64_t events_max = 1'000'000;
  /// Makes durable what was appended, before the index says so. Called on the background thread.
  std::function<void()> sync_log = [] {};
  bool threads = true;  ///< false: generations are written by the writer itself
};

/// Thread safety: "the writer" is one thread at a time; everything else may be called from any thread at any time.
class index {
public:
  /// Starts with what `storage` holds; the caller then adds the records of the log behind mark().
  index(index_storage& storage, index_options options);
  /// Writes everything to the storage, if it can and abandon() was not called.
  ~index();
  index(const index&) = delete;
  index& operator=(const index&) = delete;

  /// How far the storage went at opening.
  const index_mark& mark() const { return mark_; }
  /// Drops everything: mark() is the log's beginning then. Before the first append.
  void clear();

  // --- the writer ---

  /// The numbers of these aggregates in the current generation, in the same order. Valid until make_room(). For many at once,
  /// because their cache misses overlap, and those in the storage are read together.
  void find(std::span<const named_stream> streams, std::vector<std::uint32_t>& found);
  /// The version with all that is staged.
  std::uint64_t& staged(std::uint32_t stream) { return current_->streams[stream].staged; }
  /// Forgets what is staged for it.
  void unstage(std::uint32_t stream);
  /// Makes the records of a commit visible, and `mark` is of it.
  void publish(std::span<const staged_record> records, const index_mark& mark);
  /// Adds one record of the log, at opening. Throws error(errc::corrupt_record) if it does not follow its aggregate's last.
  void restore(const record_view& record, place where);
  /// Says at opening that every record up to `mark` was restored.
  void restored(const index_mark& mark);
  /// Begins a new generation if the current one is full, and waits if the one before is not written yet either.
  /// Throws error(errc::journal_unavailable) if the index cannot be written and no room is left; nothing is lost then.
  void make_room();
  /// Gives up writing to the storage: the log's own state is unknown, and opening the store again will tell.
  void abandon();

  // --- readers ---

  /// What is known of one aggregate at one moment.
  class view {
  public:
    std::uint64_t version() const { return version_; }
    /// Appends the places of the versions `from` to `to`, all of which exist, to `out`.
    void collect(std::uint64_t from, std::uint64_t to, std::vector<place>& out);

  private:
    friend class index;
    struct part {
      std::shared_ptr<const place_list> places;
      std::uint32_t tail;
      std::uint64_t base;
      std::uint64_t version;
    };
    void collect_from_storage(std::uint64_t from, std::uint64_t to, std::vector<place>& out);
    void fail(std::uint64_t version, const std::string& what) const;

    const index* index_ = nullptr;
    stream_view stream_;
    std::vector<part> parts_;  // the newest first
    std::uint64_t version_ = 0;
    std::uint64_t stored_ = 0;  // the versions up to here are in the storage
    std::unique_ptr<run_cursor> runs_;
  };

  view look_up(stream_view stream) const;

private:
  bool is_full(std::uint64_t times) const;
  void begin_writing();
  void run();
  void write_previous(std::unique_lock<std::mutex>& lock);
  void write(const generation& generation);
  std::uint32_t insert(const named_stream& stream, std::uint64_t base);
  std::uint64_t stored_version(stream_view stream) const;

  index_storage& storage_;
  const index_options options_;
  index_mark mark_;
  bool is_stored_ = false;  // the writer's: the storage may know aggregates that neither generation knows

  // The writer's, for what it looks for in the storage.
  std::vector<std::size_t> unknown_;
  std::vector<stream_view> unknown_names_;
  std::vector<std::uint64_t> unknown_versions_;

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
