// The format is RocksDB's: blocks of 32 KiB; in each, records of a masked CRC-32C (over type and payload), a length, a type
// (1 whole, 2 first, 3 middle, 4 last) and the payload; fewer than seven bytes at a block's end are zeros. A whole or first
// payload begins with the batch's sequence number (8 bytes, rising from batch to batch) and its count (4 bytes); a middle or last
// one begins a block.
#include "wal_check.hpp"

#include <cairn/error.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::detail {
namespace {

constexpr std::size_t block_bytes = 32768;
constexpr std::size_t head_bytes = 7;
constexpr unsigned char type_max = 4;
constexpr std::size_t batch_head_bytes = 12;
/// Between one batch and the next that a check may meet: far more than a log file holds.
constexpr std::uint64_t sequence_gap_max = std::uint64_t{1} << 32;

constexpr auto crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    auto value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0x82f63b78U : value >> 1;
    table[i] = value;
  }
  return table;
}();

std::uint32_t crc_step(std::uint32_t crc, char byte) {
  return crc_table[(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ crc >> 8;
}

// RocksDB stores checksums rotated and shifted, because one that is computed over itself is weak.
std::uint32_t masked(std::uint32_t crc) {
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

struct head {
  std::uint32_t checksum;
  std::uint16_t length;
  unsigned char type;
};

head head_at(std::string_view block, std::size_t at) {
  head head;
  std::memcpy(&head.checksum, block.data() + at, 4);
  std::memcpy(&head.length, block.data() + at + 4, 2);
  head.type = static_cast<unsigned char>(block[at + 6]);
  return head;
}

bool begins_batch(const head& head) { return head.type <= 2 && head.length >= batch_head_bytes; }

std::uint64_t sequence_at(std::string_view block, std::size_t at) {
  std::uint64_t sequence = 0;
  std::memcpy(&sequence, block.data() + at + head_bytes, 8);
  return sequence;
}

/// Where the chain of records in `block` stops making sense; nothing where it does not. Keeps the last batch's number in
/// `sequence`.
std::optional<std::size_t> first_break(std::string_view block, std::uint64_t& sequence) {
  std::size_t at = 0;
  while (at + head_bytes <= block.size()) {
    const auto head = head_at(block, at);
    if (head.type == 0 || head.type > type_max || head.length > block.size() - at - head_bytes) return at;
    if (begins_batch(head)) sequence = sequence_at(block, at);
    at += head_bytes + head.length;
  }
  return at < block.size() && block.size() < block_bytes ? std::optional(at) : std::nullopt;
}

bool fits_checksum(std::string_view block, std::size_t at, const head& head) {
  auto crc = 0xffffffffU;
  for (const char byte : block.substr(at + 6, 1 + std::size_t{head.length})) crc = crc_step(crc, byte);
  return masked(crc) == head.checksum;
}

/// Whether a payload of some length and some type fits the checksum at `at`: a whole record with a damaged head.
bool whole_but_for_its_head(std::string_view block, std::size_t at) {
  if (block.size() - at < head_bytes) return false;
  const auto stored = head_at(block, at).checksum;
  const auto payload = block.substr(at + head_bytes);
  for (unsigned char type = 1; type <= type_max; ++type) {
    auto crc = crc_step(0xffffffffU, static_cast<char>(type));
    if (masked(crc) == stored) return true;
    for (const char byte : payload) {
      crc = crc_step(crc, byte);
      if (masked(crc) == stored) return true;
    }
  }
  return false;
}

/// Whether a record that can have been written after batch `sequence` stands at `at`. An event may hold bytes that look like a
/// record of some log, and a torn write may end inside it; such bytes are seldom also the next batch of this one.
bool sound_record_at(std::string_view block, std::size_t at, std::uint64_t sequence) {
  const auto head = head_at(block, at);
  if (head.type == 0 || head.type > type_max || head.length > block.size() - at - head_bytes) return false;
  if (head.type <= 2) {
    if (!begins_batch(head)) return false;
    const auto written = sequence_at(block, at);
    if (written <= sequence || written - sequence > sequence_gap_max) return false;
  } else if (at != 0) {
    return false;
  }
  return fits_checksum(block, at, head);
}

bool readable_behind(std::string_view block, std::size_t at, std::uint64_t sequence) {
  for (++at; at + head_bytes <= block.size(); ++at) {
    if (sound_record_at(block, at, sequence)) return true;
  }
  return false;
}

/// The offset of damage, or nothing.
using damage = std::optional<std::uint64_t>;

/// Calls `look(block, offset)` for each block of a log, until it returns damage.
template <class Look>
damage find_in_blocks(const std::filesystem::path& file, Look look) {
  std::ifstream in(file, std::ios::binary);
  std::string block(block_bytes, '\0');
  for (std::uint64_t offset = 0; in; offset += block_bytes) {
    in.read(block.data(), block_bytes);
    if (const auto found = look(std::string_view(block.data(), static_cast<std::size_t>(in.gcount())), offset)) return found;
  }
  if (in.bad()) throw std::filesystem::filesystem_error("read", file, std::make_error_code(std::errc::io_error));
  return std::nullopt;
}

damage torn_tail_that_is_none(const std::filesystem::path& file) {
  damage broken;
  std::uint64_t sequence = 0;
  return find_in_blocks(file, [&](std::string_view block, std::uint64_t offset) -> damage {
    if (broken) {
      // A tear may leave zeros, or nothing; a readable record in a later block was written after the damage.
      const bool readable =
          block.size() >= head_bytes && (sound_record_at(block, 0, sequence) || readable_behind(block, 0, sequence));
      return readable ? broken : std::nullopt;
    }
    const auto at = first_break(block, sequence);
    if (!at) return std::nullopt;
    broken = offset + *at;
    return whole_but_for_its_head(block, *at) || readable_behind(block, *at, sequence) ? broken : std::nullopt;
  });
}

damage failed_checksum(const std::filesystem::path& file) {
  return find_in_blocks(file, [](std::string_view block, std::uint64_t offset) -> damage {
    for (std::size_t at = 0; at + head_bytes <= block.size();) {
      const auto head = head_at(block, at);
      if (head.type == 0 || head.type > type_max || head.length > block.size() - at - head_bytes) break;
      if (!fits_checksum(block, at, head)) return offset + at;
      at += head_bytes + head.length;
    }
    return std::nullopt;
  });
}

std::optional<std::string> find_in_logs(const std::filesystem::path& folder, damage (*find)(const std::filesystem::path&)) {
  try {
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (file.path().extension() != ".log" || !file.is_regular_file()) continue;
      if (const auto at = find(file.path())) {
        return "the write-ahead log " + file.path().filename().string() + " is damaged at byte " + std::to_string(*at);
      }
    }
    return std::nullopt;
  } catch (const std::filesystem::filesystem_error& failure) {
    throw error(errc::journal_unavailable, folder.string() + ": cannot be read: " + failure.code().message());
  }
}

}  // namespace

std::optional<std::string> damage_like_a_torn_tail(const std::filesystem::path& folder) {
  return find_in_logs(folder, torn_tail_that_is_none);
}

std::optional<std::string> failed_checksum_in_write_ahead_logs(const std::filesystem::path& folder) {
  return find_in_logs(folder, failed_checksum);
}

}  // namespace cairn::detail
