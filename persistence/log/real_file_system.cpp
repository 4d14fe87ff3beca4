// The file system of the operating system, by the calls that take an open folder: openat(), renameat(), …
#include "file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <mutex>
#include <set>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace cairn::inline v1::detail {
namespace {

io_status status_of(int result) { return result < 0 ? -errno : 0; }

class descriptor {
public:
  explicit descriptor(int number) : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

private:
  int number_;
};

class real_file final : public file {
public:
  explicit real_file(descriptor opened) : opened_(std::move(opened)) {}

  io_count read_at(char* to, std::size_t bytes, std::uint64_t offset) override {
    const auto got = ::pread(opened_.get(), to, bytes, static_cast<off_t>(offset));
    return got < 0 ? -errno : got;
  }
  io_count write_at(std::string_view bytes, std::uint64_t offset) override {
    const auto put = ::pwrite(opened_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    return put < 0 ? -errno : put;
  }
  io_status sync() override { return status_of(::fdatasync(opened_.get())); }
  io_count size() override {
    struct stat found {};
    return ::fstat(opened_.get(), &found) < 0 ? -errno : found.st_size;
  }
  io_status truncate(std::uint64_t size) override { return status_of(::ftruncate(opened_.get(), static_cast<off_t>(size))); }

private:
  descriptor opened_;
};

/// The lock files that this process holds, by device and inode: a file system that emulates locks may not tell two openings of
/// one process apart.
class held_locks {
public:
  using key = std::pair<dev_t, ino_t>;
  bool add(const key& which) {
    const std::lock_guard lock(mutex_);
    return held_.insert(which).second;
  }
  void remove(const key& which) {
    const std::lock_guard lock(mutex_);
    held_.erase(which);
  }
  bool contains(const key& which) {
    const std::lock_guard lock(mutex_);
    return held_.contains(which);
  }

private:
  std::mutex mutex_;
  std::set<key> held_;
};

held_locks& locks_of_this_process() {
  static auto* const locks = new held_locks;  // stores of static storage duration may outlive any other static
  return *locks;
}

/// Open file description locks belong to one opening, unlike POSIX's, which go as soon as the process closes the file anywhere.
struct flock whole_file(short type) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  return range;
}

class real_lock final : public file_lock {
public:
  real_lock(descriptor file, descriptor folder, held_locks::key key)
      : file_(std::move(file)), folder_(std::move(folder)), key_(key) {}
  ~real_lock() override { locks_of_this_process().remove(key_); }

private:
  descriptor file_;
  descriptor folder_;
  held_locks::key key_;
};

class real_folder final : public folder {
public:
  real_folder(descriptor opened, std::string path) : opened_(std::move(opened)), path_(std::move(path)) {}

  const std::string& path() const override { return path_; }
  std::string stable_path() const override {
    auto path = "/proc/self/fd/" + std::to_string(opened_.get());
    struct stat there {};
    struct stat here {};
    const bool leads_here = ::stat(path.c_str(), &there) == 0 && ::fstat(opened_.get(), &here) == 0 &&
                            there.st_dev == here.st_dev && there.st_ino == here.st_ino;
    return leads_here ? path : std::string();
  }

  io_status open(const std::string& name, open_mode mode, std::unique_ptr<file>& out) override {
    descriptor opened(::openat(opened_.get(), name.c_str(), flags_of(mode) | O_CLOEXEC, 0666));
    if (opened.get() < 0) return -errno;
    struct stat status {};
    if (::fstat(opened.get(), &status) != 0) return -errno;
    if (S_ISDIR(status.st_mode)) return -EISDIR;
    out = std::make_unique<real_file>(std::move(opened));
    return 0;
  }

  io_status open_folder(const std::string& name, std::shared_ptr<folder>& out) override {
    descriptor opened(::openat(opened_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.get() < 0) return -errno;
    out = std::make_shared<real_folder>(std::move(opened), path_ + "/" + name);
    return 0;
  }

  io_status make_folder(const std::string& name) override { return status_of(::mkdirat(opened_.get(), name.c_str(), 0777)); }

  io_status list(std::vector<std::string>& names) override {
    names.clear();
    const int own = ::openat(opened_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) return -errno;
    DIR* const entries = ::fdopendir(own);
    if (!entries) {
      const int reason = errno;
      ::close(own);
      return -reason;
    }
    errno = 0;
    while (const auto* const entry = ::readdir(entries)) {
      const std::string_view name(entry->d_name);
      if (name != "." && name != "..") names.emplace_back(name);
    }
    const int reason = errno;
    ::closedir(entries);
    std::sort(names.begin(), names.end());
    return -reason;
  }

  io_status rename(const std::string& from, const std::string& to) override {
    return status_of(::renameat(opened_.get(), from.c_str(), opened_.get(), to.c_str()));
  }
  io_status remove(const std::string& name) override { return status_of(::unlinkat(opened_.get(), name.c_str(), 0)); }
  io_status link(const std::string& name, folder& into, const std::string& as) override {
    const auto* const other = dynamic_cast<real_folder*>(&into);
    if (!other) return -EXDEV;
    return status_of(::linkat(opened_.get(), name.c_str(), other->opened_.get(), as.c_str(), 0));
  }
  io_status sync() override { return status_of(::fsync(opened_.get())); }

  io_status lock(const std::string& name, std::unique_ptr<file_lock>& out) override {
    descriptor file(::openat(opened_.get(), name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (file.get() < 0) return -errno;
    struct stat found {};
    if (::fstat(file.get(), &found) < 0) return -errno;
    const held_locks::key key(found.st_dev, found.st_ino);
    if (!locks_of_this_process().add(key)) return -EWOULDBLOCK;
    auto range = whole_file(F_WRLCK);
    auto status = status_of(::fcntl(file.get(), F_OFD_SETLK, &range));
    if (status == -EACCES) status = -EWOULDBLOCK;
    // The folder too, because the lock file may be deleted and made again. Some file systems cannot lock a folder.
    descriptor own(::openat(opened_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (status == 0 && own.get() < 0) status = -errno;
    if (status == 0 && ::flock(own.get(), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) status = -EWOULDBLOCK;
    // flock() cannot be looked at without taking it, so a second lock, which excludes no other owner, shows it to is_locked().
    auto shown = whole_file(F_RDLCK);
    if (status == 0) static_cast<void>(::fcntl(own.get(), F_OFD_SETLK, &shown));
    if (status < 0) {
      locks_of_this_process().remove(key);
      return status;
    }
    out = std::make_unique<real_lock>(std::move(file), std::move(own), key);
    return 0;
  }

  io_status is_locked(const std::string& name) override {
    auto shown = whole_file(F_WRLCK);
    if (::fcntl(opened_.get(), F_OFD_GETLK, &shown) == 0 && shown.l_type != F_UNLCK) return 1;
    const descriptor file(::openat(opened_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return errno == ENOENT ? 0 : -errno;
    struct stat found {};
    if (::fstat(file.get(), &found) < 0) return -errno;
    if (locks_of_this_process().contains({found.st_dev, found.st_ino})) return 1;
    auto range = whole_file(F_RDLCK);
    if (::fcntl(file.get(), F_OFD_GETLK, &range) < 0) return -errno;
    return range.l_type == F_UNLCK ? 0 : 1;
  }

private:
  static int flags_of(open_mode mode) {
    switch (mode) {
    case open_mode::read: return O_RDONLY;
    case open_mode::write: return O_RDWR;
    case open_mode::create: return O_RDWR | O_CREAT | O_EXCL;
    case open_mode::open_or_create: return O_RDWR | O_CREAT;
    }
    return O_RDONLY;
  }

  descriptor opened_;
  std::string path_;
};

class real final : public file_system {
public:
  io_status open_folder(const std::filesystem::path& path, std::shared_ptr<folder>& out) override {
    descriptor opened(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened.get() < 0) return -errno;
    out = std::make_shared<real_folder>(std::move(opened), path.string());
    return 0;
  }
  io_status make_folder(const std::filesystem::path& path) override { return status_of(::mkdir(path.c_str(), 0777)); }
};

}  // namespace

file_system& real_file_system() {
  static auto* const instance = new real;  // for stores of static storage duration, as above
  return *instance;
}

}  // namespace cairn::detail
