// Figures as people read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace command_line {

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number);
/// "1 product", "1,234 products".
std::string counted(std::uint64_t number, const std::string& what);
/// With so many digits behind the point.
std::string fixed(double number, int digits);
/// Nanoseconds as "870 µs", "1.23 ms", "12.3 s".
std::string as_time(std::uint64_t nanoseconds);
/// A share, 0 to 1, as "42 %".
std::string percent_of(double share);

/// The columns that the text takes on a terminal.
std::size_t width_of(std::string_view text);
/// The beginning of `text` that takes at most `columns`, in whole characters.
std::string_view beginning_of(std::string_view text, std::size_t columns);

}  // namespace command_line
