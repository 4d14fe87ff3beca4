// The format is RocksDB's: blocks of 32 KiB; in each, records of a masked CRC-32C (over type and payload), a length, a type
// (1 whole, 2 first, 3 middle, 4 last) and the payload; fewer than seven bytes at a block's end are zeros. The payloads from a
// first to a last one make a batch: its sequence number (8 bytes, never falling from one to the next), a count (4 bytes), and
// entries.
#include "wal_check.hpp"

#include "crc32c.hpp"
#include "log_chunk.hpp"

#include <cairn/error.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

namespace cairn::detail {
namespace {

constexpr std::size_t block_bytes = 32768;
constexpr std::size_t sector_bytes = 512;  // what a disk writes as a whole, or more
constexpr std::size_t head_bytes = 7;
constexpr unsigned char whole_type = 1, first_type = 2, middle_type = 3, last_type = 4;
constexpr std::size_t batch_head_bytes = 12;
/// Between one batch and the next that a check may meet: far more than a log file holds.
constexpr std::uint64_t sequence_gap_max = std::uint64_t{1} << 32;

// RocksDB stores checksums rotated and shifted, because one that is computed over itself is weak.
std::uint32_t masked(std::uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8U; }

// --- batches ---

std::uint64_t sequence_of(std::string_view batch) {
  std::uint64_t sequence = 0;
  std::memcpy(&sequence, batch.data(), 8);
  return sequence;
}

/// Takes a varint from the front; nothing where there is none.
std::optional<std::uint32_t> take_number(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 35 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return static_cast<std::uint32_t>(value);
  }
  return std::nullopt;
}

std::optional<std::string_view> take_text(std::string_view& bytes) {
  const auto size = take_number(bytes);
  if (!size || *size > bytes.size()) return std::nullopt;
  const auto text = bytes.substr(0, *size);
  bytes.remove_prefix(*size);
  return text;
}

/// The positions of the records that a batch appends.
struct commit {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

/// What a batch appends to the log; nothing where it does not. The log's keys are positions, and what they name begins with a
/// header that is checked against them; no other key is both.
std::optional<commit> commit_of(std::string_view batch) {
  std::optional<commit> found;
  batch.remove_prefix(batch_head_bytes);
  while (!batch.empty()) {
    const auto tag = batch.front();
    batch.remove_prefix(1);
    const bool in_family =
        tag == 4 || tag == 5;  // a deletion or a value in a column family; 0 and 1 are those of the default one
    const bool has_value = tag == 1 || tag == 5;
    if (tag != 0 && tag != 1 && tag != 3 && !in_family) break;  // 3: a note for whoever reads the log
    if (in_family && !take_number(batch)) break;
    const auto key = take_text(batch);
    if (!key) break;
    if (!has_value) continue;
    const auto value = take_text(batch);
    if (!value) break;
    if (key->size() != 8) continue;
    try {
      const chunk_reader chunk(*key, *value);
      if (!found) found = commit{chunk.first().value, 0};
      found->end = chunk.end().value;
    } catch (const error&) {
      break;  // not one of cairn's
    }
  }
  return found;
}

// --- one file ---

bool is_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
}

struct head {
  std::uint32_t checksum = 0;
  std::uint16_t length = 0;
  unsigned char type = 0;

  bool begins_batch() const { return type == whole_type || type == first_type; }
  bool goes_on() const { return type == middle_type || type == last_type; }
  bool ends_batch() const { return type == whole_type || type == last_type; }
};

/// A log file, read block by block.
class log_file {
public:
  explicit log_file(const std::filesystem::path& path)
      : path_(path), in_(path, std::ios::binary), size_(std::filesystem::file_size(path)), block_(block_bytes, '\0') {
    if (!in_) fail();
  }

  std::uint64_t size() const { return size_; }

  /// From `offset` to the end of its block or of the file. Valid until the next call for another block.
  std::string_view at(std::uint64_t offset) {
    const auto number = offset / block_bytes;
    if (number != number_) {
      in_.clear();
      in_.seekg(static_cast<std::streamoff>(number * block_bytes));
      in_.read(block_.data(), block_bytes);
      held_ = static_cast<std::size_t>(in_.gcount());
      if (in_.bad()) fail();
      number_ = number;
    }
    return std::string_view(block_.data(), held_).substr(std::min<std::size_t>(held_, offset % block_bytes));
  }

  /// Whether every byte from `offset` up to the end of the file is zero.
  bool is_zero_from(std::uint64_t offset) {
    for (; offset < size_; offset = next_block(offset)) {
      if (!is_zero(at(offset))) return false;
    }
    return true;
  }

  static std::uint64_t next_block(std::uint64_t offset) { return (offset / block_bytes + 1) * block_bytes; }

private:
  [[noreturn]] void fail() const {
    throw std::filesystem::filesystem_error("read", path_, std::make_error_code(std::errc::io_error));
  }

  const std::filesystem::path path_;
  std::ifstream in_;
  const std::uint64_t size_;
  std::string block_;
  std::size_t held_ = 0;
  std::uint64_t number_ = UINT64_MAX;
};

head head_in(std::string_view bytes) {
  head head;
  if (bytes.size() < head_bytes) return head;
  std::memcpy(&head.checksum, bytes.data(), 4);
  std::memcpy(&head.length, bytes.data() + 4, 2);
  head.type = static_cast<unsigned char>(bytes[6]);
  return head;
}

/// What a record carries, where its head makes sense and its checksum is right.
std::optional<std::string_view> payload_in(std::string_view bytes, const head& head) {
  if (head.type == 0 || head.type > last_type || bytes.size() < head_bytes + head.length) return std::nullopt;
  if (masked(crc32c(bytes.substr(6, 1 + std::size_t{head.length}))) != head.checksum) return std::nullopt;
  return bytes.substr(head_bytes, head.length);
}

/// Where the next record is behind one that ends at `offset`.
std::uint64_t record_from(std::uint64_t offset) {
  return block_bytes - offset % block_bytes < head_bytes ? log_file::next_block(offset) : offset;
}

/// A batch that was read, or where it could not be.
struct batch_read {
  bool sound = false;
  std::uint64_t end = 0;     // sound: where it ends
  std::uint64_t broken = 0;  // otherwise: the record in it that is not
};

/// Reads the batch whose first record is at `offset` into `batch`.
batch_read read_batch(log_file& file, std::uint64_t offset, std::string& batch) {
  batch.clear();
  const auto begin = offset;
  for (bool first = true;; first = false) {
    const auto bytes = file.at(offset);
    const auto head = head_in(bytes);
    const auto payload = payload_in(bytes, head);
    if (!payload || (first ? !head.begins_batch() : !head.goes_on())) return {.sound = false, .end = 0, .broken = offset};
    batch += *payload;
    offset += head_bytes + head.length;
    if (head.ends_batch()) return {.sound = batch.size() >= batch_head_bytes, .end = offset, .broken = begin};
    offset = record_from(offset);
  }
}

/// Whether a payload of some length and some type fits the checksum there: a whole record with a damaged head.
bool whole_but_for_its_head(std::string_view bytes) {
  if (bytes.size() < head_bytes) return false;
  const auto stored = head_in(bytes).checksum;
  const auto payload = bytes.substr(head_bytes);
  for (auto type = whole_type; type <= last_type; ++type) {
    const auto type_byte = static_cast<char>(type);
    auto crc = crc32c({&type_byte, 1});
    if (masked(crc) == stored) return true;
    for (const char& byte : payload) {
      crc = crc32c({&byte, 1}, crc);
      if (masked(crc) == stored) return true;
    }
  }
  return false;
}

/// How far the records lead that begin at `offset`, going by their heads alone. Where a head makes no sense: to its end.
std::uint64_t claimed_end(log_file& file, std::uint64_t offset) {
  for (;;) {
    const auto head = head_in(file.at(offset));
    const auto end = offset + head_bytes + head.length;
    if (head.type == 0 || head.type > last_type || end > log_file::next_block(offset)) return offset + head_bytes;
    if (head.ends_batch()) return end;
    offset = record_from(end);
  }
}

/// Whether sectors between `from` and `to` were never written: there are zeros in their place, with something behind them or with
/// the end that the record at `broken` claims.
bool lacks_sectors(log_file& file, std::uint64_t from, std::uint64_t to, std::uint64_t broken) {
  bool zeros = false;            // up to the present sector
  std::uint64_t written = from;  // the end of the last sector that is not zero
  while (from < to) {
    const auto end = std::min({to, (from / sector_bytes + 1) * sector_bytes, file.size()});
    if (end <= from) break;
    if (is_zero(file.at(from).substr(0, end - from))) {
      zeros = true;
    } else if (zeros) {
      return true;
    } else {
      written = end;
    }
    from = end;
  }
  return claimed_end(file, broken) > written;
}

// --- all files ---

class checker {
public:
  void look_at(const std::filesystem::path& path) {
    log_file file(path);
    std::uint64_t offset = 0;
    while (!damage_ && offset < file.size()) {
      const auto read = read_batch(file, offset, batch_);
      if (read.sound) {
        offset = record_from(read.end);
        pass();
      } else if (read.broken == offset && file.is_zero_from(offset)) {
        break;  // the space that was still to be written
      } else {
        offset = look_behind(file, path, offset, read.broken);
      }
    }
  }

  wal_findings result() {
    if (damage_) return {.damage = damage_, .torn = {}};
    return {.damage = std::nullopt, .torn = std::move(torn_)};
  }

private:
  /// One sound batch. Behind a broken one it may show that that one had been synced.
  void pass() {
    sequence_ = sequence_of(batch_);
    const auto appended = commit_of(batch_);
    if (!appended) return;
    if (!torn_.empty()) {
      // Each commit is written when the one before it has been synced. So there can be one that was not, and none before it.
      const bool next = !next_position_ || appended->first == *next_position_;
      if (!next || std::exchange(one_behind_, true)) damage_ = broken_;
    }
    next_position_ = appended->end;
  }

  /// What begins at `offset` cannot be read, from the record at `broken` on. Returns where to go on.
  std::uint64_t look_behind(log_file& file, const std::filesystem::path& path, std::uint64_t offset, std::uint64_t broken) {
    const auto told = "the write-ahead log " + path.filename().string() + " is damaged at byte " + std::to_string(broken);
    const auto behind = next_batch(file, broken);
    // A log that ends in zeros had its space before it was written. Any other grows only when what is before is there.
    const bool grew = !file.is_zero_from(file.size() - std::min<std::uint64_t>(file.size(), sector_bytes));
    if ((grew && behind < file.size()) || whole_but_for_its_head(file.at(broken)) ||
        !lacks_sectors(file, offset, behind, broken)) {
      damage_ = told;
    } else if (torn_.empty() || torn_.back().file != path) {
      if (torn_.empty()) broken_ = told;
      torn_.push_back({path, offset});
    }
    return behind;
  }

  /// Where a sound batch begins that can have been written after what has been read, or the end of the file. An event may hold
  /// bytes that look like a record of some log, and a torn write may end inside it; such bytes are seldom also the next batch of
  /// this one.
  std::uint64_t next_batch(log_file& file, std::uint64_t offset) {
    for (++offset; offset < file.size();) {
      const auto found = begun_in(file.at(offset));
      if (!found) {
        offset = log_file::next_block(offset);
        continue;
      }
      offset += *found;
      if (sound_from(file, offset)) return offset;
      ++offset;
    }
    return file.size();
  }

  /// Where in `bytes`, the rest of a block, a sound record begins such a batch.
  std::optional<std::size_t> begun_in(std::string_view bytes) const {
    if (is_zero(bytes)) return std::nullopt;
    for (std::size_t at = 0; at + head_bytes + batch_head_bytes <= bytes.size(); ++at) {
      const auto rest = bytes.substr(at);
      const auto head = head_in(rest);
      if (!head.begins_batch() || head.length < batch_head_bytes) continue;
      const auto sequence = sequence_of(rest.substr(head_bytes));
      if (sequence_ && (sequence < *sequence_ || sequence - *sequence_ > sequence_gap_max)) continue;
      if (payload_in(rest, head)) return at;
    }
    return std::nullopt;
  }

  /// Whether a batch there can be read, and appends nothing that stands before it already.
  bool sound_from(log_file& file, std::uint64_t offset) {
    if (!read_batch(file, offset, batch_).sound) return false;
    const auto appended = commit_of(batch_);
    return !appended || !next_position_ || appended->first >= *next_position_;
  }

  std::string batch_;
  std::optional<std::uint64_t> sequence_;       // of the last batch that was read
  std::optional<std::uint64_t> next_position_;  // behind the last commit that was read
  std::vector<torn_tail> torn_;
  std::string broken_;  // the first of them, as damage
  bool one_behind_ = false;
  std::optional<std::string> damage_;
};

}  // namespace

wal_findings check_write_ahead_logs(const std::filesystem::path& folder) {
  try {
    std::vector<std::filesystem::path> logs;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (file.path().extension() == ".log" && file.is_regular_file()) logs.push_back(file.path());
    }
    // Their names are numbers with zeros before them, longer where those do not do.
    std::sort(logs.begin(), logs.end(), [](const auto& left, const auto& right) {
      const auto one = left.filename().string(), other = right.filename().string();
      return std::pair(one.size(), one) < std::pair(other.size(), other);
    });
    checker all;
    for (const auto& log : logs) all.look_at(log);
    return all.result();
  } catch (const std::filesystem::filesystem_error& failure) {
    throw error(errc::journal_unavailable, folder.string() + ": cannot be read: " + failure.code().message());
  }
}

}  // namespace cairn::detail
