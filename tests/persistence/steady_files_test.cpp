// The layer below RocksDB that takes files away piece by piece.
#include "../temporary_folder.hpp"

#include "../../persistence/steady_files.hpp"

#include <cairn/rocksdb_journal.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <string>
#include <vector>

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr std::uint64_t log_bytes = std::uint64_t{1} << 20;
constexpr std::uint64_t piece = log_bytes / 256;

/// Notes what becomes of files that are being taken away.
class noting_files final : public rocksdb::FileSystemWrapper {
public:
  noting_files() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "noting_files"; }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options, IODebugContext* debug) override {
    note("rename");
    return target()->RenameFile(from, to, options, debug);
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options, std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext* debug) override {
    note("sync folder");
    return target()->NewDirectory(path, options, result, debug);
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) override {
    auto status = target()->ReopenWritableFile(path, options, result, debug);
    if (status.ok()) *result = std::make_unique<noting_file>(std::move(*result), *this);
    return status;
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) override {
    auto status = target()->DeleteFile(path, options, debug);
    note("delete " + fs::path(path).filename().string());
    return status;
  }

  /// What was done, once `last` was. Fails after half a minute.
  std::vector<std::string> done_up_to(const std::string& last) {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds(30), [&] { return !done_.empty() && done_.back() == last; }));
    return done_;
  }
  std::vector<std::uint64_t> sizes() {
    const std::lock_guard lock(mutex_);
    return sizes_;
  }

private:
  class noting_file final : public rocksdb::FSWritableFileOwnerWrapper {
  public:
    noting_file(std::unique_ptr<rocksdb::FSWritableFile> file, noting_files& files)
        : FSWritableFileOwnerWrapper(std::move(file)), files_(files) {}
    IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
      {
        const std::lock_guard lock(files_.mutex_);
        files_.sizes_.push_back(size);
      }
      return target()->Truncate(size, options, debug);
    }

  private:
    noting_files& files_;
  };

  void note(std::string what) {
    const std::lock_guard lock(mutex_);
    done_.push_back(std::move(what));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> done_;
  std::vector<std::uint64_t> sizes_;
};

struct layer {
  temporary_folder folder;
  std::shared_ptr<noting_files> noted = std::make_shared<noting_files>();
  std::unique_ptr<rocksdb::Env> base = rocksdb::NewCompositeEnv(noted);
  detail::steady_files files{*base, folder.path().string(), log_bytes};

  std::string make(const std::string& name, std::uint64_t bytes) {
    const auto path = (folder.path() / name).string();
    std::ofstream(path) << std::string(bytes, 'x');
    return path;
  }
};

}  // namespace

TEST_CASE("a large file that is deleted loses its name at once, and its bytes in small pieces") {
  layer under_test;
  under_test.files.start();
  const auto path = under_test.make("000001.log", log_bytes);
  CHECK(under_test.files.env()->DeleteFile(path).ok());
  CHECK_FALSE(fs::exists(path));
  // The new name is made durable before the file is cut: what a power cut brings back is whole.
  CHECK(under_test.noted->done_up_to("delete 000001.log.leaving") ==
        std::vector<std::string>{"rename", "sync folder", "delete 000001.log.leaving"});
  const auto sizes = under_test.noted->sizes();
  REQUIRE(sizes.size() == log_bytes / piece - 1);
  for (std::size_t step = 0; step < sizes.size(); ++step) REQUIRE(sizes[step] == log_bytes - (step + 1) * piece);
  CHECK(fs::is_empty(under_test.folder.path()));
}

TEST_CASE("a file that is small, has another name, or is none of the store's is deleted as usual") {
  layer under_test;
  under_test.files.start();
  const auto small = under_test.make("000001.log", piece);
  const auto other = under_test.make("notes.txt", log_bytes);
  const auto linked = under_test.make("000002.sst", log_bytes);
  const auto second_name = under_test.folder.path() / "kept.sst";
  fs::create_hard_link(linked, second_name);
  for (const auto& path : {small, other, linked}) {
    CHECK(under_test.files.env()->DeleteFile(path).ok());
    CHECK_FALSE(fs::exists(path));
  }
  under_test.files.stop();
  CHECK(under_test.noted->sizes().empty());
  CHECK(fs::file_size(second_name) == log_bytes);
}

TEST_CASE("a store that is closed leaves nothing that was being taken away") {
  layer under_test;
  under_test.files.start();
  for (const std::string name : {"000001.log", "000002.sst", "000003.sst"}) {
    CHECK(under_test.files.env()->DeleteFile(under_test.make(name, 16 * log_bytes)).ok());
  }
  under_test.files.stop();
  CHECK(fs::is_empty(under_test.folder.path()));
  // From now on what is deleted is gone.
  CHECK(under_test.files.env()->DeleteFile(under_test.make("000004.sst", log_bytes)).ok());
  CHECK(fs::is_empty(under_test.folder.path()));
}

TEST_CASE("opening a store removes what a killed process was taking away") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  rocksdb_journal(store, {}).reset();
  const auto left = store / ("000007.log" + std::string(detail::steady_files::leaving));
  std::ofstream(left) << "half";
  rocksdb_journal(store, {}).reset();
  CHECK_FALSE(fs::exists(left));
}

}  // namespace cairn::tests
