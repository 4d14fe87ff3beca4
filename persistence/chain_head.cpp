#include <cairn/chain_head.hpp>

#include <cairn/error.hpp>

#include <charconv>

namespace cairn {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

}  // namespace

std::string to_string(const chain_head& head) {
  auto text = std::to_string(head.through.value) + ":";
  for (const auto byte : head.hash) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

chain_head parse_chain_head(std::string_view text) {
  chain_head head;
  const auto* const end = text.data() + text.size();
  const auto [colon, failed] = std::from_chars(text.data(), end, head.through.value);
  const std::string_view hash(colon, static_cast<std::size_t>(end - colon));
  bool sound = failed == std::errc{} && hash.size() == 1 + 2 * head.hash.size() && hash[0] == ':';
  for (std::size_t i = 0; sound && i < head.hash.size(); ++i) {
    const auto high = digits.find(hash[1 + 2 * i]);
    const auto low = digits.find(hash[2 + 2 * i]);
    sound = high != digits.npos && low != digits.npos;
    if (sound) head.hash[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  if (!sound) {
    throw error(errc::invalid_argument, "'" + std::string(text.substr(0, 100)) +
                                            "' is not a head: that is a position, a colon and 64 hexadecimal digits (0-9, a-f)");
  }
  return head;
}

}  // namespace cairn
