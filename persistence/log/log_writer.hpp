// Appends commits to the log, and makes its segments.
//
// A segment gets its space before it is used: a sync of blocks that exist waits for the bytes alone, and one of a file that grows
// also waits for the file system's own records. So a second thread fills the next segment with zeros while this one is written.
#pragma once

#include "log_scan.hpp"
#include "segment_files.hpp"
#include "store_folder.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace cairn::inline v1::detail {

struct log_writer_options {
  bool synced = true;  ///< each commit is durable when commit() returns
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  /// A segment that did not get its space in advance ends early: when the next one is ready and this one has so many bytes.
  std::uint64_t unprepared_bytes = std::uint64_t{1} << 20;
  bool threads = true;  ///< false: nothing happens in the background, as the simulation needs it
  std::function<void(const std::string&)> warn = [](const std::string&) {};
};

/// Makes durable what an earlier process left at the end of the log, before anything relies on it. It writes those
/// bytes again: after a sync that failed, the system calls pages clean that never reached the disk, so that a mere
/// sync omits them. Leaves a damaged log as it is.
/// Throws error(errc::journal_unavailable) if it cannot.
void make_end_durable(const store_folder& store, const segment_files& files);

/// Thread safety: one thread at a time, but note_high_water() and sync_committed() from any thread.
class log_writer {
public:
  /// Goes on at `end`, behind the chunk with the hash `head`. Drops what is torn there, durably.
  log_writer(store_folder& store, segment_files& files, const log_end& end, const digest& head, log_writer_options options);
  /// Notes how far the log reaches, unless a commit failed.
  ~log_writer();
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;

  /// The buffer for the next commit. It begins with commit_header_bytes of room; the caller appends chunks, each behind its
  /// length.
  std::string& begin();
  /// Writes the commit that was built since begin(), and syncs it. It has `records` records from next() on, and `head` is the
  /// hash of its last chunk. Returns the commit's address. Throws error(errc::journal_unavailable) if it cannot; whether the
  /// commit is stored is unknown then, and every later commit fails.
  std::uint64_t commit(std::uint32_t records, const digest& head);

  /// The position of the next record.
  position next() const { return place_.next; }
  /// Makes durable what was committed. Any thread. If it fails, the log takes no more commits.
  void sync_committed();
  /// Notes durably how far the log reaches, if that is not noted yet.
  void note_high_water();

private:
  struct reached {
    position through;
    digest hash{};
  };

  void require_no_failure() const;
  void drop_torn();
  void mark_finished(file& segment, const std::string& path, std::uint64_t base, const log_place& end);
  bool is_room_for(std::uint64_t bytes) const;
  void begin_segment();
  std::unique_ptr<file> take_next_segment();
  void publish();

  // The background.
  void run();
  void prepare_next_segment(std::unique_lock<std::mutex>& lock);
  void fill_with_zeros(file& next, std::unique_lock<std::mutex>& lock);
  void note_when_idle(std::unique_lock<std::mutex>& lock);

  store_folder& store_;
  segment_files& files_;
  const log_writer_options options_;
  std::string buffer_;
  segment_header segment_;  // the last one
  std::string path_;        // its path
  std::shared_ptr<file> opened_;
  log_place place_;
  digest head_;
  position durable_;        // as the next commit will say
  bool has_space_ = false;  // the segment got its space in advance
  bool failed_ = false;     // a commit did, or is under way
  std::atomic<bool> next_is_ready_ = false;

  std::mutex sync_mutex_;     // of syncs without `synced`; before mutex_
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  reached reached_;
  reached noted_;
  std::shared_ptr<file> segment_file_;  // the last segment
  std::uint64_t filled_ = 0;            // its bytes
  position synced_through_;             // by sync_committed()
  std::string background_failure_;
  enum class preparation { none, wanted, ready, impossible } preparation_ = preparation::none;
  bool is_needed_now_ = false;  // the writer waits for the next segment
  std::unique_ptr<file> prepared_;
  bool asleep_ = false;
  bool stopping_ = false;
  std::thread background_;
};

}  // namespace cairn::detail
