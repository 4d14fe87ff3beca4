// A folder that is there whole or not at all.
#pragma once

#include <filesystem>
#include <string>

namespace cairn::detail {

/// Where a store grows until it is known to be right: beside the folder that it is to be.
class new_folder {
public:
  /// Makes `target`.`purpose`-XXXXXX. Throws error(errc::invalid_argument) where `target` is there and not empty, and
  /// error(errc::journal_unavailable) where nothing can be made there, with the reason.
  new_folder(const std::filesystem::path& target, const std::string& purpose);
  /// Takes everything away again where become_target() has not been called.
  ~new_folder();
  new_folder(const new_folder&) = delete;
  new_folder& operator=(const new_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Gives the folder its name, on the disk too. Throws error(errc::journal_unavailable), with the reason.
  void become_target();

private:
  std::filesystem::path target_;
  std::filesystem::path path_;  // empty once it has become the target
};

}  // namespace cairn::detail
