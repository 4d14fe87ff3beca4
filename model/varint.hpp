// Variable-length integers: LEB128, seven bits a byte, the lowest first. Each number has exactly one encoding, the shortest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::inline v1::detail {

inline constexpr std::size_t varint_bytes_max = 10;

/// Writes `value` to `to`, which has room for varint_bytes_max bytes. Returns the end of what it wrote.
inline char* write_varint(char* to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *to++ = static_cast<char>(value | 0x80);
  *to++ = static_cast<char>(value);
  return to;
}

inline void append_varint(std::string& out, std::uint64_t value) {
  char bytes[varint_bytes_max];
  out.append(bytes, write_varint(bytes, value));
}

/// Takes a number off the front of `bytes`. False if there is none, or one that is not in its shortest encoding, or is above 2^64
/// - 1.
inline bool take_varint(std::string_view& bytes, std::uint64_t& value) {
  value = 0;
  for (std::size_t place = 0; place < bytes.size() && place < varint_bytes_max; ++place) {
    const auto byte = static_cast<unsigned char>(bytes[place]);
    if (place == varint_bytes_max - 1 && byte > 1) return false;  // bits beyond the 64th
    value |= std::uint64_t{byte & 0x7fU} << (7 * place);
    if (byte >= 0x80) continue;
    if (byte == 0 && place > 0) return false;  // a shorter encoding would do
    bytes.remove_prefix(place + 1);
    return true;
  }
  return false;
}

}  // namespace cairn::detail
