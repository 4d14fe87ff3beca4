// Runs a program as its users do: through the shell, in a folder of its own.
#pragma once

#include "temporary_folder.hpp"

#include <cstdio>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <sys/wait.h>

namespace cairn::tests {

struct ran {
  int code;
  std::string said;  // both outputs
  bool mentions(std::string_view words) const { return said.find(words) != std::string::npos; }
};

class shell {
public:
  /// The program is what the environment variable `variable` names.
  explicit shell(const char* variable) {
    const auto* path = std::getenv(variable);
    REQUIRE_MESSAGE(path, variable << " must name the program");
    program_ = path;
  }

  /// `before` stands before the program's name: another program that feeds or watches it.
  ran operator()(const std::string& arguments, const std::string& before = {}) const {
    const auto command = "cd '" + folder() + "' && { " + before + " '" + program_ + "' " + arguments + "; } 2>&1";
    ran result{-1, {}};
    auto* pipe = popen(command.c_str(), "r");
    REQUIRE(pipe);
    char part[4096];
    for (std::size_t size = 0; (size = std::fread(part, 1, sizeof part, pipe)) > 0;) result.said.append(part, size);
    const auto status = pclose(pipe);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
  }

  const std::string& program() const { return program_; }
  std::string folder() const { return folder_.path().string(); }
  bool has(const std::string& name) const { return std::filesystem::exists(folder_.path() / name); }
  std::string text_of(const std::string& name) const {
    std::ifstream file(folder_.path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// Whatever a failed run may have left behind.
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_.path()), {}));
  }

private:
  temporary_folder folder_;
  std::string program_;
};

}  // namespace cairn::tests
