// A folder that is there whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cairn::detail {

/// Where a store grows until it is known to be right: beside the folder that it is to be.
class new_folder {
public:
  /// Makes `target`.`purpose`-XXXXXX, and what is missing above it. Throws error(errc::invalid_argument) where `target` is there
  /// and not empty, or is a folder that no other can take the place of, and error(errc::journal_unavailable) where nothing can be
  /// made there, with the reason.
  new_folder(const std::filesystem::path& target, const std::string& purpose);
  /// Takes everything away again where become_target() has not been called.
  ~new_folder();
  new_folder(const new_folder&) = delete;
  new_folder& operator=(const new_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Gives the folder its name, on the disk too, with the mode and owner of the empty one whose place it takes.
  /// Throws error(errc::journal_unavailable), with the reason.
  void become_target();

private:
  void find_target(const std::filesystem::path& target);
  void make(const std::string& purpose);
  void remove() noexcept;

  std::filesystem::path target_;
  std::filesystem::path path_;                // empty once it has become the target
  std::vector<std::filesystem::path> above_;  // that had to be made, from the top down
};

}  // namespace cairn::detail
