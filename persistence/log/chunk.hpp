// A chunk of the log: consecutive records behind one header that carries the hash of the chunk before.
//
// docs/record_format.md, "Chunks", is the grammar. Knows bytes; knows nothing of commits, files or indexes.
#pragma once

#include <cairn/identity.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;
struct evp_md_st;

namespace cairn::inline v1::detail {

inline constexpr std::uint8_t chunk_format = 1;
inline constexpr std::size_t chunk_header_bytes = 53;
/// A chunk is closed before it would grow beyond this; a larger record has a chunk to itself.
inline constexpr std::size_t chunk_bytes_max = 4096;
/// A record's place in its chunk fits one byte.
inline constexpr std::uint32_t chunk_records_max = 255;

using digest = std::array<char, 32>;

/// SHA-256, with one context for all calls. Thread safety: one thread at a time.
class sha256 {
public:
  sha256();
  digest operator()(std::string_view first, std::string_view second = {});

private:
  struct closer {
    void operator()(evp_md_ctx_st* context) const;
    void operator()(evp_md_st* algorithm) const;
  };
  std::unique_ptr<evp_md_st, closer> algorithm_;
  std::unique_ptr<evp_md_ctx_st, closer> context_;
};

/// Builds one chunk after another at the end of a buffer of the caller's.
class chunk_writer {
public:
  /// `out` must outlive the chunk.
  void begin(std::string& out, position first, const digest& previous);
  bool empty() const { return count_ == 0; }
  position first() const { return first_; }
  position next() const { return first_ + count_; }
  bool has_room(std::size_t body_bytes) const;
  /// Adds the record of position next(). Returns its slot: its place in the chunk, from 0.
  std::uint8_t add(std::string_view body);
  /// Completes the header. Returns the chunk's bytes, which live until the buffer changes.
  std::string_view finish();

private:
  std::string* out_ = nullptr;
  std::size_t start_ = 0;
  position first_;
  std::uint32_t count_ = 0;
};

/// A stored chunk whose header has been checked. Owns nothing.
class chunk_reader {
public:
  /// Throws error(errc::corrupt_record) if the header is damaged.
  explicit chunk_reader(std::string_view value);

  position first() const { return first_; }
  position end() const { return first_ + count_; }
  std::uint32_t count() const { return count_; }
  std::string_view previous() const { return value_.substr(13, 32); }
  std::string_view value() const { return value_; }

  /// The checked body of the next record, in order. Throws error(errc::corrupt_record) naming the position.
  std::string_view next();
  /// Whether next() has been called for every record. Throws if bytes are left after the last.
  bool done() const;
  /// The checked body in `slot`. next() then gives the record after it.
  std::string_view at(std::uint32_t slot);

private:
  [[noreturn]] void fail(const std::string& what) const;
  std::uint32_t length() const;

  std::string_view value_;
  position first_;
  std::uint32_t count_ = 0;
  std::uint32_t slot_ = 0;  // of the record that next() gives
  std::size_t at_ = chunk_header_bytes;
};

/// The chunk's hash in the chain: SHA-256 of its first position, big-endian, and its bytes.
digest hash_of(sha256& hash, position first, std::string_view chunk);

}  // namespace cairn::detail
