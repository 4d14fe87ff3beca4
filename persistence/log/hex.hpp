// Bytes as people see them in messages, heads and exports.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::inline v1::detail {

inline constexpr std::string_view hex_digits = "0123456789abcdef";

inline std::string to_hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    text += hex_digits[static_cast<unsigned char>(byte) >> 4];
    text += hex_digits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

/// Nothing where `text` is not pairs of lower-case digits.
inline std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = hex_digits.find(text[i]);
    const auto low = hex_digits.find(text[i + 1]);
    if (high == hex_digits.npos || low == hex_digits.npos) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

}  // namespace cairn::detail
