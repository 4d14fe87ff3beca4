// What CLI11's flags and help have in common in every program here.
#pragma once

#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>

namespace command_line {

inline std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

inline CLI::Validator from(std::int64_t least, std::int64_t most) {
  return CLI::Validator(
      [=](std::string& text) {
        const auto number = whole_number(text);
        if (number && *number >= least && *number <= most) return std::string();
        return "'" + text + "' is not a whole number from " + std::to_string(least) + " to " + std::to_string(most);
      },
      "");
}

inline CLI::Validator one_of(const std::string& first, const std::string& second) {
  return CLI::Validator(
      [=](std::string& text) {
        return text == first || text == second ? "" : "'" + text + "' is neither " + first + " nor " + second;
      },
      "");
}

/// For names and paths: what a script passes where a variable of its own is not set.
inline CLI::Validator not_empty() {
  return CLI::Validator([](std::string& text) { return text.empty() ? std::string("must not be empty") : std::string(); }, "");
}

/// Names the value and the default, and leaves out which option excludes which; that is said when it happens.
class plain_help : public CLI::Formatter {
public:
  plain_help() { column_width(26); }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_name().empty() ? "" : " " + option->get_type_name();
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    const auto preset = option->get_default_str();
    return option->get_description() + (preset.empty() ? "" : " [" + preset + "]");
  }
};

/// Reads the flags. Where nothing is left to do, what the program ends with: 0 after its help, 2 where they are wrong.
inline std::optional<int> ended_by_flags(CLI::App& app, const std::string& program, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return std::cout ? 0 : 2;
  } catch (const CLI::ParseError& wrong_usage) {
    std::cerr << wrong_usage.what() << ". Try " << program << " --help.\n";
    return 2;
  }
}

}  // namespace command_line
