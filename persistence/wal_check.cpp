// The format is RocksDB's: blocks of 32 KiB; in each, records of a masked CRC-32C (over type and payload), a length, a type
// (1 whole, 2 first, 3 middle, 4 last) and the payload; fewer than seven bytes at a block's end are zeros.
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

/// Where the chain of records in `block` stops making sense; nothing where it does not.
std::optional<std::size_t> first_break(std::string_view block) {
  std::size_t at = 0;
  while (at + head_bytes <= block.size()) {
    const auto head = head_at(block, at);
    if (head.type == 0 || head.type > type_max || head.length > block.size() - at - head_bytes) return at;
    at += head_bytes + head.length;
  }
  return at < block.size() && block.size() < block_bytes ? std::optional(at) : std::nullopt;
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

bool sound_record_at(std::string_view block, std::size_t at) {
  const auto head = head_at(block, at);
  if (head.type == 0 || head.type > type_max || head.length > block.size() - at - head_bytes) return false;
  auto crc = 0xffffffffU;
  for (const char byte : block.substr(at + 6, 1 + std::size_t{head.length})) crc = crc_step(crc, byte);
  return masked(crc) == head.checksum;
}

bool readable_behind(std::string_view block, std::size_t at) {
  for (++at; at + head_bytes <= block.size(); ++at) {
    if (sound_record_at(block, at)) return true;
  }
  return false;
}

[[noreturn]] void refuse(const std::filesystem::path& file, std::uint64_t offset) {
  throw error(errc::corrupt_store, "the write-ahead log " + file.string() + " is damaged at byte " + std::to_string(offset) +
                                       ", and records that were stored follow it. Opening it would lose them, so it stays "
                                       "closed: keep a copy of the folder and restore it from a backup");
}

void check(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string block(block_bytes, '\0');
  std::optional<std::uint64_t> broken;
  for (std::uint64_t offset = 0; in; offset += block_bytes) {
    in.read(block.data(), block_bytes);
    const std::string_view bytes(block.data(), static_cast<std::size_t>(in.gcount()));
    if (broken) {
      // A tear may leave zeros, or nothing; a readable record in a later block was written after the damage.
      if (bytes.size() >= head_bytes && (sound_record_at(bytes, 0) || readable_behind(bytes, 0))) refuse(file, *broken);
      continue;
    }
    const auto at = first_break(bytes);
    if (!at) continue;
    broken = offset + *at;
    if (whole_but_for_its_head(bytes, *at) || readable_behind(bytes, *at)) refuse(file, *broken);
  }
}

}  // namespace

void check_write_ahead_logs(const std::filesystem::path& folder) {
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ".log" && file.is_regular_file()) check(file.path());
  }
}

}  // namespace cairn::detail
