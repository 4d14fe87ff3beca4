// One line on standard error for whoever watches.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace command_line {

/// The columns that a bar may take; with fewer to spare there is none.
inline constexpr std::size_t bar_min = 10;
inline constexpr std::size_t bar_max = 40;

/// A bar of `columns` of which `share`, 0 to 1, is full.
std::string bar(double share, std::size_t columns);

/// A line that is kept up to date where standard error is a terminal; elsewhere nothing is written. One thread at a time.
class status_line {
public:
  status_line();
  ~status_line();
  status_line(const status_line&) = delete;
  status_line& operator=(const status_line&) = delete;

  bool watched() const { return terminal_; }
  /// What a line has room for.
  static std::size_t columns();
  /// Shows as much of `text` as there is room for, instead of what was shown before.
  void show(std::string_view text);
  /// Takes the line away.
  void clear();

private:
  bool terminal_;
  bool dirty_ = false;
};

}  // namespace command_line
