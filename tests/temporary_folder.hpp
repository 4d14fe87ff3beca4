// A folder of a test's own, gone when the test is, unless the test wants it to be looked at.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace cairn::tests {

/// Where files are in memory, if the machine has such a place: for tests that would wait for the disk thousands of times.
inline std::filesystem::path in_memory_if_possible() {
  std::error_code missing;
  return std::filesystem::is_directory("/dev/shm", missing) ? "/dev/shm" : std::filesystem::temp_directory_path();
}

class temporary_folder {
public:
  explicit temporary_folder(const std::filesystem::path& above = std::filesystem::temp_directory_path()) {
    auto name = (above / "cairn-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  ~temporary_folder() {
    if (kept_) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void keep() { kept_ = true; }

private:
  std::filesystem::path path_;
  bool kept_ = false;
};

}  // namespace cairn::tests
