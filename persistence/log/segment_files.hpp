// The segments of a log: which there are, where each begins, and their open files, of which there are never many at once.
//
// A log address is an offset in the whole log: segment headers, commits and the zeros between them, one segment after another.
#pragma once

#include "format.hpp"
#include "io.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::detail {

/// The file that becomes the next segment.
inline constexpr const char* next_segment_name = "next";

/// Where in the log a commit begins, and the position of its first record.
struct log_place {
  std::uint64_t address = segment_header_bytes;
  position next{1};
};

/// Thread safety: every member from any thread at any time.
class segment_files {
public:
  /// Reads the names and headers of the segments in `log`, and checks that none is missing before the last one. `store` is the
  /// identity that all must have; if it is empty, the first segment's becomes it.
  /// Throws error(errc::corrupt_record) naming the segment that is missing or damaged, error(errc::unknown_format) if one needs a
  /// newer program, error(errc::journal_unavailable) if one cannot be read. With `problem` it does not throw the first two, but
  /// keeps the segments before and says there what is wrong.
  segment_files(std::shared_ptr<folder> log, std::optional<store_identity>& store, std::string* problem = nullptr);

  const std::shared_ptr<folder>& log() const { return log_; }
  const store_id& store() const { return store_; }
  /// "…/log/00000000000000000001.log"
  std::string path_of(std::size_t index) const { return path_in(*log_, segment_name(header(index).first)); }

  std::size_t count() const;
  segment_header header(std::size_t index) const;
  /// The segment that has this address, or this position; the last one, if it lies beyond.
  std::size_t at_address(std::uint64_t address) const;
  std::size_t at_position(position where) const;

  /// An open file of the segment, for reading.
  std::shared_ptr<file> open(std::size_t index) const;
  struct opened_segment {
    std::shared_ptr<file> opened;
    std::uint64_t base = 0;  ///< the address of its first byte
    std::uint64_t end = 0;   ///< that of the next segment's; the highest number if there is none yet
  };
  /// An open file of the segment that has this address.
  opened_segment open_at(std::uint64_t address) const;
  /// "…/log/00000000000000000001.log, offset 512", for messages.
  std::string describe(std::uint64_t address) const;

  /// Adds a segment that has just been made.
  void add(const segment_header& header);
  /// Looks for segments that another process has added since. Returns whether there are any.
  bool refresh() const;

  /// Where a commit begins from which the record at `where` can be found by reading on; not far before it if it was noted.
  log_place near(position where) const;
  /// Notes that a commit begins there, if no other is noted shortly before.
  void note(const log_place& place) const;

private:
  struct cached_file {
    std::size_t index;
    std::shared_ptr<file> opened;
    std::uint64_t used;
  };
  struct segment {
    segment_header header;
    std::vector<log_place> noted;  // in order
  };

  std::size_t index_of(std::uint64_t address) const;
  std::shared_ptr<file> open_locked(std::size_t index) const;
  void read_headers(std::optional<store_identity>& store) const;
  segment_header read_header(position first, std::optional<store_identity>& store) const;

  const std::shared_ptr<folder> log_;
  store_id store_{};
  mutable std::mutex mutex_;
  mutable std::vector<segment> segments_;
  mutable std::vector<cached_file> open_;
  mutable std::uint64_t uses_ = 0;
};

/// Reads chunks by their addresses, all of commits that were there when it was made: a segment that is begun later has none of
/// them. Thread safety: one thread at a time.
class chunk_fetcher {
public:
  explicit chunk_fetcher(const segment_files& files) : files_(files) {}
  /// Returns the bytes of the chunk. They live until the next call.
  /// Throws error(errc::corrupt_record) if there can be no chunk, error(errc::journal_unavailable) if it cannot be read.
  std::string_view fetch(std::uint64_t address);

private:
  const segment_files& files_;
  segment_files::opened_segment from_;  // the one that was read last, so that most chunks need no lock
  std::string buffer_;
};

}  // namespace cairn::detail
