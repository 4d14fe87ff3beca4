// The few calls of a file system that the log needs, so that tests can run the log on a disk that fails or loses its power.
//
// Each call does what the system call of that name does, and may return early as it may: a read or a write may be short, and any
// call may fail with EINTR. io.hpp repeats such calls, and turns what failed into an error. Knows nothing of logs.
//
// Implementations: real_file_system.cpp (the operating system), testkit/simulated_file_system.hpp (a disk in memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::detail {

/// What a call returns: a value of at least 0, or a negated errno.
using io_count = std::int64_t;
/// 0, or a negated errno.
using io_status = int;

/// An open file. Closed by its destructor.
/// Thread safety: every member from any thread at any time; concurrent writes do not overlap.
class file {
public:
  file() = default;
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  virtual ~file() = default;

  /// Reads up to `bytes` bytes from `offset` on into `to`. Returns how many it read; 0 at the end of the file.
  virtual io_count read_at(char* to, std::size_t bytes, std::uint64_t offset) = 0;
  /// Writes up to `bytes.size()` bytes at `offset`, and extends the file if it is shorter. Returns how many it wrote.
  virtual io_count write_at(std::string_view bytes, std::uint64_t offset) = 0;
  /// Makes everything written so far durable, and the file's size. Not its name: folder::sync() does that.
  virtual io_status sync() = 0;
  virtual io_count size() = 0;
  virtual io_status truncate(std::uint64_t size) = 0;
};

enum class open_mode {
  read,            ///< the file must exist
  write,           ///< for reading and writing; the file must exist
  create,          ///< for reading and writing; the file must not exist
  open_or_create,  ///< for reading and writing
};

/// A lock that is held. Released by its destructor, and by the end of the process.
class file_lock {
public:
  virtual ~file_lock() = default;
};

/// An open folder. All names are relative to it, so that it may be renamed while it is open. Closed by its destructor.
/// Thread safety: every member from any thread at any time.
class folder {
public:
  folder() = default;
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  virtual ~folder() = default;

  /// The path it was opened by, for messages.
  virtual const std::string& path() const = 0;
  /// A path that leads to the open folder also after it was renamed, for libraries that take paths; empty if there is none.
  virtual std::string stable_path() const = 0;

  virtual io_status open(const std::string& name, open_mode mode, std::unique_ptr<file>& out) = 0;
  virtual io_status open_folder(const std::string& name, std::shared_ptr<folder>& out) = 0;
  virtual io_status make_folder(const std::string& name) = 0;
  /// The names in the folder, sorted, without "." and "..".
  virtual io_status list(std::vector<std::string>& names) = 0;
  /// Replaces `to` if it exists.
  virtual io_status rename(const std::string& from, const std::string& to) = 0;
  virtual io_status remove(const std::string& name) = 0;
  /// Gives the file `name` a second name in the folder `into`, which must not have it yet.
  virtual io_status link(const std::string& name, folder& into, const std::string& as) = 0;
  /// Makes the names in the folder durable.
  virtual io_status sync() = 0;

  /// Locks the folder for one owner by its file `name`, which is made if it is missing. -EWOULDBLOCK if another owner has it, in
  /// this process or in another, by whatever path.
  virtual io_status lock(const std::string& name, std::unique_ptr<file_lock>& out) = 0;
  /// Whether lock() would say -EWOULDBLOCK now: 1 if so, else 0. Changes nothing, and keeps no other from locking it meanwhile.
  virtual io_status is_locked(const std::string& name) = 0;
};

/// Thread safety: every member from any thread at any time.
class file_system {
public:
  virtual ~file_system() = default;

  /// Opens a folder that exists.
  virtual io_status open_folder(const std::filesystem::path& path, std::shared_ptr<folder>& out) = 0;
  /// Makes one folder; the one above it must exist.
  virtual io_status make_folder(const std::filesystem::path& path) = 0;
};

/// The operating system's. Lives as long as the program.
file_system& real_file_system();

}  // namespace cairn::detail
