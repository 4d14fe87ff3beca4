// A disk in memory that can lose its power, and that tests can look at, damage, fill up and copy.
//
// Calls change what programs see, syncs make it durable, and a power cut drops some of what is not durable.
// The disk itself never fails; wrap it in a failing_file_system to make calls fail.
#pragma once

#include "../persistence/log/file_system.hpp"

#include <cairn/testkit/random.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::testkit::detail {

/// Which unsynced changes survive a power cut. A file changes by truncations and writes, a folder by new,
/// removed and replaced names; a rename is one change. Each sector of a write is a change. A lost sector has
/// its old contents, or zeros. In all modes the surviving name changes of a folder are its first ones, as on
/// a journaling file system.
enum class remains {
  nothing,     ///< no change
  everything,  ///< every change
  sectors,     ///< each change of a file by chance, and by chance the file's size without the bytes
  prefix,      ///< the first changes of each file, up to a moment; this may tear a write at a sector boundary
};

struct disk_core;
class disk_contents;

/// Answers as Linux does, errnos included. There are no permissions and no symbolic links. Paths start at
/// the disk's root folder, relative ones too. open() of a folder returns -EISDIR in every mode.
/// Open files, open folders and locks may outlive the disk.
/// Thread safety: every member from any thread at any time.
class simulated_disk final : public cairn::detail::file_system {
public:
  using io_status = cairn::detail::io_status;
  /// A copy of a disk's state, durable and not. Cheap: copies share their sectors.
  using snapshot = std::shared_ptr<const disk_contents>;

  static constexpr std::size_t sector_bytes = 512;

  simulated_disk();

  io_status open_folder(const std::filesystem::path& path, std::shared_ptr<cairn::detail::folder>& out) override;
  io_status make_folder(const std::filesystem::path& path) override;

  /// Closes all files, folders and locks. Later calls on their C++ objects return -EBADF and change nothing.
  /// Keeps everything written.
  void crash_process();
  /// Does the same, and drops some of the unsynced changes. Everything that remains is durable.
  void cut_power(random& chance, remains mode);

  /// Limits the sectors of all files. A write that needs more is short, or fails with -ENOSPC if it can write
  /// nothing. Holes need no sectors. A file frees sectors when it shrinks, and all when it has no name and no
  /// handle.
  void set_capacity(std::uint64_t bytes);
  /// The size of all sectors in use.
  std::uint64_t allocated_bytes() const;

  /// The paths of all files, sorted: "/store/log/next".
  std::vector<std::string> files() const;
  // The functions below throw error(errc::invalid_argument) if the disk has no such file, folder or bit.
  std::string contents(const std::string& path) const;
  // Damage is durable at once. It also makes all earlier changes of the same file and folder durable.
  /// Replaces the contents of a file, or makes one.
  void overwrite(const std::string& path, std::string_view bytes);
  /// Removes a file, or a folder with all it contains.
  void remove(const std::string& path);
  /// Inverts one bit; the first byte has the bits 0 to 7.
  void flip(const std::string& path, std::uint64_t bit);

  snapshot take_snapshot() const;
  /// Puts the disk into that state, which may be another disk's. Closes what crash_process() closes.
  void restore(const snapshot& earlier);

private:
  const std::shared_ptr<disk_core> core_;
};

}  // namespace cairn::testkit::detail
