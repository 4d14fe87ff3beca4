// Everything about the files in a folder that a program could change.
#pragma once

#include <cstdint>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <sys/stat.h>

namespace cairn::tests {

struct file_state {
  mode_t mode;
  uid_t owner;
  gid_t group;
  std::int64_t changed_ns;  ///< the time of the last change of the contents
  std::string bytes;

  bool operator==(const file_state&) const = default;
};

/// By path; the folder itself is "".
using folder_tree = std::map<std::string, file_state>;

inline folder_tree tree_of(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  folder_tree tree;
  const auto add = [&](const fs::path& path) {
    struct stat status {};
    REQUIRE(lstat(path.c_str(), &status) == 0);
    std::string bytes;
    if (S_ISREG(status.st_mode)) {
      std::ifstream in(path, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    tree[path.lexically_relative(folder).string()] = {status.st_mode, status.st_uid, status.st_gid,
                                                      status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, bytes};
  };
  add(folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder)) add(entry.path());
  return tree;
}

/// Checks that the folder is as it was, and names what is not.
inline void check_unchanged(const std::filesystem::path& folder, const folder_tree& before) {
  const auto now = tree_of(folder);
  for (const auto& [name, state] : before) {
    INFO(name);
    REQUIRE(now.contains(name));
    CHECK(now.at(name) == state);
  }
  for (const auto& [name, state] : now) {
    INFO(name);
    CHECK(before.contains(name));
  }
}

}  // namespace cairn::tests
