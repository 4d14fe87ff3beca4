#include "new_folder.hpp"

#include "../log/io.hpp"
#include "../log/store_folder.hpp"

#include <cairn/error.hpp>

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <random>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace cairn::inline v1::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t suffix_letters = 6;

[[noreturn]] void refuse(const fs::path& path, const std::string& what, int reason) { fail_io(path.string(), what, reason); }

[[noreturn]] void refuse_target(const fs::path& path, const std::string& why) {
  throw error(errc::invalid_argument, path.string() + ": " + why);
}

void sync(const fs::path& folder) {
  const int opened = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = opened >= 0 && fsync(opened) == 0;
  const int reason = errno;
  if (opened >= 0) close(opened);
  if (!synced) refuse(folder, "sync", reason);
}

struct stat status_of(const fs::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) refuse(path, "look at", errno);
  return status;
}

void give(const fs::path& path, const struct stat& owner) {
  const auto now = status_of(path);
  if (now.st_uid == owner.st_uid && now.st_gid == owner.st_gid) return;
  if (chown(path.c_str(), owner.st_uid, owner.st_gid) != 0) refuse(path, "give the owner of the folder that it replaces", errno);
}

}  // namespace

new_folder::new_folder(const fs::path& target, const std::string& purpose) {
  find_target(target);
  remove_leftovers(purpose);
  try {
    make(purpose);
    lock();
  } catch (...) {
    remove();
    throw;
  }
}

new_folder::~new_folder() { remove(); }

// Whatever would keep another folder from taking the target's place is found before the work begins.
void new_folder::find_target(const fs::path& target) {
  std::error_code failure;
  target_ = fs::absolute(target, failure);
  if (!failure) target_ = fs::weakly_canonical(target_, failure);
  if (failure || target_.empty()) refuse(target, "find", failure.value());
  if (!target_.has_filename()) target_ = target_.parent_path();
  const auto found = fs::symlink_status(target_, failure);
  if (found.type() == fs::file_type::not_found) return;
  if (failure) refuse(target, "find", failure.value());
  if (found.type() == fs::file_type::symlink) refuse_target(target, "is a link to nothing; choose a new folder");
  const bool empty = found.type() == fs::file_type::directory && fs::is_empty(target_, failure);
  if (failure) refuse(target, "read", failure.value());
  if (!empty) {
    refuse_target(target, "is not empty; choose a new folder, and look at it before you put it in the old one's place");
  }
  if (fs::equivalent(target_, ".", failure)) {
    refuse_target(target, "is the folder that the program runs in, and would be replaced under it; run it elsewhere");
  }
  if (status_of(target_).st_dev != status_of(target_.parent_path()).st_dev) {
    refuse_target(target, "is a mount point, which no other folder can take the place of; choose a new folder in it");
  }
}

void new_folder::make(const std::string& purpose) {
  std::error_code unknown;
  std::vector<fs::path> missing;
  for (auto above = target_.parent_path(); above.has_relative_path() && !fs::exists(above, unknown);) {
    missing.push_back(above);
    above = above.parent_path();
  }
  for (auto above = missing.rbegin(); above != missing.rend(); ++above) {
    if (mkdir(above->c_str(), 0777) == 0) {
      above_.push_back(*above);
    } else if (errno != EEXIST) {
      refuse(*above, "make", errno);
    }
  }
  // Not by mkdtemp(), which gives a mode that nobody else can read, whatever the umask says.
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  fs::path name;
  do {
    auto text = target_.string() + "." + purpose + "-";
    for (std::size_t i = 0; i < suffix_letters; ++i) text += letters[random() % letters.size()];
    name = text;
    errno = 0;
  } while (mkdir(name.c_str(), 0777) != 0 && errno == EEXIST);
  if (errno != 0) refuse(name, "make", errno);
  path_ = name;
  if (fs::exists(target_, unknown)) give(path_, status_of(target_));
}

void new_folder::lock() {
  const auto file = path_ / unfinished_name;
  lock_ = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (lock_ < 0) refuse(file, "make", errno);
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) refuse(file, "lock", errno);
}

// A folder whose maker lives is locked. One without the file is not touched: its maker may be about to make it.
void new_folder::remove_leftovers(const std::string& purpose) const {
  const auto start = target_.filename().string() + "." + purpose + "-";
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(target_.parent_path(), unreadable)) {
    const auto name = entry.path().filename().string();
    if (!name.starts_with(start) || name.size() != start.size() + suffix_letters) continue;
    const int file = open((entry.path() / unfinished_name).c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) continue;
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
      std::error_code failure;
      fs::remove_all(entry.path(), failure);
      if (failure) {
        close(file);
        refuse(entry.path(), "remove what an interrupted " + purpose + " left", failure.value());
      }
    }
    close(file);
  }
}

void new_folder::remove() noexcept {
  std::error_code ignored;
  if (lock_ >= 0) close(lock_);
  lock_ = -1;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  path_.clear();
  for (; !above_.empty(); above_.pop_back()) fs::remove(above_.back(), ignored);  // stays where something else came into it
}

void new_folder::become_target() {
  std::error_code unknown;
  if (fs::exists(target_, unknown)) {
    const auto wanted = status_of(target_);
    for (const auto& file : fs::recursive_directory_iterator(path_)) give(file.path(), wanted);
    if (chmod(path_.c_str(), wanted.st_mode & 07777) != 0) refuse(path_, "give the mode of the folder that it replaces", errno);
  }
  if (unlink((path_ / unfinished_name).c_str()) != 0) refuse(path_, "finish the folder", errno);
  sync(path_);
  if (std::rename(path_.c_str(), target_.c_str()) != 0) refuse(target_, "replace the folder", errno);
  path_.clear();
  sync(target_.parent_path());
  for (const auto& above : above_) sync(above.parent_path());
  above_.clear();
}

}  // namespace cairn::detail
