// A process of a test's own: this program again, with one of its skipped test cases and a folder to work in.
#pragma once

#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn::tests {

inline constexpr const char* folder_variable = "CAIRN_TEST_FOLDER";

/// Runs a skipped test case of this program in a process of its own, and returns its exit code.
inline int run_in_another_process(const std::string& test_case, const std::filesystem::path& folder) {
  const auto filter = "--test-case=" + test_case;
  const auto child = fork();
  if (child == 0) {
    setenv(folder_variable, folder.c_str(), 1);
    execl("/proc/self/exe", "tests", filter.c_str(), "--no-skip", "--minimal", static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline std::filesystem::path folder_of_this_process() {
  const char* folder = std::getenv(folder_variable);
  REQUIRE(folder);
  return folder;
}

}  // namespace cairn::tests
