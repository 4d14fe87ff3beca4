#include "steady_files.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <string_view>
#include <thread>
#include <utility>

namespace cairn::detail {
namespace {

using rocksdb::FileOptions;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

/// Of more than this a sync takes so long that what is gained is less than what the zeros cost.
constexpr std::uint64_t synced_at_once_max = std::uint64_t{256} << 10;
constexpr std::size_t prepared_at_once_bytes = std::size_t{256} << 10;
constexpr std::size_t written_at_once_bytes = std::size_t{128} << 10;
/// Between pieces of what is not urgent: long enough for a commit, and short enough for a table to be done in half a second.
constexpr std::chrono::microseconds pause{400};
/// A log is taken away in so many pieces, of 256 KiB, and a table in pieces of that size.
constexpr std::uint64_t pieces_of_a_log = 256;
/// More at once are deleted as usual, so that the disk is not full of them.
constexpr std::size_t leaving_max = 8;

}  // namespace

class steady_files::file_system final : public rocksdb::FileSystemWrapper {
public:
  file_system(const std::shared_ptr<rocksdb::FileSystem>& files, std::string folder, std::uint64_t log_bytes)
      : FileSystemWrapper(files), folder_(std::move(folder)), log_bytes_(log_bytes) {}
  ~file_system() override { stop(); }

  const char* Name() const override { return "cairn.steady_files"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options, std::unique_ptr<FSWritableFile>* file,
                           IODebugContext* debug) override;

  IOStatus GetFileSize(const std::string& path, const IOOptions& options, std::uint64_t* bytes, IODebugContext* debug) override;

  IOStatus DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) override {
    forget_log(path);
    if (let_leave(path)) return IOStatus::OK();
    return target()->DeleteFile(path, options, debug);
  }

  void start() {
    const std::lock_guard lock(mutex_);
    working_ = true;
    preparing_ = std::thread([this] { prepare_logs(); });
    taking_away_ = std::thread([this] { take_files_away(); });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      working_ = false;
      changed_.notify_all();
    }
    for (auto* thread : {&preparing_, &taking_away_}) {
      if (thread->joinable()) thread->join();
    }
    std::unique_lock lock(mutex_);
    const bool prepared = std::exchange(ready_, false);
    const auto left = std::exchange(leaving_, {});
    lock.unlock();
    if (prepared) discard(prepared_log(folder_));
    for (const auto& path : left) discard(path);
  }

private:
  class log;
  class table;
  using byte_count = std::atomic<std::uint64_t>;

  bool is_own(const std::string& path, std::string_view extension) const {
    return path.ends_with(extension) && path.substr(0, path.rfind('/')) == folder_;
  }

  // --- logs ---

  /// From now on the next one will be wanted.
  void want_log() {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
    changed_.notify_all();
  }

  /// Of the log at `path`, until it is deleted.
  void note_log(const std::string& path, const std::shared_ptr<const byte_count>& written) {
    const std::lock_guard lock(mutex_);
    written_[path] = written;
  }
  void forget_log(const std::string& path) {
    const std::lock_guard lock(mutex_);
    written_.erase(path);
  }

  /// Whether one is ready, which is the caller's then.
  bool begin_log() {
    const std::lock_guard lock(mutex_);
    ++logs_begun_;
    changed_.notify_all();
    wanted_ = false;
    return std::exchange(ready_, false);
  }

  /// Opening the store looks for what cannot be deleted now.
  void discard(const std::string& path) { target()->DeleteFile(path, {}, nullptr).PermitUncheckedError(); }

  void prepare_logs() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !working_ || (wanted_ && !ready_); });
      if (!working_) return;
      wanted_ = false;
      lock.unlock();
      // It is only faster: where it fails, the next log is as any other, and the disk's trouble is told of where it does harm.
      const bool made = has_room() && prepare_log().ok();
      if (!made) discard(prepared_log(folder_));
      lock.lock();
      ready_ = made;
    }
  }

  std::uint64_t prepared_bytes() const { return log_bytes_ + log_bytes_ / 8; }

  /// What is made ready must not be what others then lack.
  bool has_room() {
    std::uint64_t free = 0;
    return target()->GetFreeSpace(folder_, {}, &free, nullptr).ok() && free / 8 > prepared_bytes();
  }

  IOStatus prepare_log() {
    FileOptions options;
    options.use_mmap_writes = false;
    std::unique_ptr<FSWritableFile> file;
    auto status = target()->NewWritableFile(prepared_log(folder_), options, &file, nullptr);
    const std::string zeros(prepared_at_once_bytes, '\0');
    for (std::uint64_t at = 0; at < prepared_bytes() && status.ok(); at += zeros.size()) {
      const auto piece = std::min<std::uint64_t>(zeros.size(), prepared_bytes() - at);
      status = file->Append({zeros.data(), static_cast<std::size_t>(piece)}, {}, nullptr);
      if (status.ok()) status = file->RangeSync(at, piece, {}, nullptr);
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, pause, [this] { return !working_; })) return IOStatus::Aborted();
    }
    if (status.ok()) status = file->Fsync({}, nullptr);
    if (status.ok()) status = file->Close({}, nullptr);
    return status;
  }

  // --- tables ---

  std::uint64_t logs_begun() const {
    const std::lock_guard lock(mutex_);
    return logs_begun_;
  }

  /// In the course of a table that was begun when there had been so many logs.
  void pause_unless_late(std::uint64_t logs_before) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause, [&] { return !working_ || logs_begun_ > logs_before; });
  }

  // --- what is deleted ---

  /// Renames a file that is to be taken away piece by piece. Not where it is too small to matter, or has another name that keeps
  /// it.
  bool let_leave(const std::string& path) {
    if (!is_own(path, ".log") && !is_own(path, ".sst")) return false;
    std::uint64_t bytes = 0;
    std::uint64_t names = 0;
    if (!target()->GetFileSize(path, {}, &bytes, nullptr).ok() || bytes <= leaving_piece()) return false;
    if (!target()->NumFileLinks(path, {}, &names, nullptr).ok() || names != 1) return false;
    const auto renamed = path + std::string(leaving);
    {
      const std::lock_guard lock(mutex_);
      if (!working_ || leaving_.size() >= leaving_max) return false;
    }
    // Without the lock, which commits need.
    if (!target()->RenameFile(path, renamed, {}, nullptr).ok()) return false;
    std::unique_lock lock(mutex_);
    if (working_) {
      leaving_.push_back(renamed);
      changed_.notify_all();
    } else {
      lock.unlock();
      discard(renamed);
    }
    return true;
  }

  void take_files_away() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !working_ || !leaving_.empty(); });
      if (!working_) return;
      const auto path = leaving_.front();
      lock.unlock();
      shorten(path);
      lock.lock();
      if (!working_) return;
      discard(path);
      leaving_.pop_front();
    }
  }

  /// Piece by piece. Where that fails, what is left goes at once.
  void shorten(const std::string& path) {
    // The new name first: what a power cut brings back under the old one must be whole.
    std::unique_ptr<rocksdb::FSDirectory> names;
    if (!target()->NewDirectory(folder_, {}, &names, nullptr).ok() || !names->Fsync({}, nullptr).ok()) return;
    std::uint64_t bytes = 0;
    std::unique_ptr<FSWritableFile> file;
    if (!target()->GetFileSize(path, {}, &bytes, nullptr).ok()) return;
    if (!target()->ReopenWritableFile(path, {}, &file, nullptr).ok()) return;
    while (bytes > leaving_piece()) {
      bytes -= leaving_piece();
      if (!file->Truncate(bytes, {}, nullptr).ok()) break;
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, pause, [this] { return !working_; })) break;
    }
    file->Close({}, nullptr).PermitUncheckedError();
  }

  std::uint64_t leaving_piece() const { return std::max<std::uint64_t>(1, log_bytes_ / pieces_of_a_log); }

  bool is_working() const {
    const std::lock_guard lock(mutex_);
    return working_;
  }

  const std::string folder_;
  const std::uint64_t log_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<const byte_count>> written_;  // of logs, behind which zeros may follow
  bool wanted_ = false;
  bool ready_ = false;
  bool working_ = false;  // from start() to stop()
  std::uint64_t logs_begun_ = 0;
  std::deque<std::string> leaving_;
  std::thread preparing_;
  std::thread taking_away_;
};

/// Tells when it is half full, where it is written in small pieces.
class steady_files::file_system::log final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  /// Over the first `space` bytes, which are zeros.
  log(std::unique_ptr<FSWritableFile> file, file_system& files, const std::string& path, std::uint64_t space)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files), space_(space), half_(files.log_bytes_ / 2) {
    files_.note_log(path, written_);
  }

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return count(data.size(), target()->Append(data, options, debug));
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& checksum,
                  IODebugContext* debug) override {
    return count(data.size(), target()->Append(data, options, checksum, debug));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    ++syncs_;
    return target()->Sync(options, debug);
  }
  // What has its space needs no more; and a file that was never given any is not cut when it is closed. To cut the zeros off
  // takes as long as to delete them, so they stay while commits could wait for that.
  void PrepareWrite(std::size_t offset, std::size_t bytes, const IOOptions& options, IODebugContext* debug) override {
    if (offset + bytes > space_) target()->PrepareWrite(offset, bytes, options, debug);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    auto status = IOStatus::OK();
    if (space_ > *written_ && !files_.is_working()) status = target()->Truncate(*written_, options, debug);
    if (auto closed = target()->Close(options, debug); status.ok()) status = closed;
    return status;
  }

private:
  IOStatus count(std::size_t more, IOStatus status) {
    if (!status.ok()) return status;
    const auto before = written_->fetch_add(more);
    const auto now = before + more;
    if (before < half_ && now >= half_ && now < syncs_ * synced_at_once_max) files_.want_log();
    return status;
  }

  file_system& files_;
  const std::uint64_t space_;
  const std::uint64_t half_;
  const std::shared_ptr<byte_count> written_ = std::make_shared<byte_count>(0);
  std::atomic<std::uint64_t> syncs_{0};
};

/// Is written at a walk.
class steady_files::file_system::table final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  table(std::unique_ptr<FSWritableFile> file, file_system& files)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files), logs_before_(files.logs_begun()) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus status;
    for (std::size_t at = 0; at < data.size() && status.ok(); at += written_at_once_bytes) {
      files_.pause_unless_late(logs_before_);
      status = target()->Append({data.data() + at, std::min(written_at_once_bytes, data.size() - at)}, options, debug);
    }
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }

private:
  file_system& files_;
  const std::uint64_t logs_before_;
};

// Of a log that is written over, or was, what has been written: a backup must not copy what comes behind.
IOStatus steady_files::file_system::GetFileSize(const std::string& path, const IOOptions& options, std::uint64_t* bytes,
                                                IODebugContext* debug) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = written_.find(path); found != written_.end()) {
      *bytes = *found->second;
      return IOStatus::OK();
    }
  }
  return target()->GetFileSize(path, options, bytes, debug);
}

IOStatus steady_files::file_system::NewWritableFile(const std::string& path, const FileOptions& options,
                                                    std::unique_ptr<FSWritableFile>* file, IODebugContext* debug) {
  const bool is_log = is_own(path, ".log");
  std::uint64_t space = 0;
  auto opened = IOStatus::NotFound();
  if (is_log && begin_log()) {
    opened = target()->ReuseWritableFile(path, prepared_log(folder_), options, file, debug);
    if (opened.ok()) space = prepared_bytes();
  }
  if (!opened.ok()) opened = target()->NewWritableFile(path, options, file, debug);
  if (!opened.ok()) return opened;
  if (is_log) *file = std::make_unique<log>(std::move(*file), *this, path, space);
  if (is_own(path, ".sst")) *file = std::make_unique<table>(std::move(*file), *this);
  return opened;
}

class steady_files::environment final : public rocksdb::EnvWrapper {
public:
  environment(rocksdb::Env& base, std::shared_ptr<rocksdb::FileSystem> files) : EnvWrapper(&base) {
    file_system_ = std::move(files);
    system_clock_ = base.GetSystemClock();
  }

  // Some of RocksDB still asks here.
  rocksdb::Status GetFileSize(const std::string& path, std::uint64_t* bytes) override {
    return file_system_->GetFileSize(path, {}, bytes, nullptr);
  }
  rocksdb::Status DeleteFile(const std::string& path) override { return file_system_->DeleteFile(path, {}, nullptr); }
};

steady_files::steady_files(rocksdb::Env& base, const std::string& folder, std::uint64_t log_bytes)
    : files_(std::make_shared<file_system>(base.GetFileSystem(), folder, log_bytes)),
      env_(std::make_unique<environment>(base, files_)) {}

steady_files::~steady_files() = default;

rocksdb::Env* steady_files::env() const { return env_.get(); }

void steady_files::start() { files_->start(); }

void steady_files::stop() { files_->stop(); }

std::string steady_files::prepared_log(const std::string& folder) { return folder + "/log-being-prepared"; }

}  // namespace cairn::detail
