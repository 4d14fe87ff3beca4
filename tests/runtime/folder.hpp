// A folder of a test's own, gone when the test is.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <unistd.h>

namespace cairn::tests {

class test_folder {
public:
  test_folder() {
    static std::atomic<int> made{0};
    path = std::filesystem::temp_directory_path() /
           ("cairn-test-" + std::to_string(::getpid()) + "-" + std::to_string(made.fetch_add(1)));
    std::filesystem::remove_all(path);
  }
  ~test_folder() {
    std::error_code ignored;  // a folder that cannot be removed is no reason to fail
    std::filesystem::remove_all(path, ignored);
  }
  test_folder(const test_folder&) = delete;
  test_folder& operator=(const test_folder&) = delete;

  std::filesystem::path path;
};

}  // namespace cairn::tests
