#include "crc32c.hpp"

#include <array>
#include <cstddef>
#include <cstring>

#ifdef __x86_64__
#include <nmmintrin.h>
#endif

namespace cairn::detail {
namespace {

constexpr auto crc_tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    auto value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0x82f63b78U : value >> 1;
    tables[0][i] = value;
  }
  for (std::size_t table = 1; table < 8; ++table) {
    for (std::size_t i = 0; i < 256; ++i) {
      const auto before = tables[table - 1][i];
      tables[table][i] = before >> 8 ^ tables[0][before & 0xff];
    }
  }
  return tables;
}();

std::uint64_t eight_bytes(std::string_view bytes) {
  std::uint64_t eight = 0;
  std::memcpy(&eight, bytes.data(), 8);
  return eight;
}

#ifdef __x86_64__
[[gnu::target("sse4.2")]] std::uint32_t by_instruction(std::string_view bytes, std::uint32_t before) {
  std::uint64_t crc = ~before;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) crc = _mm_crc32_u64(crc, eight_bytes(bytes));
  auto rest = static_cast<std::uint32_t>(crc);
  for (const char byte : bytes) rest = _mm_crc32_u8(rest, static_cast<unsigned char>(byte));
  return ~rest;
}

const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
#endif

}  // namespace

// Eight bytes at a step: M. E. Kounavis and F. L. Berry, "A Systematic Approach to Building High Performance Software-Based CRC
// Generators", 2005.
std::uint32_t crc32c_by_tables(std::string_view bytes, std::uint32_t before) noexcept {
  auto crc = ~before;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    const auto eight = eight_bytes(bytes) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= crc_tables[7 - i][eight >> 8 * i & 0xff];
  }
  for (const char byte : bytes) crc = crc_tables[0][(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ crc >> 8;
  return ~crc;
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t before) noexcept {
#ifdef __x86_64__
  if (has_instruction) return by_instruction(bytes, before);
#endif
  return crc32c_by_tables(bytes, before);
}

}  // namespace cairn::detail

// What the linker calls where RocksDB asks for rocksdb::crc32c::Extend(std::uint32_t before, const char* bytes, std::size_t
// size).
extern "C" std::uint32_t __wrap__ZN7rocksdb6crc32c6ExtendEjPKcm(std::uint32_t before, const char* bytes, std::size_t size) {
  return cairn::detail::crc32c({bytes, size}, before);
}
