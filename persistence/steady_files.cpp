#include "steady_files.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <thread>
#include <utility>

namespace cairn::detail {
namespace {

using rocksdb::FileOptions;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr std::size_t prepared_at_once_bytes = std::size_t{256} << 10;
/// Between pieces of what is not urgent: long enough for a commit, and short enough for a table to be done in half a second.
constexpr std::chrono::microseconds pause{400};

}  // namespace

class steady_files::file_system final : public rocksdb::FileSystemWrapper {
public:
  file_system(const std::shared_ptr<rocksdb::FileSystem>& files, std::string folder, std::uint64_t log_bytes)
      : FileSystemWrapper(files), folder_(std::move(folder)), log_bytes_(log_bytes), thread_([this] { prepare_logs(); }) {}

  ~file_system() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    thread_.join();
    if (ready_) discard();
  }

  const char* Name() const override { return "cairn.steady_files"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options, std::unique_ptr<FSWritableFile>* file,
                           IODebugContext* debug) override;

  void set_unhurried(bool unhurried) {
    const std::lock_guard lock(mutex_);
    unhurried_ = unhurried;
    changed_.notify_all();
  }

private:
  class log;
  class table;

  bool is_own(const std::string& path, std::string_view extension) const {
    return path.ends_with(extension) && path.starts_with(folder_) && path.find('/', folder_.size() + 1) == std::string::npos;
  }

  // --- logs ---

  /// From now on the next log will be wanted.
  void want_log() {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
    changed_.notify_all();
  }

  /// Whether one is ready, which is the caller's then.
  bool begin_log() {
    const std::lock_guard lock(mutex_);
    ++logs_begun_;
    changed_.notify_all();
    wanted_ = false;
    return std::exchange(ready_, false);
  }

  void discard() { target()->DeleteFile(prepared_log(folder_), {}, nullptr).PermitUncheckedError(); }

  void prepare_logs() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || (wanted_ && !ready_); });
      if (stopping_) return;
      wanted_ = false;
      lock.unlock();
      // It is only faster: where it fails, the next log is as any other, and the disk's trouble is told of where it does harm.
      const bool made = prepare_log().ok();
      if (!made) discard();
      lock.lock();
      ready_ = made;
    }
  }

  IOStatus prepare_log() {
    FileOptions options;
    options.use_mmap_writes = false;
    std::unique_ptr<FSWritableFile> file;
    auto status = target()->NewWritableFile(prepared_log(folder_), options, &file, nullptr);
    const std::string zeros(prepared_at_once_bytes, '\0');
    const auto size = log_bytes_ + log_bytes_ / 8;
    for (std::uint64_t at = 0; at < size && status.ok(); at += zeros.size()) {
      const auto piece = std::min<std::uint64_t>(zeros.size(), size - at);
      status = file->Append({zeros.data(), static_cast<std::size_t>(piece)}, {}, nullptr);
      if (status.ok()) status = file->RangeSync(at, piece, {}, nullptr);
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, pause, [this] { return stopping_; })) return IOStatus::Aborted();
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
    changed_.wait_for(lock, pause, [&] { return !unhurried_ || logs_begun_ > logs_before || stopping_; });
  }

  const std::string folder_;
  const std::uint64_t log_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool ready_ = false;
  bool unhurried_ = false;
  bool stopping_ = false;
  std::uint64_t logs_begun_ = 0;
  std::thread thread_;
};

/// Tells when it is half full.
class steady_files::file_system::log final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  log(std::unique_ptr<FSWritableFile> file, file_system& files)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files), half_(files.log_bytes_ / 2) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    count(data.size());
    return target()->Append(data, options, debug);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& checksum,
                  IODebugContext* debug) override {
    count(data.size());
    return target()->Append(data, options, checksum, debug);
  }

private:
  void count(std::size_t more) {
    const auto before = std::exchange(written_, written_ + more);
    if (before < half_ && written_ >= half_) files_.want_log();
  }

  file_system& files_;
  const std::uint64_t half_;
  std::uint64_t written_ = 0;
};

/// Is written at a walk.
class steady_files::file_system::table final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  table(std::unique_ptr<FSWritableFile> file, file_system& files)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files), logs_before_(files.logs_begun()) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    files_.pause_unless_late(logs_before_);
    return target()->Append(data, options, debug);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& checksum,
                  IODebugContext* debug) override {
    files_.pause_unless_late(logs_before_);
    return target()->Append(data, options, checksum, debug);
  }

private:
  file_system& files_;
  const std::uint64_t logs_before_;
};

IOStatus steady_files::file_system::NewWritableFile(const std::string& path, const FileOptions& options,
                                                    std::unique_ptr<FSWritableFile>* file, IODebugContext* debug) {
  const bool is_log = is_own(path, ".log");
  auto opened = IOStatus::NotFound();
  if (is_log && begin_log()) opened = target()->ReuseWritableFile(path, prepared_log(folder_), options, file, debug);
  if (!opened.ok()) opened = target()->NewWritableFile(path, options, file, debug);
  if (!opened.ok()) return opened;
  if (is_log) *file = std::make_unique<log>(std::move(*file), *this);
  if (is_own(path, ".sst")) *file = std::make_unique<table>(std::move(*file), *this);
  return opened;
}

class steady_files::environment final : public rocksdb::EnvWrapper {
public:
  environment(rocksdb::Env& base, std::shared_ptr<rocksdb::FileSystem> files) : EnvWrapper(&base) {
    file_system_ = std::move(files);
    system_clock_ = base.GetSystemClock();
  }
};

steady_files::steady_files(rocksdb::Env& base, const std::string& folder, std::uint64_t log_bytes)
    : files_(std::make_shared<file_system>(base.GetFileSystem(), folder, log_bytes)),
      env_(std::make_unique<environment>(base, files_)) {}

steady_files::~steady_files() = default;

rocksdb::Env* steady_files::env() const { return env_.get(); }

void steady_files::set_unhurried(bool unhurried) { files_->set_unhurried(unhurried); }

std::string steady_files::prepared_log(const std::string& folder) { return folder + "/log-being-prepared"; }

}  // namespace cairn::detail
