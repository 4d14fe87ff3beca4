#include "simulated_file_system.hpp"

#include "disk_contents.hpp"
#include "fault_injector.hpp"

#include <cairn/error.hpp>

#include <mutex>

namespace cairn::inline v1::testkit::detail {

using cairn::detail::file;
using cairn::detail::file_lock;
using cairn::detail::folder;

/// A disk and the process that uses it.
struct disk_core {
  std::set<inode> open() const {
    std::set<inode> nodes;
    for (const auto& [node, count] : handles) nodes.insert(node);
    return nodes;
  }
  std::uint64_t free_sectors() const {
    if (capacity == unlimited) return unlimited;
    const auto allocated = contents.allocated_sectors(open());
    return capacity > allocated ? capacity - allocated : 0;
  }
  void sync(folder_node& here) {
    here.sync();
    contents.drop_unreachable(open());
  }
  void end_process() {
    ++process;
    handles.clear();
    locks.clear();
  }

  /// Recursive, because a call may replace the object in its `out` parameter, whose destructor locks it too.
  std::recursive_mutex mutex = {};
  disk_contents contents = {};
  std::uint64_t capacity = unlimited;           // in sectors
  std::uint64_t process = 0;                    // how many have ended
  std::map<inode, std::uint64_t> handles = {};  // how many each inode has
  std::set<inode> locks = {};
};

namespace {

/// Keeps an inode on the disk. Admits calls until its process ends.
class handle {
public:
  handle(std::shared_ptr<disk_core> disk, inode node) : disk_(std::move(disk)), node_(node), process_(disk_->process) {
    ++disk_->handles[node_];
  }
  ~handle() {
    const std::lock_guard lock(disk_->mutex);
    if (is_alive() && --disk_->handles[node_] == 0) disk_->handles.erase(node_);
  }
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;

  /// Makes a call, alone on the disk. Returns -EBADF if the process has ended.
  template <class Work>
  auto call(Work work) const -> decltype(work()) {
    const std::lock_guard lock(disk_->mutex);
    return is_alive() ? work() : -EBADF;
  }
  /// Only within call().
  bool is_alive() const { return process_ == disk_->process; }
  const std::shared_ptr<disk_core>& disk() const { return disk_; }
  inode node() const { return node_; }

private:
  const std::shared_ptr<disk_core> disk_;
  const inode node_;
  const std::uint64_t process_;
};

class simulated_file final : public file, public unsynced_pages {
public:
  simulated_file(std::shared_ptr<disk_core> disk, inode node, bool writable)
      : handle_(std::move(disk), node), writable_(writable) {}

  io_count read_at(char* to, std::size_t bytes, std::uint64_t offset) override {
    return handle_.call([&] { return static_cast<io_count>(own().now().read(to, bytes, offset)); });
  }
  io_count write_at(std::string_view bytes, std::uint64_t offset) override {
    return handle_.call(
        [&] { return writable_ ? own().write(bytes, offset, handle_.disk()->free_sectors()) : io_count{-EBADF}; });
  }
  io_status sync() override {
    return handle_.call([&] { return own().sync(), 0; });
  }
  io_count size() override {
    return handle_.call([&] { return static_cast<io_count>(own().now().size); });
  }
  io_status truncate(std::uint64_t size) override {
    return handle_.call([&] { return writable_ ? (own().truncate(size), 0) : -EINVAL; });
  }
  void mark_clean() override {
    handle_.call([&] { return own().mark_clean(), 0; });
  }

private:
  file_node& own() const { return *handle_.disk()->contents.file(handle_.node()); }

  const handle handle_;
  const bool writable_;
};

/// Locks the file and the folder, as real_file_system() does, because the file can be removed and made again.
class simulated_lock final : public file_lock {
public:
  simulated_lock(std::shared_ptr<disk_core> disk, inode file, inode folder)
      : file_(disk, file), folder_(std::move(disk), folder) {
    file_.disk()->locks.insert({file, folder});
  }
  ~simulated_lock() override {
    file_.call([&] {
      file_.disk()->locks.erase(file_.node());
      file_.disk()->locks.erase(folder_.node());
      return 0;
    });
  }

private:
  const handle file_;
  const handle folder_;
};

class simulated_folder final : public folder {
public:
  simulated_folder(std::shared_ptr<disk_core> disk, inode node, std::string path)
      : handle_(std::move(disk), node), path_(std::move(path)) {}

  const std::string& path() const override { return path_; }
  std::string stable_path() const override { return {}; }

  io_status open(const std::string& name, open_mode mode, std::unique_ptr<file>& out) override {
    return call([&](folder_node& own) {
      const auto found = contents().open(own, name, mode);
      if (found < 0) return static_cast<io_status>(found);
      const bool writable = mode != open_mode::read;
      out = std::make_unique<simulated_file>(handle_.disk(), static_cast<inode>(found), writable);
      return 0;
    });
  }
  io_status open_folder(const std::string& name, std::shared_ptr<folder>& out) override {
    return call([&](folder_node& own) {
      const auto found = own.find(name);
      if (!contents().folder(found)) return found == none ? -ENOENT : -ENOTDIR;
      out = std::make_shared<simulated_folder>(handle_.disk(), found, path_ + "/" + name);
      return 0;
    });
  }
  io_status make_folder(const std::string& name) override {
    return call([&](folder_node& own) { return contents().make_folder(own, name); });
  }
  io_status list(std::vector<std::string>& out) override {
    return call([&](folder_node& own) {
      out.clear();
      for (const auto& [name, node] : own.now()) out.push_back(name);
      return 0;
    });
  }
  io_status rename(const std::string& from, const std::string& to) override {
    return call([&](folder_node& own) { return contents().rename(own, from, to); });
  }
  io_status remove(const std::string& name) override {
    return call([&](folder_node& own) { return contents().remove(own, name); });
  }
  io_status link(const std::string& name, folder& into, const std::string& as) override {
    const auto* const other = dynamic_cast<simulated_folder*>(&into);
    if (!other || other->handle_.disk() != handle_.disk()) return -EXDEV;
    return call([&](folder_node& own) {
      return other->call([&](folder_node& target) { return contents().link(own, name, target, as); });
    });
  }
  io_status sync() override {
    return call([&](folder_node& own) { return handle_.disk()->sync(own), 0; });
  }
  io_status lock(const std::string& name, std::unique_ptr<file_lock>& out) override {
    return call([&](folder_node& own) {
      const auto found = contents().open(own, name, open_mode::open_or_create);
      if (found < 0) return static_cast<io_status>(found);
      const auto node = static_cast<inode>(found);
      if (is_locked(node)) return -EWOULDBLOCK;
      out = std::make_unique<simulated_lock>(handle_.disk(), node, handle_.node());
      return 0;
    });
  }
  io_status is_locked(const std::string& name) override {
    return call([&](folder_node& own) {
      const auto found = own.find(name);
      return is_locked(contents().file(found) ? found : none) ? 1 : 0;
    });
  }

private:
  template <class Work>
  io_status call(Work work) const {
    return handle_.call([&] { return work(*contents().folder(handle_.node())); });
  }
  bool is_locked(inode file) const {
    const auto& locks = handle_.disk()->locks;
    return locks.contains(file) || locks.contains(handle_.node());
  }
  disk_contents& contents() const { return handle_.disk()->contents; }

  const handle handle_;
  const std::string path_;
};

[[noreturn]] void reject(const std::string& path, const std::string& reason) {
  throw error(errc::invalid_argument, path + ": the simulated disk has no such " + reason);
}

file_node& file_at(disk_contents& contents, const std::string& path) {
  const auto found = contents.find(path);
  auto* const node = found < 0 ? nullptr : contents.file(static_cast<inode>(found));
  if (!node) reject(path, "file");
  return *node;
}

folder_node& folder_above(disk_contents& contents, const std::filesystem::path& path) {
  const auto found = contents.find_folder(path.parent_path());
  if (found < 0) reject(path.parent_path().string(), "folder");
  return *contents.folder(static_cast<inode>(found));
}

std::string name_in(const std::filesystem::path& path) { return path.filename().string(); }

}  // namespace

simulated_disk::simulated_disk() : core_(std::make_shared<disk_core>()) {}

io_status simulated_disk::open_folder(const std::filesystem::path& path, std::shared_ptr<folder>& out) {
  const std::lock_guard lock(core_->mutex);
  const auto found = core_->contents.find_folder(path);
  if (found < 0) return static_cast<io_status>(found);
  out = std::make_shared<simulated_folder>(core_, static_cast<inode>(found), path.string());
  return 0;
}

io_status simulated_disk::make_folder(const std::filesystem::path& path) {
  const std::lock_guard lock(core_->mutex);
  auto& contents = core_->contents;
  if (contents.find(path) >= 0) return -EEXIST;
  const auto above = contents.find_folder(path.parent_path());
  if (above < 0) return static_cast<io_status>(above);
  return contents.make_folder(*contents.folder(static_cast<inode>(above)), name_in(path));
}

void simulated_disk::crash_process() {
  const std::lock_guard lock(core_->mutex);
  core_->end_process();
}

void simulated_disk::cut_power(random& chance, remains mode) {
  const std::lock_guard lock(core_->mutex);
  core_->end_process();
  core_->contents.cut_power(chance, mode);
  core_->contents.drop_unreachable({});
}

void simulated_disk::set_capacity(std::uint64_t bytes) {
  const std::lock_guard lock(core_->mutex);
  core_->capacity = bytes / sector_bytes;
}

std::uint64_t simulated_disk::allocated_bytes() const {
  const std::lock_guard lock(core_->mutex);
  return core_->contents.allocated_sectors(core_->open()) * sector_bytes;
}

std::vector<std::string> simulated_disk::files() const {
  const std::lock_guard lock(core_->mutex);
  return core_->contents.paths();
}

std::string simulated_disk::contents(const std::string& path) const {
  const std::lock_guard lock(core_->mutex);
  const auto& found = file_at(core_->contents, path).now();
  std::string bytes(found.size, '\0');
  found.read(bytes.data(), bytes.size(), 0);
  return bytes;
}

void simulated_disk::overwrite(const std::string& path, std::string_view bytes) {
  const std::lock_guard lock(core_->mutex);
  auto& above = folder_above(core_->contents, path);
  const auto found = core_->contents.open(above, name_in(path), open_mode::open_or_create);
  if (found < 0) reject(path, "file");
  auto& overwritten = *core_->contents.file(static_cast<inode>(found));
  overwritten.truncate(0);
  overwritten.write(bytes, 0, unlimited);
  overwritten.sync();
  core_->sync(above);
}

void simulated_disk::remove(const std::string& path) {
  const std::lock_guard lock(core_->mutex);
  auto& above = folder_above(core_->contents, path);
  if (above.find(name_in(path)) == none) reject(path, "file");
  above.change({name_in(path), {}, none});
  core_->sync(above);
}

void simulated_disk::flip(const std::string& path, std::uint64_t bit) {
  const std::lock_guard lock(core_->mutex);
  auto& flipped = file_at(core_->contents, path);
  char byte = 0;
  if (flipped.now().read(&byte, 1, bit / 8) == 0) reject(path, "bit as " + std::to_string(bit));
  byte = static_cast<char>(byte ^ (1 << (bit % 8)));
  flipped.write({&byte, 1}, bit / 8, unlimited);
  flipped.sync();
}

simulated_disk::snapshot simulated_disk::take_snapshot() const {
  const std::lock_guard lock(core_->mutex);
  return std::make_shared<const disk_contents>(core_->contents);
}

void simulated_disk::restore(const snapshot& earlier) {
  const std::lock_guard lock(core_->mutex);
  core_->end_process();
  core_->contents = *earlier;
}

}  // namespace cairn::testkit::detail
