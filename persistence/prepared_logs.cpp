#include "prepared_logs.hpp"

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

constexpr std::size_t piece_bytes = std::size_t{256} << 10;
/// Between two pieces, so that what is made ready leaves the disk to the log that is written.
constexpr std::chrono::microseconds pause{500};

class file_system final : public rocksdb::FileSystemWrapper {
public:
  file_system(const std::shared_ptr<rocksdb::FileSystem>& files, std::string folder, std::uint64_t log_bytes)
      : FileSystemWrapper(files), folder_(std::move(folder)), log_bytes_(log_bytes), thread_([this] { run(); }) {}

  ~file_system() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
    }
    thread_.join();
    if (ready_) discard();
  }

  const char* Name() const override { return "cairn.prepared_logs"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options, std::unique_ptr<FSWritableFile>* file,
                           IODebugContext* debug) override;

  std::uint64_t log_bytes() const { return log_bytes_; }

  /// From now on a log will be wanted.
  void prepare() {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
    changed_.notify_all();
  }

private:
  class log;

  bool is_log(const std::string& path) const {
    return path.ends_with(".log") && path.starts_with(folder_) && path.find('/', folder_.size() + 1) == std::string::npos;
  }

  bool take() {
    const std::lock_guard lock(mutex_);
    wanted_ = false;
    return std::exchange(ready_, false);
  }

  void discard() { target()->DeleteFile(prepared_log(folder_), {}, nullptr).PermitUncheckedError(); }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || (wanted_ && !ready_); });
      if (stopping_) return;
      wanted_ = false;
      lock.unlock();
      // It is only faster: where it fails, the next log is as any other, and the disk's trouble is told of where it does harm.
      const bool made = make().ok();
      if (!made) discard();
      lock.lock();
      ready_ = made;
    }
  }

  IOStatus make() {
    std::unique_ptr<FSWritableFile> file;
    FileOptions options;
    options.use_mmap_writes = false;
    if (auto failure = target()->NewWritableFile(prepared_log(folder_), options, &file, nullptr); !failure.ok()) return failure;
    const std::string zeros(piece_bytes, '\0');
    const auto size = log_bytes_ + log_bytes_ / 8;
    for (std::uint64_t at = 0; at < size; at += piece_bytes) {
      const auto piece = std::min<std::uint64_t>(piece_bytes, size - at);
      auto status = file->Append({zeros.data(), static_cast<std::size_t>(piece)}, {}, nullptr);
      if (status.ok()) status = file->RangeSync(at, piece, {}, nullptr);
      if (!status.ok()) return status;
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, pause, [this] { return stopping_; })) return IOStatus::Aborted();
    }
    auto status = file->Fsync({}, nullptr);
    if (status.ok()) status = file->Close({}, nullptr);
    return status;
  }

  const std::string folder_;
  const std::uint64_t log_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool ready_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

/// Tells when it is half full.
class file_system::log final : public rocksdb::FSWritableFileOwnerWrapper {
public:
  log(std::unique_ptr<FSWritableFile> file, file_system& files)
      : FSWritableFileOwnerWrapper(std::move(file)), files_(files), half_(files.log_bytes() / 2) {}

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
    if (before < half_ && written_ >= half_) files_.prepare();
  }

  file_system& files_;
  const std::uint64_t half_;
  std::uint64_t written_ = 0;
};

IOStatus file_system::NewWritableFile(const std::string& path, const FileOptions& options, std::unique_ptr<FSWritableFile>* file,
                                      IODebugContext* debug) {
  if (!is_log(path)) return target()->NewWritableFile(path, options, file, debug);
  auto opened = IOStatus::NotFound();
  if (take()) opened = target()->ReuseWritableFile(path, prepared_log(folder_), options, file, debug);
  if (!opened.ok()) opened = target()->NewWritableFile(path, options, file, debug);
  if (opened.ok()) *file = std::make_unique<log>(std::move(*file), *this);
  return opened;
}

class environment final : public rocksdb::EnvWrapper {
public:
  environment(rocksdb::Env& base, std::shared_ptr<rocksdb::FileSystem> files) : EnvWrapper(&base) {
    file_system_ = std::move(files);
    system_clock_ = base.GetSystemClock();
  }
};

}  // namespace

std::shared_ptr<rocksdb::Env> with_prepared_logs(rocksdb::Env& base, const std::string& folder, std::uint64_t log_bytes) {
  return std::make_shared<environment>(base, std::make_shared<file_system>(base.GetFileSystem(), folder, log_bytes));
}

std::string prepared_log(const std::string& folder) { return folder + "/log-being-prepared"; }

}  // namespace cairn::detail
