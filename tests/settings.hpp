// What scripts/test hands to the tests (how much, from which seed) and what they hand back to be shown: figures.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cairn::tests {

/// The number that the environment variable `name` gives, or else `usual`.
inline std::uint64_t setting(const char* name, std::uint64_t usual) {
  const char* given = std::getenv(name);
  if (!given || !*given) return usual;
  const std::string_view text(given);
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) {
    throw std::runtime_error(std::string(name) + " must be a whole number, not '" + given + "'");
  }
  return number;
}

/// Whether a sanitizer is built in. It needs descriptors and memory of its own, and ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

/// Shows a line of figures to whoever ran scripts/test, also where the test passes.
inline void show(const std::string& line) {
  const char* file = std::getenv("CAIRN_TEST_FIGURES");
  if (file && *file) {
    std::ofstream(file, std::ios::app) << line << '\n';
  } else {
    std::cout << line << std::endl;
  }
}

}  // namespace cairn::tests
