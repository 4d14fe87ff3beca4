#include "faulty_file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>
#include <thread>
#include <utility>
#include <vector>

// RocksDB leaks the memtable that it has made if it then cannot make the log for it. A sanitizer's leak
// checker looks for this name.
extern "C" const char* __lsan_default_suppressions() { return "leak:rocksdb::DBImpl::SwitchMemtable\n"; }

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using remains = faulty_disk::remains;

constexpr std::uint64_t page_bytes = 4096;

IOStatus failure_of(int errno_value) {
  if (errno_value != ENOSPC) return IOStatus::IOError(std::strerror(errno_value));
  // As the operating system's own file system reports it.
  auto failure = IOStatus::NoSpace(std::strerror(errno_value));
  failure.SetRetryable(true);
  return failure;
}

/// A file without its names. Its bytes have a link beside the database's folder, so that a name whose
/// deletion was not synced can come back.
struct inode {
  inode(fs::path link, std::uint64_t durable) : kept(std::move(link)), synced(durable) {}
  ~inode() {
    std::error_code ignored;
    fs::remove(kept, ignored);
  }
  inode(const inode&) = delete;
  inode& operator=(const inode&) = delete;

  const fs::path kept;
  std::uint64_t synced;  // bytes
};
using inode_ptr = std::shared_ptr<inode>;
using names = std::map<std::string, inode_ptr>;

/// One change of the folder that is not durable before the folder is synced.
struct change {
  std::string name;
  inode_ptr file;    // nullptr: the name is removed
  std::string from;  // the name that it had before; empty if it had none
};

void make_change(names& to, const change& done) {
  if (!done.from.empty()) to.erase(done.from);
  if (done.file) {
    to[done.name] = done.file;
  } else {
    to.erase(done.name);
  }
}

void write_zeros(const fs::path& file, std::uint64_t from, std::uint64_t to) {
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(static_cast<std::streamoff>(from));
  const std::string zeros(to - from, '\0');
  out.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
}

void leave_of_file(const inode& file, testkit::random& chance, remains what) {
  const auto size = fs::file_size(file.kept);
  if (size <= file.synced) return;
  switch (what) {
  case remains::everything: return;
  case remains::nothing: return fs::resize_file(file.kept, file.synced);
  case remains::prefix: return fs::resize_file(file.kept, file.synced + chance.below(size - file.synced + 1));
  case remains::sectors:
    for (auto page = file.synced; page < size; page = (page / page_bytes + 1) * page_bytes) {
      if (chance.chance(0.3)) write_zeros(file.kept, page, std::min(size, (page / page_bytes + 1) * page_bytes));
    }
  }
}

/// RocksDB waits a second after a failure in the background before it goes on. Tests have many.
class impatient_clock final : public rocksdb::SystemClockWrapper {
public:
  impatient_clock() : SystemClockWrapper(rocksdb::SystemClock::Default()) {}
  const char* Name() const override { return "cairn.impatient"; }
  void SleepForMicroseconds(int) override { std::this_thread::yield(); }
};

class environment final : public rocksdb::EnvWrapper {
public:
  explicit environment(const std::shared_ptr<rocksdb::FileSystem>& files) : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    system_clock_ = std::make_shared<impatient_clock>();
  }
};

}  // namespace

class faulty_disk::file_system final : public rocksdb::FileSystemWrapper {
public:
  explicit file_system(const fs::path& folder)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), folder_(fs::canonical(folder)), kept_(folder_.string() + ".inodes") {
    fs::create_directories(kept_);
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.is_regular_file()) names_[entry.path().filename().string()] = keep(entry.path(), entry.file_size());
    }
    durable_ = names_;
  }
  ~file_system() override {
    names_.clear();
    durable_.clear();
    changes_.clear();
    std::error_code ignored;
    fs::remove_all(kept_, ignored);
  }

  const char* Name() const override { return "cairn.faulty"; }

  // --- what RocksDB calls ---

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options, std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* debug) override {
    const auto name = name_of(path);
    if (!name) return target()->NewWritableFile(path, options, result, debug);
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    // A power cut may still leave the old bytes, so they must not be overwritten.
    std::error_code ignored;
    fs::remove(path, ignored);
    if (auto failure = target()->NewWritableFile(path, options, result, debug); !failure.ok()) return failure;
    note({*name, keep(path, 0), {}});
    return watch(*name, result);
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) override {
    const auto name = name_of(path);
    if (!name || !fs::exists(path)) return NewWritableFile(path, options, result, debug);
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (auto failure = target()->ReopenWritableFile(path, options, result, debug); !failure.ok()) return failure;
    return watch(*name, result);
  }
  IOStatus NewRandomRWFile(const std::string&, const FileOptions&, std::unique_ptr<rocksdb::FSRandomRWFile>*,
                           IODebugContext*) override {
    return IOStatus::NotSupported("cairn changes no file within");
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options, std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext* debug) override;

  IOStatus DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) override {
    const auto name = name_of(path);
    if (!name) return target()->DeleteFile(path, options, debug);
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (auto failure = target()->DeleteFile(path, options, debug); !failure.ok()) return failure;
    note({*name, nullptr, {}});
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options, IODebugContext* debug) override {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (auto failure = target()->RenameFile(from, to, options, debug); !failure.ok()) return failure;
    note({*name_of(to), names_.at(*name_of(from)), *name_of(from)});
    return IOStatus::OK();
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options, IODebugContext* debug) override {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (auto failure = target()->LinkFile(from, to, options, debug); !failure.ok()) return failure;
    note({*name_of(to), names_.at(*name_of(from)), {}});
    return IOStatus::OK();
  }
  // Without the one by which it is kept here.
  IOStatus NumFileLinks(const std::string& path, const IOOptions& options, std::uint64_t* links, IODebugContext* debug) override {
    auto status = target()->NumFileLinks(path, options, links, debug);
    if (status.ok() && name_of(path)) --*links;
    return status;
  }

  IOStatus append(const std::string& name, const rocksdb::Slice& data, rocksdb::FSWritableFile& file, const IOOptions& options,
                  IODebugContext* debug) {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (full_) return failure_of(ENOSPC);
    if (!strikes(name, false)) return file.Append(data, options, debug);
    file.Append({data.data(), data.size() / 2}, options, debug).PermitUncheckedError();
    file.Flush(options, debug).PermitUncheckedError();
    full_ = fault_->is == table_fault::kind::disk_full;
    return failure_of(full_ ? ENOSPC : EIO);
  }

  IOStatus sync(const std::string& name, inode& file) {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (strikes(name, true)) return failure_of(EIO);
    file.synced = fs::file_size(file.kept);
    return IOStatus::OK();
  }

  IOStatus sync_folder(const fs::path& path) {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (fs::canonical(path) != folder_) return IOStatus::OK();
    // Cairn removes a damaged database past RocksDB.
    std::erase_if(names_, [this](const auto& known) { return !fs::exists(folder_ / known.first); });
    durable_ = names_;
    changes_.clear();
    return IOStatus::OK();
  }

  // --- what the test calls ---

  std::uint64_t operations() const {
    const std::lock_guard lock(mutex_);
    return operations_;
  }
  void cut_power_before(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    cut_before_ = number;
  }
  void cut_power() {
    const std::lock_guard lock(mutex_);
    powered_ = false;
  }
  bool has_power() const {
    const std::lock_guard lock(mutex_);
    return powered_;
  }
  void inject(const table_fault& next) {
    const std::lock_guard lock(mutex_);
    fault_ = next;
    seen_ = 0;
    struck_ = full_ = false;
  }
  void free_space() {
    const std::lock_guard lock(mutex_);
    full_ = false;
  }
  bool struck() const {
    const std::lock_guard lock(mutex_);
    return struck_;
  }

  void leave(testkit::random& chance, remains what) {
    const std::lock_guard lock(mutex_);
    auto left = durable_;
    auto kept = changes_.size();
    if (what == remains::nothing) kept = 0;
    if (what == remains::sectors || what == remains::prefix) kept = chance.below(changes_.size() + 1);
    for (std::size_t place = 0; place < kept; ++place) make_change(left, changes_[place]);
    std::map<fs::path, inode_ptr> files;  // each once, whatever its names
    for (const auto& [name, file] : left) files[file->kept] = file;
    for (const auto& [kept_as, file] : files) leave_of_file(*file, chance, what);
    for (const auto& entry : fs::directory_iterator(folder_)) fs::remove_all(entry.path());
    for (const auto& [name, file] : left) fs::create_hard_link(file->kept, folder_ / name);
  }

private:
  /// Cairn opens the folder by /proc/self/fd.
  std::optional<std::string> name_of(const fs::path& path) const {
    std::error_code missing;
    if (fs::canonical(path.parent_path(), missing) != folder_) return std::nullopt;
    return path.filename().string();
  }

  inode_ptr keep(const fs::path& path, std::uint64_t durable) {
    auto link = kept_ / std::to_string(++files_made_);
    fs::create_hard_link(path, link);
    return std::make_shared<inode>(std::move(link), durable);
  }

  void note(const change& done) {
    make_change(names_, done);
    changes_.push_back(done);
  }

  IOStatus watch(const std::string& name, std::unique_ptr<rocksdb::FSWritableFile>* result);

  IOStatus begin_operation() {
    if (operations_ + 1 == cut_before_) powered_ = false;
    if (!powered_) return IOStatus::IOError("the power is out");
    ++operations_;
    return IOStatus::OK();
  }

  bool strikes(const std::string& name, bool is_sync) {
    if (!fault_ || struck_ || (fault_->is == table_fault::kind::sync_error) != is_sync) return false;
    struck_ = name.find(fault_->files) != name.npos && ++seen_ == fault_->nth;
    return struck_;
  }

  const fs::path folder_;
  const fs::path kept_;

  mutable std::mutex mutex_;
  names names_;                  // as a running system sees them
  names durable_;                // as they were when the folder was last synced
  std::vector<change> changes_;  // in order, from the one to the other
  std::uint64_t files_made_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t cut_before_ = 0;
  bool powered_ = true;

  std::optional<table_fault> fault_;
  std::uint64_t seen_ = 0;
  bool struck_ = false;
  bool full_ = false;

  class writable_file;
  class directory;
};

class faulty_disk::file_system::writable_file final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  writable_file(std::unique_ptr<rocksdb::FSWritableFile> file, file_system& disk, std::string name, inode_ptr bytes)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), name_(std::move(name)), bytes_(std::move(bytes)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return disk_.append(name_, data, *target(), options, debug);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return disk_.append(name_, data, *target(), options, debug);
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return disk_.sync(name_, *bytes_); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return disk_.sync(name_, *bytes_); }
  // A hint to begin writing, which promises nothing.
  IOStatus RangeSync(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

private:
  file_system& disk_;
  const std::string name_;
  const inode_ptr bytes_;
};

class faulty_disk::file_system::directory final : public rocksdb::FSDirectory {
public:
  directory(std::unique_ptr<rocksdb::FSDirectory> real, file_system& disk, fs::path path)
      : real_(std::move(real)), disk_(disk), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return disk_.sync_folder(path_); }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override { return real_->Close(options, debug); }

private:
  const std::unique_ptr<rocksdb::FSDirectory> real_;
  file_system& disk_;
  const fs::path path_;
};

IOStatus faulty_disk::file_system::watch(const std::string& name, std::unique_ptr<rocksdb::FSWritableFile>* result) {
  *result = std::make_unique<writable_file>(std::move(*result), *this, name, names_.at(name));
  return IOStatus::OK();
}

IOStatus faulty_disk::file_system::NewDirectory(const std::string& path, const IOOptions& options,
                                                std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext* debug) {
  if (auto failure = target()->NewDirectory(path, options, result, debug); !failure.ok()) return failure;
  *result = std::make_unique<directory>(std::move(*result), *this, path);
  return IOStatus::OK();
}

faulty_disk::faulty_disk(const fs::path& folder)
    : file_system_(std::make_shared<file_system>(folder)), env_(std::make_unique<environment>(file_system_)) {}
faulty_disk::~faulty_disk() = default;
rocksdb::Env* faulty_disk::env() const { return env_.get(); }
std::uint64_t faulty_disk::operations() const { return file_system_->operations(); }
void faulty_disk::cut_power() { file_system_->cut_power(); }
void faulty_disk::cut_power_before(std::uint64_t number) { file_system_->cut_power_before(number); }
bool faulty_disk::has_power() const { return file_system_->has_power(); }
void faulty_disk::leave(testkit::random& chance, remains what) { file_system_->leave(chance, what); }
void faulty_disk::inject(const table_fault& next) { file_system_->inject(next); }
void faulty_disk::free_space() { file_system_->free_space(); }
bool faulty_disk::struck() const { return file_system_->struck(); }

}  // namespace cairn::tests
