// Reads a log from some commit to its end, and decides where that end is: every walk through a log without its writer is this
// one.
//
// The end is where nothing more was written. If something was, and it cannot be read, the format decides: it is dropped only if
// nothing in it was acknowledged. docs/record_format.md, "The end of the log", has the rule.
#pragma once

#include "chain.hpp"
#include "segment_files.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::detail {

/// A commit as it is stored. Owns nothing.
struct stored_commit {
  commit_header header;
  std::uint64_t address = 0;
  std::string_view bytes;
  std::string_view padding;  ///< up to the next commit
};

/// Reads commits in order, across segments. Thread safety: one thread at a time.
class commit_reader {
public:
  /// Begins at `from`, which a commit begins at, or the end of the log.
  commit_reader(const segment_files& files, log_place from);

  /// What there is at here().
  enum class finding {
    commit,   ///< one whose header is sound; the rest is not checked
    end,      ///< zeros, or the end of the file
    damaged,  ///< something else
  };
  /// Looks at here(), and goes on to the next segment if this one is finished. What it finds lives until the next call. Throws
  /// error(errc::corrupt_record) if a segment is finished and its successor is missing or does not follow, and
  /// error(errc::unknown_format) if a newer program wrote the commit.
  finding look(stored_commit& found);
  /// Forgets what was read before, which may be outdated if a program is writing.
  void forget() { buffer_.clear(); }
  /// Goes on behind the commit that look() found.
  void pass(const stored_commit& commit);

  const log_place& here() const { return here_; }
  std::size_t segment() const { return segment_; }
  /// The hash that the header of the latest segment names. Nothing until a segment was begun.
  const std::optional<digest>& previous() const { return previous_; }
  /// Goes on at the beginning of the next segment, though nothing says that this one is finished. False if there is none that
  /// follows.
  bool begin_unannounced_segment();

  /// The bytes of the segment from here() on, up to `bytes` of them. They live until the next call.
  std::string_view bytes_here(std::uint64_t bytes);
  /// Whether the segment has only zeros from `offset` bytes behind here() on.
  bool is_blank_from(std::uint64_t offset);
  struct following {
    bool is_any = false;  ///< a sound header, or a segment, is behind here()
    position durable;     ///< the most that these say was durable
  };
  following what_follows();

private:
  void begin_segment(std::size_t index);
  std::uint64_t offset() const { return here_.address - header_.base; }
  std::string_view window(std::uint64_t offset, std::uint64_t bytes);
  template <class Visit>
  void for_each_window(std::uint64_t from, Visit visit);

  const segment_files& files_;
  log_place here_;
  std::size_t segment_ = 0;
  segment_header header_;
  std::optional<digest> previous_;
  std::shared_ptr<file> opened_;
  std::string buffer_;
  std::uint64_t buffer_at_ = 0;
  std::size_t window_bytes_;
};

/// Takes a chunk whose records have been checked. `address` is where it can be read again.
using chunk_visitor = std::function<void(chunk_reader& chunk, std::uint64_t address)>;

/// How a log is to be scanned.
struct scan_request {
  log_place from;
  std::optional<high_water_mark> high_water;  ///< the log must reach it
  bool ends_at_high_water = false;            ///< what is behind it is not looked at; without one, nothing is
  /// Whether a program may be writing meanwhile: then an unfinished commit is where the scan ends.
  std::function<bool()> is_written = [] { return false; };
  chunk_visitor visit;    ///< may be empty
  bool salvages = false;  ///< the visitor also gets the intact chunks of a damaged commit, up to the damage
  /// Called behind each commit, with where it begins and the hash of the chunk before it; may be empty.
  std::function<void(const log_place& commit, const digest& before)> passed;
};

/// The end of a log.
struct log_end {
  log_place place;                  ///< where the next commit goes
  bool torn = false;                ///< remains of a commit that nobody was told of follow it
  std::vector<log_place> unmarked;  ///< where finished segments lack their end marks, which a crash left out
};

/// Scans the log. `chain` is at `request.from`, and is at the end afterwards.
/// Throws error(errc::corrupt_record) at the first damage, what commit_reader throws, and what the visitor throws.
log_end scan_log(const segment_files& files, chain& chain, const scan_request& request);

}  // namespace cairn::detail
