#include "failing_file_system.hpp"

#include "simulated_file_system.hpp"

#include <string_view>

namespace cairn::inline v1::testkit::detail {
namespace {

using cairn::detail::file;
using cairn::detail::file_lock;
using cairn::detail::folder;
using cairn::detail::io_count;
using cairn::detail::open_mode;

/// Makes a call that returns a status, unless it has to fail.
template <class Work>
io_status attempt(fault_injector& faults, call kind, const std::string& path, Work work) {
  const auto result = faults.admit(kind, path);
  if (result == 0) return work();
  return result == false_success ? 0 : result;
}

/// Of a write of `bytes` at `offset`: those up to the last end of a sector in its first half. All if there is none.
std::size_t bytes_to_sector_end(std::size_t bytes, std::uint64_t offset) {
  const auto half = offset + bytes / 2;
  const auto end = half - half % simulated_disk::sector_bytes;
  return end > offset ? end - offset : bytes;
}

class failing_file final : public file {
public:
  failing_file(std::unique_ptr<file> target, std::string path, std::shared_ptr<fault_injector> faults)
      : target_(std::move(target)), path_(std::move(path)), faults_(std::move(faults)) {}

  io_count read_at(char* to, std::size_t bytes, std::uint64_t offset) override {
    const auto result = faults_->admit(call::read, path_, bytes);
    if (result < 0) return result;
    return target_->read_at(to, result == short_transfer ? bytes / 2 : bytes, offset);
  }
  io_count write_at(std::string_view bytes, std::uint64_t offset) override {
    const auto result = faults_->admit(call::write, path_, bytes.size());
    if (result < 0) return result;
    if (result == false_success) return static_cast<io_count>(bytes.size());
    auto written = bytes.size();
    if (result == short_transfer) written /= 2;
    if (result == short_write) written = bytes_to_sector_end(written, offset);
    return target_->write_at(bytes.substr(0, written), offset);
  }
  io_status sync() override {
    const auto result = faults_->admit(call::sync, path_);
    if (result == 0) return target_->sync();
    if (result == false_success) return 0;
    auto* const pages = dynamic_cast<unsynced_pages*>(target_.get());
    if (pages && result != -EINTR) pages->mark_clean();
    return result;
  }
  io_count size() override {
    const auto result = faults_->admit(call::size, path_);
    return result < 0 ? result : target_->size();
  }
  io_status truncate(std::uint64_t size) override {
    return attempt(*faults_, call::truncate, path_, [&] { return target_->truncate(size); });
  }

private:
  const std::unique_ptr<file> target_;
  const std::string path_;
  const std::shared_ptr<fault_injector> faults_;
};

class failing_folder final : public folder {
public:
  failing_folder(std::shared_ptr<folder> target, std::shared_ptr<fault_injector> faults)
      : target_(std::move(target)), faults_(std::move(faults)) {}

  const std::string& path() const override { return target_->path(); }
  std::string stable_path() const override { return target_->stable_path(); }

  io_status open(const std::string& name, open_mode mode, std::unique_ptr<file>& out) override {
    return attempt_at(call::open, name, [&] {
      std::unique_ptr<file> opened;
      const auto status = target_->open(name, mode, opened);
      if (status == 0) out = std::make_unique<failing_file>(std::move(opened), path_of(name), faults_);
      return status;
    });
  }
  io_status open_folder(const std::string& name, std::shared_ptr<folder>& out) override {
    return attempt_at(call::open_folder, name, [&] {
      std::shared_ptr<folder> opened;
      const auto status = target_->open_folder(name, opened);
      if (status == 0) out = std::make_shared<failing_folder>(std::move(opened), faults_);
      return status;
    });
  }
  io_status make_folder(const std::string& name) override {
    return attempt_at(call::make_folder, name, [&] { return target_->make_folder(name); });
  }
  io_status list(std::vector<std::string>& names) override {
    return attempt(*faults_, call::list, path(), [&] { return target_->list(names); });
  }
  io_status rename(const std::string& from, const std::string& to) override {
    return attempt_at(call::rename, from, [&] { return target_->rename(from, to); });
  }
  io_status remove(const std::string& name) override {
    return attempt_at(call::remove, name, [&] { return target_->remove(name); });
  }
  io_status link(const std::string& name, folder& into, const std::string& as) override {
    return attempt_at(call::link, name, [&] {
      const auto* const wrapper = dynamic_cast<failing_folder*>(&into);
      return wrapper ? target_->link(name, *wrapper->target_, as) : -EXDEV;
    });
  }
  io_status sync() override {
    return attempt(*faults_, call::sync_folder, path(), [&] { return target_->sync(); });
  }
  io_status lock(const std::string& name, std::unique_ptr<file_lock>& out) override {
    return attempt_at(call::lock, name, [&] { return target_->lock(name, out); });
  }
  io_status is_locked(const std::string& name) override {
    return attempt_at(call::lock, name, [&] { return target_->is_locked(name); });
  }

private:
  std::string path_of(const std::string& name) const { return path() + "/" + name; }
  template <class Work>
  io_status attempt_at(call kind, const std::string& name, Work work) {
    return attempt(*faults_, kind, path_of(name), work);
  }

  const std::shared_ptr<folder> target_;
  const std::shared_ptr<fault_injector> faults_;
};

}  // namespace

failing_file_system::failing_file_system(cairn::detail::file_system& target)
    : target_(target), faults_(std::make_shared<fault_injector>()) {}

io_status failing_file_system::open_folder(const std::filesystem::path& path, std::shared_ptr<folder>& out) {
  return attempt(*faults_, call::open_folder, path.string(), [&] {
    std::shared_ptr<folder> opened;
    const auto status = target_.open_folder(path, opened);
    if (status == 0) out = std::make_shared<failing_folder>(std::move(opened), faults_);
    return status;
  });
}

io_status failing_file_system::make_folder(const std::filesystem::path& path) {
  return attempt(*faults_, call::make_folder, path.string(), [&] { return target_.make_folder(path); });
}

}  // namespace cairn::testkit::detail
