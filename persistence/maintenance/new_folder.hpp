// A folder that appears whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cairn::inline v1::detail {

/// Where a store grows until it is known to be right: beside the folder that it will be. The file `unfinished` in it is locked by
/// its maker, so that what a killed process left is recognised.
class new_folder {
public:
  /// Makes `target`.`purpose`-XXXXXX, and what is missing above it, and removes those that killed processes left.
  /// Throws error(errc::invalid_argument) if `target` exists and is not empty, or is a folder that no other can replace, and
  /// error(errc::journal_unavailable) if nothing can be made there, with the reason.
  new_folder(const std::filesystem::path& target, const std::string& purpose);
  /// Removes everything unless become_target() was called.
  ~new_folder();
  new_folder(const new_folder&) = delete;
  new_folder& operator=(const new_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Gives the folder its name, durably, with the mode and owner of the empty one that it replaces.
  /// Throws error(errc::journal_unavailable), with the reason.
  void become_target();

private:
  void find_target(const std::filesystem::path& target);
  void remove_leftovers(const std::string& purpose) const;
  void make(const std::string& purpose);
  void lock();
  void remove() noexcept;

  std::filesystem::path target_;
  std::filesystem::path path_;                // empty once it has become the target
  std::vector<std::filesystem::path> above_;  // that had to be made, from the top down
  int lock_ = -1;                             // the open file `unfinished`
};

}  // namespace cairn::detail
