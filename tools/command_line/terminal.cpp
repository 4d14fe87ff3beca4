#include "terminal.hpp"

#include "text.hpp"

#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

namespace command_line {

std::string bar(double share, std::size_t columns) {
  const auto full = static_cast<std::size_t>(share * static_cast<double>(columns));
  std::string text;
  for (std::size_t place = 0; place < columns; ++place) text += place < full ? "█" : "░";
  return text;
}

status_line::status_line() : terminal_(isatty(STDERR_FILENO) != 0) {}

status_line::~status_line() { clear(); }

std::size_t status_line::columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1u : 79;
}

void status_line::show(std::string_view text) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\033[K%s", std::string(beginning_of(text, columns())).c_str());
  dirty_ = true;
}

void status_line::clear() {
  if (std::exchange(dirty_, false)) std::fputs("\r\033[K", stderr);
}

}  // namespace command_line
