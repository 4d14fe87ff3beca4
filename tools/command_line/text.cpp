#include "text.hpp"

#include <algorithm>
#include <cstdio>

namespace command_line {

std::string grouped(std::uint64_t number) {
  auto text = std::to_string(number);
  for (auto place = static_cast<int>(text.size()) - 3; place > 0; place -= 3)
    text.insert(static_cast<std::size_t>(place), 1, ',');
  return text;
}

std::string counted(std::uint64_t number, const std::string& what) {
  return grouped(number) + " " + what + (number == 1 ? "" : "s");
}

std::size_t width_of(std::string_view text) {
  // Bytes that do not continue a character.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xc0) != 0x80; }));
}

std::string fixed(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

std::string as_time(std::uint64_t nanoseconds) {
  const auto number = static_cast<double>(nanoseconds);
  const auto three_digits = [](double value) { return fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0); };
  if (number < 999.5e3) return fixed(number / 1e3, 0) + " µs";
  if (number < 999.5e6) return three_digits(number / 1e6) + " ms";
  return three_digits(number / 1e9) + " s";
}

std::string percent_of(double share) { return std::to_string(static_cast<int>(share * 100)) + " %"; }

std::string_view beginning_of(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    const bool begins_character = (text[end] & 0xc0) != 0x80;
    if (begins_character && columns-- == 0) break;
  }
  return text.substr(0, end);
}

}  // namespace command_line
