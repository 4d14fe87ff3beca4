#include "format.hpp"

#include "checksum.hpp"

#include <cairn/error.hpp>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

namespace cairn::inline v1::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "headers are little-endian, and copied as they are in memory");

constexpr std::string_view identity_magic = "cairn id";
constexpr std::string_view segment_magic = "cairnlog";
constexpr std::string_view high_water_magic = "cairn hw";
constexpr std::string_view commit_magic = "comm";
constexpr std::size_t segment_fields_bytes = 128;

/// Writes fields one after another.
class field_writer {
public:
  explicit field_writer(char* to) : at_(to) {}
  template <class Value>
  void put(const Value& value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

private:
  char* at_;
};

/// Reads them back.
class field_reader {
public:
  explicit field_reader(std::string_view from) : left_(from) {}
  template <class Value>
  Value take() {
    Value value;
    std::memcpy(&value, left_.data(), sizeof value);
    left_.remove_prefix(sizeof value);
    return value;
  }
  bool skip(std::string_view text) {
    const bool same = left_.starts_with(text);
    left_.remove_prefix(text.size());
    return same;
  }
  /// What is left, without the checksum at the end.
  std::string_view left() const { return left_.substr(0, left_.size() - 8); }

private:
  std::string_view left_;
};

/// The last eight bytes of `bytes` are the checksum of all before them.
void seal(char* bytes, std::size_t size, std::uint64_t seed) {
  const auto sum = checksum({bytes, size - 8}, seed);
  std::memcpy(bytes + size - 8, &sum, 8);
}
bool is_sealed(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - 8, 8);
  return sum == checksum(bytes.substr(0, bytes.size() - 8), seed);
}

/// Of another store, or in another place, a header is damaged.
std::uint64_t seed_of(std::uint64_t address, const store_id& store) {
  std::uint64_t seed = 0;
  std::memcpy(&seed, store.data(), 8);
  return seed + address;
}

/// The commit's part of each sector, by its number from 0 at the sector that the commit begins in.
template <class Visit>
void for_each_sector(std::string_view commit, std::uint64_t start, Visit visit) {
  const auto before = start % sector_bytes;
  for (std::size_t at = 0, number = 0; at < commit.size(); ++number) {
    const auto size = std::min(commit.size() - at, (number + 1) * sector_bytes - before - at);
    if (!visit(static_cast<std::uint32_t>(number), commit.substr(at, size))) return;
    at += size;
  }
}

bool has_two_bits(std::string_view part) {
  int bits = 0;
  for (const char byte : part) {
    bits += std::popcount(static_cast<unsigned char>(byte));
    if (bits > 1) return true;
  }
  return false;
}

constexpr std::size_t blank_entry_bytes = 8;

constexpr std::uint64_t blank_list_at(std::uint64_t chunks_end) { return rounded_up(chunks_end, blank_entry_bytes); }

}  // namespace

// By comparing the bytes with themselves, one later: memcmp() looks at many at a time.
bool is_blank(std::string_view bytes) {
  return bytes.empty() || (bytes.front() == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

std::string encode_identity(const store_identity& identity) {
  std::string bytes(identity_bytes, '\0');
  field_writer write(bytes.data());
  write.put(identity_magic);
  write.put(store_format);
  write.put(std::uint32_t{0});  // flags
  write.put(identity.id);
  write.put(identity.created.time_since_epoch().count());
  write.put(identity.partition);
  seal(bytes.data(), bytes.size(), 0);
  return bytes;
}

header_problem decode_identity(std::string_view bytes, store_identity& identity) {
  if (is_blank(bytes)) return header_problem::blank;
  if (bytes.size() != identity_bytes) return header_problem::damaged;
  field_reader read(bytes);
  const bool ours = read.skip(identity_magic);
  const auto format = read.take<std::uint32_t>();
  const auto flags = read.take<std::uint32_t>();
  if (!ours || !is_sealed(bytes, 0)) return header_problem::damaged;
  if (format != store_format || flags >> 16 != 0) return header_problem::too_new;
  identity.id = read.take<store_id>();
  identity.created = timestamp{std::chrono::microseconds{read.take<std::int64_t>()}};
  identity.partition = read.take<std::uint32_t>();
  return is_blank(read.left()) ? header_problem::none : header_problem::damaged;
}

std::string encode_segment_header(const segment_header& header) {
  std::string bytes(segment_header_bytes, '\0');
  field_writer write(bytes.data());
  write.put(segment_magic);
  write.put(store_format);
  write.put(std::uint32_t{0});  // flags
  write.put(header.store.id);
  write.put(header.store.created.time_since_epoch().count());
  write.put(header.store.partition);
  write.put(std::uint32_t{0});
  write.put(header.number);
  write.put(header.first.value);
  write.put(header.base);
  write.put(header.epoch);
  write.put(header.previous);
  seal(bytes.data(), segment_fields_bytes, 0);
  return bytes;
}

header_problem decode_segment_header(std::string_view bytes, segment_header& header) {
  if (is_blank(bytes)) return header_problem::blank;
  if (bytes.size() != segment_header_bytes) return header_problem::damaged;
  const auto fields = bytes.substr(0, segment_fields_bytes);
  field_reader read(fields);
  const bool ours = read.skip(segment_magic);
  const auto format = read.take<std::uint32_t>();
  const auto flags = read.take<std::uint32_t>();
  if (!ours || !is_sealed(fields, 0)) return header_problem::damaged;
  if (format != store_format || flags >> 16 != 0) return header_problem::too_new;
  if (!is_blank(bytes.substr(segment_fields_bytes))) return header_problem::damaged;
  header.store.id = read.take<store_id>();
  header.store.created = timestamp{std::chrono::microseconds{read.take<std::int64_t>()}};
  header.store.partition = read.take<std::uint32_t>();
  const auto reserved = read.take<std::uint32_t>();
  header.number = read.take<std::uint64_t>();
  header.first = position{read.take<std::uint64_t>()};
  header.base = read.take<std::uint64_t>();
  header.epoch = read.take<std::uint64_t>();
  header.previous = read.take<digest>();
  return reserved == 0 && is_blank(read.left()) ? header_problem::none : header_problem::damaged;
}

namespace {

constexpr std::size_t position_digits = 20;
constexpr std::string_view segment_suffix = ".log";

}  // namespace

std::string segment_name(position first) {
  auto digits = std::to_string(first.value);
  digits.insert(0, position_digits - digits.size(), '0');
  return digits.append(segment_suffix);
}

std::optional<position> position_in_name(std::string_view name) {
  if (name.size() != position_digits + segment_suffix.size() || !name.ends_with(segment_suffix)) return std::nullopt;
  position first;
  const auto* const end = name.data() + position_digits;
  const auto [read_to, failure] = std::from_chars(name.data(), end, first.value);
  if (failure != std::errc{} || read_to != end || first == position{}) return std::nullopt;
  return first;
}

std::uint64_t commit_header::bytes() const {
  const auto before_list = std::uint64_t{commit_header_bytes} + extension_bytes + chunk_bytes;
  return blanks == 0 ? before_list : blank_list_at(before_list) + std::uint64_t{blanks} * blank_entry_bytes;
}

void encode_commit_header(char* to, const commit_header& header, std::uint64_t address, const store_id& store) {
  field_writer write(to);
  write.put(commit_magic);
  write.put(header.is);
  write.put(std::uint8_t{0});  // reserved
  write.put(std::uint8_t{0});  // flags that an older program may ignore
  write.put(std::uint8_t{0});  // flags that it may not
  write.put(header.chunk_bytes);
  write.put(header.blanks);
  write.put(header.first.value);
  write.put(header.durable.value);
  write.put(header.records);
  write.put(header.partition);
  write.put(header.epoch);
  write.put(header.extension_bytes);
  write.put(std::uint32_t{0});  // reserved
  seal(to, commit_header_bytes, seed_of(address, store));
}

header_problem decode_commit_header(std::string_view bytes, std::uint64_t address, const store_id& store, commit_header& header) {
  bytes = bytes.substr(0, commit_header_bytes);
  if (!bytes.starts_with(commit_magic)) return is_blank(bytes) ? header_problem::blank : header_problem::damaged;
  if (bytes.size() < commit_header_bytes || !is_sealed(bytes, seed_of(address, store))) return header_problem::damaged;
  field_reader read(bytes.substr(commit_magic.size()));
  header.is = read.take<commit_header::kind>();
  const auto reserved = read.take<std::uint8_t>();
  read.take<std::uint8_t>();
  const auto critical = read.take<std::uint8_t>();
  header.chunk_bytes = read.take<std::uint32_t>();
  header.blanks = read.take<std::uint32_t>();
  header.first = position{read.take<std::uint64_t>()};
  header.durable = position{read.take<std::uint64_t>()};
  header.records = read.take<std::uint32_t>();
  header.partition = read.take<std::uint32_t>();
  header.epoch = read.take<std::uint64_t>();
  header.extension_bytes = read.take<std::uint32_t>();
  if (critical != 0) return header_problem::too_new;
  if (reserved != 0 || !is_blank(read.left()) || header.durable >= header.first) return header_problem::damaged;
  const bool has_records = header.is == commit_header::kind::records && header.records > 0;
  const bool ends_segment =
      header.is == commit_header::kind::end_of_segment && header.records == 0 && header.chunk_bytes == 0 && header.blanks == 0;
  if (!has_records && !ends_segment) return header_problem::too_new;
  if (header.bytes() > commit_bytes_max) return header_problem::damaged;
  return header_problem::none;
}

std::uint32_t append_blank_sectors(std::string& commit, std::uint64_t start) {
  std::vector<std::uint32_t> blanks;
  for_each_sector(commit, start, [&](std::uint32_t number, std::string_view part) {
    // The first sector has the header, which is never blank, but may not be written yet.
    if (number > 0 && !has_two_bits(part)) blanks.push_back(number);
    return true;
  });
  if (blanks.empty()) return 0;
  commit.resize(blank_list_at(commit.size()));
  for (const auto number : blanks) {
    // With its complement each entry has 32 bits set, so that a sector of entries is never blank.
    for (const auto half : {number, ~number}) commit.append(reinterpret_cast<const char*>(&half), sizeof half);
  }
  return static_cast<std::uint32_t>(blanks.size());
}

bool lacks_a_sector(std::string_view commit, std::uint64_t start, std::uint32_t blanks) {
  const auto list = commit.substr(commit.size() - std::min(commit.size(), std::size_t{blanks} * blank_entry_bytes));
  const auto is_listed = [&](std::uint32_t number) {
    for (std::size_t at = 0; at + blank_entry_bytes <= list.size(); at += blank_entry_bytes) {
      std::uint32_t halves[2];
      std::memcpy(halves, list.data() + at, sizeof halves);
      // Either half will do: with a flipped bit in the other one the commit is damaged, and lacks no sector.
      if (halves[0] == number || halves[1] == ~number) return true;
    }
    return false;
  };
  bool lacking = false;
  for_each_sector(commit, start, [&](std::uint32_t number, std::string_view part) {
    lacking = is_blank(part) && !is_listed(number);
    return !lacking;
  });
  return lacking;
}

chunk_list::chunk_list(std::string_view commit, const commit_header& header)
    : left_(commit.substr(commit_header_bytes + header.extension_bytes, header.chunk_bytes)),
      begin_(commit_header_bytes + header.extension_bytes), size_(left_.size()) {}

bool chunk_list::next(std::string_view& chunk) {
  if (left_.empty()) return false;
  offset_ = begin_ + size_ - left_.size();
  std::uint32_t length = 0;
  if (left_.size() >= chunk_length_bytes) std::memcpy(&length, left_.data(), chunk_length_bytes);
  if (left_.size() < chunk_length_bytes || length > left_.size() - chunk_length_bytes) {
    throw error(errc::corrupt_record, "a chunk goes beyond its commit");
  }
  chunk = left_.substr(chunk_length_bytes, length);
  left_.remove_prefix(chunk_length_bytes + length);
  return true;
}

std::string encode_high_water(const high_water_mark& mark) {
  std::string bytes(high_water_bytes, '\0');
  field_writer write(bytes.data());
  write.put(high_water_magic);
  write.put(mark.store);
  write.put(mark.through.value);
  write.put(mark.hash);
  seal(bytes.data(), bytes.size(), 0);
  return bytes;
}

std::optional<high_water_mark> decode_high_water(std::string_view bytes) {
  if (bytes.size() != high_water_bytes || !bytes.starts_with(high_water_magic) || !is_sealed(bytes, 0)) return std::nullopt;
  field_reader read(bytes.substr(high_water_magic.size()));
  high_water_mark mark;
  mark.store = read.take<store_id>();
  mark.through = position{read.take<std::uint64_t>()};
  mark.hash = read.take<digest>();
  return is_blank(read.left()) ? std::optional(mark) : std::nullopt;
}

}  // namespace cairn::detail
