#include "faulty_file_system.hpp"

#include <algorithm>
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

// RocksDB forgets the memtable that it has made where it then cannot make the log to go with it. That is told to the leak
// checker of a sanitizer, by the name that it looks for, and is of no matter elsewhere.
extern "C" const char* __lsan_default_suppressions() { return "leak:rocksdb::DBImpl::SwitchMemtable\n"; }

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t sector_bytes = 512;

/// A file without its names. Its bytes have a link of their own beside the store's folder, so that a name that was deleted, and
/// whose deletion was not synced, can come back.
struct inode {
  inode(fs::path link, std::uint64_t durable, std::uint64_t serial) : kept(std::move(link)), synced(durable), number(serial) {}
  ~inode() {
    std::error_code ignored;
    fs::remove(kept, ignored);
  }
  inode(const inode&) = delete;
  inode& operator=(const inode&) = delete;

  const fs::path kept;
  std::uint64_t synced;        // bytes
  bool failed = false;         // a sync failed: no later one makes anything durable
  std::uint64_t prepared = 0;  // bytes that are durable as zeros, and written over
  std::uint64_t written = 0;   // over those
  const std::uint64_t number;
};
using inode_ptr = std::shared_ptr<inode>;
using names = std::map<std::string, inode_ptr>;

/// One change of the folder that is not durable before the folder is synced.
struct change {
  std::string name;
  inode_ptr file;    // nullptr: the name is gone
  std::string from;  // the name that it had before; empty where it had none
};

void apply(names& to, const change& done) {
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

/// What is written over needs no new length of the file, so whatever the file system, each sector of it may be there or not.
/// Returns how many sectors are not.
std::uint64_t leave_of_prepared_file(const inode& file, remains what, bool newest, std::mt19937_64& random) {
  if (what == remains::everything || (what == remains::newest_file && newest)) return 0;
  // The zeros of a log are cut off when it is closed with its store, and here without power, too.
  fs::resize_file(file.kept, std::max<std::uint64_t>(fs::file_size(file.kept), file.prepared));
  const auto end = std::min<std::uint64_t>(fs::file_size(file.kept), file.written);
  std::uint64_t lost = 0;
  const auto none = what == remains::synced_only || what == remains::newest_file || random() % 4 == 0;
  const auto keeps = 1 + random() % 8;  // of eight sectors
  for (auto from = file.synced; from < end; from = (from / sector_bytes + 1) * sector_bytes) {
    if (!none && random() % 8 < keeps) continue;
    write_zeros(file.kept, from, std::min(end, (from / sector_bytes + 1) * sector_bytes));
    ++lost;
  }
  return lost;
}

void leave_of_file(const inode& file, remains what, bool newest, std::mt19937_64& random) {
  const auto size = fs::file_size(file.kept);
  const auto begin = file.synced;
  const auto somewhere = [&] { return begin + random() % (size - begin + 1); };
  switch (what) {
  case remains::everything: return;
  case remains::synced_only: return fs::resize_file(file.kept, begin);
  case remains::newest_file: return newest ? void() : fs::resize_file(file.kept, begin);
  case remains::torn: {
    const auto chance = random() % 4;
    return fs::resize_file(file.kept, chance == 0 ? begin : chance == 1 ? size : somewhere());
  }
  case remains::zeros: return write_zeros(file.kept, somewhere(), size);
  case remains::pages:
    for (auto page = begin; page < size; page = (page / page_bytes + 1) * page_bytes) {
      if (random() % 3 == 0) write_zeros(file.kept, page, std::min(size, (page / page_bytes + 1) * page_bytes));
    }
  }
}

/// RocksDB waits a second after a failure in the background before it goes on. There are thousands here.
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
      : FileSystemWrapper(rocksdb::FileSystem::Default()), folder_(fs::weakly_canonical(folder)),
        kept_(folder_.string() + ".inodes"), folder_is_durable_(fs::exists(folder_)) {
    fs::create_directories(kept_);
    if (!folder_is_durable_) return;
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

  // --- what RocksDB does ---

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options, std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* debug) override {
    const auto name = name_of(path);
    if (!name) return target()->NewWritableFile(path, options, result, debug);
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    // The old bytes are still what a power cut may leave, so they must not be overwritten.
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
  // How a prepared log, zeros that were synced, becomes the next one.
  IOStatus ReuseWritableFile(const std::string& path, const std::string& from, const FileOptions& options,
                             std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) override {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (auto failure = target()->ReuseWritableFile(path, from, options, result, debug); !failure.ok()) return failure;
    const auto file = names_.at(*name_of(from));
    file->prepared = file->synced;
    file->synced = file->written = 0;
    note({*name_of(path), file, *name_of(from)});
    return watch(*name_of(path), result);
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
  // But for the one by which it is kept here.
  IOStatus NumFileLinks(const std::string& path, const IOOptions& options, std::uint64_t* links, IODebugContext* debug) override {
    auto status = target()->NumFileLinks(path, options, links, debug);
    if (status.ok() && name_of(path)) --*links;
    return status;
  }
  IOStatus Truncate(const std::string&, std::size_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("cairn cuts files that are open");
  }

  // What an earlier power cut left, which is durable; and so is the cut here, before the sync that follows it.
  IOStatus truncate(std::uint64_t size, inode& bytes, rocksdb::FSWritableFile& file, const IOOptions& options,
                    IODebugContext* debug) {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    bytes.synced = std::min(bytes.synced, size);
    return file.Truncate(size, options, debug);
  }

  IOStatus append(const std::string& name, const rocksdb::Slice& data, inode& bytes, rocksdb::FSWritableFile& file,
                  const IOOptions& options, IODebugContext* debug) {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    bytes.written += data.size();
    const auto part = [&] {
      file.Append({data.data(), data.size() / 2}, options, debug).PermitUncheckedError();
      file.Flush(options, debug).PermitUncheckedError();
    };
    if (struck_ && concerns(name)) ++writes_since_struck_;
    if (full_) return out_of_space();
    if (strikes(name, {fault::kind::write_error, fault::kind::torn_write, fault::kind::disk_full, fault::kind::lost_write})) {
      switch (fault_->what) {
      case fault::kind::lost_write: return file.Append(std::string(data.size(), '\0'), options, debug);
      case fault::kind::write_error: break;
      case fault::kind::disk_full: full_ = true; [[fallthrough]];
      default: part();
      }
      return full_ ? out_of_space() : IOStatus::IOError(write_failed);
    }
    return file.Append(data, options, debug);
  }

  IOStatus sync(const std::string& name, inode& file) {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (strikes(name, {fault::kind::sync_error, fault::kind::lost_sync})) {
      if (fault_->what == fault::kind::lost_sync) return IOStatus::OK();
      file.failed = true;
      return IOStatus::IOError(sync_failed);
    }
    if (!file.failed) file.synced = file.prepared > 0 ? file.written : fs::file_size(file.kept);
    return IOStatus::OK();
  }

  IOStatus sync_folder(const fs::path& path) {
    const std::lock_guard lock(mutex_);
    if (auto failure = begin_operation(); !failure.ok()) return failure;
    if (path == folder_) {
      durable_ = names_;
      changes_.clear();
    } else if (path == folder_.parent_path()) {
      folder_is_durable_ = true;
    }
    return IOStatus::OK();
  }

  // --- what the test does ---

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
  void inject(const fault& next) {
    const std::lock_guard lock(mutex_);
    fault_ = next;
    seen_ = writes_since_struck_ = 0;
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
  std::uint64_t writes_since_struck() const {
    const std::lock_guard lock(mutex_);
    return writes_since_struck_;
  }

  bool has_prepared_log() const {
    const std::lock_guard lock(mutex_);
    bool prepared = false;
    for (const auto& [name, file] : names_) {
      if (name.ends_with(".log")) prepared = file->prepared > 0;  // in the order of their numbers
    }
    return prepared;
  }
  bool lost_sectors() const {
    const std::lock_guard lock(mutex_);
    return lost_sectors_;
  }

  void leave(remains what, std::mt19937_64& random) {
    const std::lock_guard lock(mutex_);
    if (what == remains::synced_only && !folder_is_durable_) {
      fs::remove_all(folder_);
      return;
    }
    auto left = durable_;
    auto kept = what == remains::synced_only ? 0 : what == remains::torn ? random() % (changes_.size() + 1) : changes_.size();
    for (const auto& done : changes_) {
      if (kept-- == 0) break;
      apply(left, done);
    }
    std::map<std::uint64_t, inode_ptr> files;  // each once, whatever its names
    for (const auto& [name, file] : left) {
      if (fs::file_size(file->kept) > file->synced) files[file->number] = file;
    }
    for (const auto& [number, file] : files) {
      const bool newest = number == files.rbegin()->first;
      if (file->prepared == 0) {
        leave_of_file(*file, what, newest, random);
      } else if (leave_of_prepared_file(*file, what, newest, random) > 0) {
        lost_sectors_ = true;
      }
    }
    for (const auto& entry : fs::directory_iterator(folder_)) fs::remove_all(entry.path());
    for (const auto& [name, file] : left) fs::create_hard_link(file->kept, folder_ / name);
  }

private:
  std::optional<std::string> name_of(const fs::path& path) const {
    if (path.parent_path() != folder_) return std::nullopt;
    return path.filename().string();
  }

  inode_ptr keep(const fs::path& path, std::uint64_t durable) {
    const auto number = ++files_made_;
    auto link = kept_ / std::to_string(number);
    fs::create_hard_link(path, link);
    return std::make_shared<inode>(std::move(link), durable, number);
  }

  void note(const change& done) {
    apply(names_, done);
    changes_.push_back(done);
  }

  IOStatus watch(const std::string& name, std::unique_ptr<rocksdb::FSWritableFile>* result);

  IOStatus begin_operation() {
    if (operations_ + 1 == cut_before_) powered_ = false;
    if (!powered_) return IOStatus::IOError(no_power);
    ++operations_;
    return IOStatus::OK();
  }

  // As the operating system's own file system reports it.
  static IOStatus out_of_space() {
    auto failure = IOStatus::NoSpace(no_space);
    failure.SetRetryable(true);
    return failure;
  }

  bool concerns(const std::string& name) const { return name.find(fault_->files) != name.npos; }

  bool strikes(const std::string& name, std::initializer_list<fault::kind> kinds) {
    if (!fault_ || struck_ || std::find(kinds.begin(), kinds.end(), fault_->what) == kinds.end()) return false;
    struck_ = concerns(name) && ++seen_ == fault_->nth;
    return struck_;
  }

  const fs::path folder_;
  const fs::path kept_;

  mutable std::mutex mutex_;
  names names_;                  // as a running system sees them
  names durable_;                // as they were when the folder was last synced
  std::vector<change> changes_;  // in order, from the one to the other
  bool folder_is_durable_;
  std::uint64_t files_made_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t cut_before_ = 0;
  bool powered_ = true;

  std::optional<fault> fault_;
  std::uint64_t seen_ = 0;
  std::uint64_t writes_since_struck_ = 0;
  bool struck_ = false;
  bool full_ = false;
  bool lost_sectors_ = false;

  class writable_file;
  class directory;
};

class faulty_disk::file_system::writable_file final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  writable_file(std::unique_ptr<rocksdb::FSWritableFile> file, file_system& disk, std::string name, inode_ptr bytes)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), name_(std::move(name)), bytes_(std::move(bytes)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return disk_.append(name_, data, *bytes_, *target(), options, debug);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return disk_.append(name_, data, *bytes_, *target(), options, debug);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    return disk_.truncate(size, *bytes_, *target(), options, debug);
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
void faulty_disk::leave(remains what, std::mt19937_64& random) { file_system_->leave(what, random); }
bool faulty_disk::has_prepared_log() const { return file_system_->has_prepared_log(); }
bool faulty_disk::lost_sectors() const { return file_system_->lost_sectors(); }
void faulty_disk::inject(const fault& next) { file_system_->inject(next); }
void faulty_disk::free_space() { file_system_->free_space(); }
bool faulty_disk::struck() const { return file_system_->struck(); }
std::uint64_t faulty_disk::writes_since_struck() const { return file_system_->writes_since_struck(); }

}  // namespace cairn::tests
