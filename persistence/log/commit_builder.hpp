// Fills the buffer of a commit with chunks, and computes the chain on the way.
#pragma once

#include "chunk.hpp"
#include "format.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::inline v1::detail {

/// Thread safety: one thread at a time.
class commit_builder {
public:
  /// `chained` false: chunks are not hashed.
  explicit commit_builder(bool chained = true) : chained_(chained) {}

  /// Begins a commit in `buffer`, which has room for the header already and must outlive it. Its first record has position
  /// `first`, and the chunk before it the hash `previous`.
  void begin(std::string& buffer, position first, const digest& previous);
  /// The position of the next record.
  position next() const { return is_open_ ? chunk_.next() : next_; }
  /// The first record of the open chunk. 0 if none is open.
  position chunk() const { return is_open_ ? chunk_.first() : position{}; }

  struct spot {
    std::uint32_t chunk;  ///< where in the commit the chunk begins, its length included
    std::uint8_t slot;
  };
  /// Adds the record of position next(), to a new chunk if the open one has no room.
  spot add(std::string_view body);
  bool has_room(std::size_t body_bytes) const { return is_open_ && chunk_.has_room(body_bytes); }
  /// Ends the open chunk, if there is one.
  void close_chunk();
  /// The hash of the last closed chunk.
  const digest& head() const { return head_; }

private:
  void open_chunk();

  const bool chained_;
  std::string* buffer_ = nullptr;
  sha256 sha256_;
  digest head_{};
  position next_{1};
  bool is_open_ = false;
  std::uint32_t chunk_at_ = 0;
  chunk_writer chunk_;
};

}  // namespace cairn::detail
