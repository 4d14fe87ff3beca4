#include "new_folder.hpp"

#include <cairn/error.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace cairn::detail {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path, const std::string& what, int reason) {
  throw error(errc::journal_unavailable, path.string() + ": cannot " + what + ": " + std::strerror(reason));
}

void sync(const fs::path& folder) {
  const int opened = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = opened >= 0 && fsync(opened) == 0;
  const int reason = errno;
  if (opened >= 0) close(opened);
  if (!synced) refuse(folder, "be brought to the disk", reason);
}

}  // namespace

new_folder::new_folder(const fs::path& target, const std::string& purpose) {
  std::error_code failure;
  target_ = fs::weakly_canonical(fs::absolute(target), failure);
  if (failure || target_.empty()) refuse(target, "be found", failure.value());
  if (!target_.has_filename()) target_ = target_.parent_path();
  if (fs::exists(target_, failure) && !(fs::is_directory(target_, failure) && fs::is_empty(target_, failure))) {
    throw error(errc::invalid_argument,
                target.string() + ": is not empty; choose a new folder, and look at it before you put it in the old one's place");
  }
  fs::create_directories(target_.parent_path(), failure);
  if (failure) refuse(target_.parent_path(), "be made", failure.value());
  auto name = target_.string() + "." + purpose + "-XXXXXX";
  if (!mkdtemp(name.data())) refuse(name, "be made", errno);
  path_ = name;
}

new_folder::~new_folder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

void new_folder::become_target() {
  sync(path_);
  if (std::rename(path_.c_str(), target_.c_str()) != 0) refuse(target_, "take the place of the folder", errno);
  path_.clear();
  sync(target_.parent_path());
}

}  // namespace cairn::detail
