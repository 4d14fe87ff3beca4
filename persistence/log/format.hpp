// The log's own bytes: the headers of segments and commits, the store's identity and its high-water mark.
//
// docs/record_format.md is the grammar; log/chunk.hpp has what stands between two commit headers. Knows bytes, no files.
#pragma once

#include "chunk.hpp"

#include <cairn/identity.hpp>
#include <cairn/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::inline v1::detail {

inline constexpr std::uint32_t store_format = 2;
inline constexpr std::size_t store_id_bytes = 16;
using store_id = std::array<char, store_id_bytes>;

/// What a disk writes whole or not at all.
inline constexpr std::size_t sector_bytes = 512;
/// Commits start at multiples of this, so that no header crosses the end of a sector.
inline constexpr std::size_t commit_alignment = 64;
inline constexpr std::size_t commit_header_bytes = 64;
inline constexpr std::size_t segment_header_bytes = sector_bytes;
/// No commit is larger, and a reader gives up where one claims to be.
inline constexpr std::size_t commit_bytes_max = std::size_t{1} << 30;
/// An append is refused if its chunks are larger; the rest is room for what surrounds them.
inline constexpr std::size_t append_bytes_max = commit_bytes_max / 2;

constexpr std::uint64_t rounded_up(std::uint64_t number, std::uint64_t multiple_of) {
  return (number + multiple_of - 1) / multiple_of * multiple_of;
}
/// Where the next commit begins behind one that ends at `end`.
constexpr std::uint64_t next_commit_at(std::uint64_t end) { return rounded_up(end, commit_alignment); }
/// Where the next segment begins behind one that ends at `end`: so that an address and its offset in the file lie at the same
/// place of a sector.
constexpr std::uint64_t next_segment_at(std::uint64_t end) { return rounded_up(end, sector_bytes); }

/// Whether all bytes are zeros.
bool is_blank(std::string_view bytes);

/// What a header is if it is not what it must be.
enum class header_problem {
  none,
  blank,    ///< only zeros: nothing was written here, or it did not reach the disk
  damaged,  ///< something else than a header, or one of another place or store
  too_new,  ///< sound, but it needs a newer program
};

/// The file `identity`.
struct store_identity {
  store_id id{};
  timestamp created;
  std::uint32_t partition = 0;  ///< which of the cluster's logs this is; 0 until there are clusters
};
inline constexpr std::size_t identity_bytes = 64;
std::string encode_identity(const store_identity& identity);
header_problem decode_identity(std::string_view bytes, store_identity& identity);

/// The first sector of a segment.
struct segment_header {
  store_identity store;
  std::uint64_t number = 1;  ///< from 1, without gaps
  position first{1};         ///< of its first record
  std::uint64_t base = 0;    ///< the log address of the segment's first byte
  std::uint64_t epoch = 0;   ///< of the owner that began it; 0 until there are clusters
  digest previous{};         ///< the hash of the chunk before
};
std::string encode_segment_header(const segment_header& header);
header_problem decode_segment_header(std::string_view bytes, segment_header& header);

/// The name of the segment whose first record has this position: 20 digits, so that names sort as positions do, and ".log".
std::string segment_name(position first);
/// The position in such a name. Nothing if it is another name.
std::optional<position> position_in_name(std::string_view name);

struct commit_header {
  enum class kind : std::uint8_t {
    records = 1,         ///< a group commit
    end_of_segment = 2,  ///< the segment is finished, and the next one exists
  };
  kind is = kind::records;
  std::uint32_t chunk_bytes = 0;  ///< of its chunks, each with its length
  std::uint32_t blanks = 0;       ///< how many sectors the list at its end has
  position first;                 ///< of its first record; of the record after it, if it has none
  position durable;               ///< every record up to here was durable when the commit was written
  std::uint32_t records = 0;
  std::uint32_t partition = 0;
  std::uint64_t epoch = 0;
  std::uint32_t extension_bytes = 0;  ///< between the header and the chunks; this program writes none and skips them

  position end() const { return first + records; }
  /// Of the whole commit, without the zeros up to the next one.
  std::uint64_t bytes() const;
};
/// Writes the header of the commit at log address `address` to `to`.
void encode_commit_header(char* to, const commit_header& header, std::uint64_t address, const store_id& store);
/// `bytes` has at least commit_header_bytes.
header_problem decode_commit_header(std::string_view bytes, std::uint64_t address, const store_id& store, commit_header& header);

/// Appends the list of a commit's blank sectors to it. A sector is blank if at most one bit of the commit's part of it is set, so
/// that zeros in its place do not show that it is missing. `start` is the commit's address. Returns how many they are.
std::uint32_t append_blank_sectors(std::string& commit, std::uint64_t start);
/// Whether a sector of a commit is missing: the commit's part of it is all zeros, and the list of blank sectors does not have it.
bool lacks_a_sector(std::string_view commit, std::uint64_t start, std::uint32_t blanks);

inline constexpr std::size_t chunk_length_bytes = 4;

/// A commit's chunks, one after another.
class chunk_list {
public:
  /// `commit` is the whole commit whose header is `header`.
  chunk_list(std::string_view commit, const commit_header& header);
  /// Takes the next chunk. False at the end. Throws error(errc::corrupt_record) if a chunk goes beyond the commit.
  bool next(std::string_view& chunk);
  /// Where in the commit the chunk of the last next() begins, its length included.
  std::size_t offset() const { return offset_; }

private:
  std::string_view left_;
  std::size_t begin_;
  std::size_t size_;
  std::size_t offset_ = 0;
};

/// The file `high-water`: a record position that certainly was durable, so that the log must reach it.
struct high_water_mark {
  store_id store{};
  position through;
  digest hash{};  ///< of the chunk that ends there
};
inline constexpr std::size_t high_water_bytes = 80;
std::string encode_high_water(const high_water_mark& mark);
/// Nothing if the bytes are not sound; the mark is only a witness, so a damaged one says nothing.
std::optional<high_water_mark> decode_high_water(std::string_view bytes);

}  // namespace cairn::detail
