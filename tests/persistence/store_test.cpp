// What the embedded store promises about its folder: what it opens and refuses, its lock, and what it keeps to after a failure.
//
// Another process is this program again, running one of the skipped test cases at the end.
#include "../folder_tree.hpp"
#include "../settings.hpp"
#include "store_on_disk.hpp"

#include "../../persistence/log/checksum.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <mutex>
#include <rocksdb/db.h>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/resource.h>
#include <thread>

namespace cairn::tests {
namespace {

/// What a child process ends with if the machine does not let it do what it is to try.
constexpr int not_allowed = 77;

void overwrite_new(const fs::path& file, std::string_view bytes) {
  fs::create_directories(file.parent_path());
  overwrite(file, bytes);
}

// --- the lock ---

TEST_CASE("a store that is open cannot be opened again in the same process, whatever path leads to it") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  const auto journal = open_store(store, small);
  fs::create_directory_symlink(store, folder.path() / "link");
  for (const auto& path : {store, folder.path() / "link", folder.path() / "." / "store"}) {
    const auto [kind, detail] = failure_of_opening(path);
    CHECK(kind == errc::store_in_use);
    CHECK(mentions(detail, path.string()));
    CHECK(mentions(detail, "close it there, or choose another folder"));
  }
  CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
}

TEST_CASE("a store that is open cannot be opened by another process") {
  const temporary_folder folder;
  auto journal = open_store(folder.path(), small);
  const auto open_elsewhere = [&] { return run_in_another_process("(child) opens a store", folder.path()); };
  CHECK(open_elsewhere() == static_cast<int>(errc::store_in_use));
  CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
  journal.reset();
  CHECK(open_elsewhere() == 0);
}

/// Reads every file of a folder, one by one, as a copy does.
void copy_file_by_file(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    const auto copy = to / entry.path().lexically_relative(from);
    if (entry.is_directory()) {
      fs::create_directories(copy);
    } else {
      overwrite_new(copy, contents(entry.path()));
    }
  }
}

TEST_CASE("the lock holds after the process has copied the folder of its own open store, and after the lock file was deleted") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  const auto journal = open_store(store, small);
  append_in_turns(*journal, 30);
  SUBCASE("copied file by file") { copy_file_by_file(store, folder.path() / "copy"); }
  SUBCASE("the lock file opened for writing and closed") { overwrite(store / "lock", ""); }
  SUBCASE("the lock file deleted") { fs::remove(store / "lock"); }
  SUBCASE("the lock file replaced") {
    overwrite(store / "lock.new", "");
    fs::rename(store / "lock.new", store / "lock");
  }
  CHECK(failure_of_opening(store).first == errc::store_in_use);
  CHECK(run_in_another_process("(child) opens a store", store) == static_cast<int>(errc::store_in_use));
  CHECK(failure_of([&] { rebuild_store(store); }).first == errc::store_in_use);
  CHECK_FALSE(verify_store(store).indexed);  // it is known to be open
  append_in_turns(*journal, 60, 31);
  check_turns(*journal, 60);
}

TEST_CASE("the lock holds across a second mount of the folder, in the same process and from another") {
  const temporary_folder folder;
  const auto result = run_in_another_process("(child) opens a store by two mounts", folder.path());
  if (result == not_allowed) {
    show("two mounts: skipped, because this machine lets nobody mount a folder a second time");
    return;
  }
  CHECK(result == 0);
}

TEST_CASE("the copy of an open store is a store of its own: both can be open, and both go on") {
  const temporary_folder folder;
  const auto journal = open_store(folder.path() / "store", small);
  append_in_turns(*journal, 30);
  copy_file_by_file(folder.path() / "store", folder.path() / "copy");
  const auto copy = open_store(folder.path() / "copy", small);
  append_in_turns(*copy, 60, 31);
  append_in_turns(*journal, 45, 31);
  check_turns(*copy, 60);
  check_turns(*journal, 45);
}

// --- a folder that is renamed ---

TEST_CASE("a folder that is renamed while it is open keeps its files, and a new store in its place is another one") {
  const temporary_folder folder;
  const auto place = folder.path() / "store";
  const auto moved = folder.path() / "moved";
  auto old_store = open_with_tiny_segments(place, with_index_of(50));
  append_in_turns(*old_store, 120);
  fs::rename(place, moved);
  auto new_store = open_with_tiny_segments(place, with_index_of(50));
  CHECK(new_store->last() == position{0});
  append_in_turns(*new_store, 300);
  append_in_turns(*old_store, 400, 121);
  for (auto* const store : {old_store.get(), new_store.get()}) {
    store->snapshots().save({"product", "1"}, version{1}, std::string(100'000, 's'));
  }
  check_turns(*old_store, 400);
  check_turns(*new_store, 300);
  CHECK(failure_of_opening(moved).first == errc::store_in_use);
  old_store.reset();
  new_store.reset();
  CHECK(verify_store(moved).indexed == 400);
  CHECK(verify_store(place).indexed == 300);
  CHECK(entries_of(moved / "log") > 3);
  CHECK(entries_of(place / "log") > 3);
  check_turns(*open_store(moved, small), 400);
  check_turns(*open_store(place, small), 300);
}

// --- what is refused, and left alone ---

void make_database(const fs::path& folder, const std::vector<std::string>& families) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* raw = nullptr;
  REQUIRE(rocksdb::DB::Open(options, folder.string(), &raw).ok());
  const std::unique_ptr<rocksdb::DB> database(raw);
  for (const auto& family : families) {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    REQUIRE(database->CreateColumnFamily({}, family, &handle).ok());
    REQUIRE(database->DestroyColumnFamilyHandle(handle).ok());
  }
}

/// Everything that could be done to a folder refuses it, and leaves it as it was.
void check_refused(const fs::path& folder, errc expected, std::string_view words) {
  const temporary_folder elsewhere;
  const auto sound = elsewhere.path() / "sound";
  append_in_turns(*open_store(sound, small), 3);
  std::ostringstream exported;
  export_store(sound, exported);
  const auto before = tree_of(folder);
  const std::pair<const char*, std::function<void()>> attempts[]{
      {"open", [&] { open_store(folder, small); }},
      {"verify", [&] { verify_store(folder); }},
      {"export",
       [&] {
         std::ostringstream out;
         export_store(folder, out);
       }},
      {"salvage",
       [&] {
         std::ostringstream out;
         const auto damage = salvage_store(folder, out).damage;
         if (!damage.empty()) throw error(errc::unknown_format, damage);  // it says so in the place of records
       }},
      {"back up", [&] { backup_store(folder, elsewhere.path() / "backup"); }},
      {"back up to it", [&] { backup_store(sound, folder); }},
      {"restore", [&] { restore_store(folder, elsewhere.path() / "restored"); }},
      {"rebuild", [&] { rebuild_store(folder); }},
  };
  for (const auto& [name, attempt] : attempts) {
    INFO(name);
    const auto [kind, detail] = failure_of(attempt);
    CHECK(kind == expected);
    CHECK_MESSAGE(mentions(detail, folder.string()), detail);
    CHECK_MESSAGE(mentions(detail, words), detail);
    check_unchanged(folder, before);
  }
  const std::pair<const char*, std::function<void()>> replacements[]{
      {"import into it",
       [&] {
         std::istringstream in(exported.str());
         import_store(in, folder);
       }},
      {"restore into it", [&] { restore_store(sound, folder); }},
  };
  for (const auto& [name, attempt] : replacements) {
    INFO(name);
    CHECK(failure_of(attempt).first == errc::invalid_argument);
    check_unchanged(folder, before);
  }
  CHECK_FALSE(fs::exists(elsewhere.path() / "restored"));
  CHECK(entries_of(folder.parent_path()) == 1);
}

TEST_CASE("a folder that holds something else is refused and left alone") {
  const temporary_folder folder;
  const auto store = folder.path() / "theirs";
  SUBCASE("a letter") { overwrite_new(store / "letter.txt", "not a store"); }
  SUBCASE("only logs of another program") { overwrite_new(store / "log" / "application.log", "started"); }
  SUBCASE("a file with the name of cairn's folder") {
    overwrite_new(store / "log", "started");
    SUBCASE("alone") {}
    SUBCASE("beside another") { overwrite(store / "letter.txt", "not a store"); }
  }
  SUBCASE("another program's identity") {
    overwrite_new(store / "identity", "my name is not cairn");
    SUBCASE("alone") {}
    SUBCASE("beside its logs") { overwrite_new(store / "log" / "application.log", "started"); }
  }
  SUBCASE("something unfinished") {
    overwrite_new(store / "unfinished", "a poem");
    overwrite(store / "letter.txt", "not a store");
  }
  check_refused(store, errc::unknown_format, "is not a cairn store");
}

TEST_CASE("a RocksDB database of another program, and a store of format 1, are refused and left alone") {
  const temporary_folder folder;
  const auto store = folder.path() / "theirs";
  SUBCASE("with one column family") { make_database(store, {}); }
  SUBCASE("with column families of its own") { make_database(store, {"theirs"}); }
  SUBCASE("with an empty column family `log`") { make_database(store, {"log"}); }
  SUBCASE("with the column families of a store of format 1") { make_database(store, {"log", "index", "snapshots", "meta"}); }
  check_refused(store, errc::unknown_format, "holds a RocksDB database: a store of format 1, or another program's");
}

/// Makes the format, which is at this place, another one, and the checksum at the end of the `sealed` first bytes right again.
void change_format(const fs::path& file, std::size_t sealed) {
  auto bytes = contents(file);
  bytes.at(8) = 3;
  const auto sum = detail::checksum(std::string_view(bytes).substr(0, sealed - 8), 0);
  bytes.replace(sealed - 8, 8, reinterpret_cast<const char*>(&sum), 8);
  overwrite(file, bytes);
}

TEST_CASE("a store of a later format is refused, says which program opens it, and is left alone") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  append_in_turns(*open_store(store, small), 30);
  SUBCASE("as its identity says") { change_format(store / "identity", detail::identity_bytes); }
  SUBCASE("as its segments say") {
    change_format(first_segment(store), 128);
    SUBCASE("with its identity") {}
    SUBCASE("without") { fs::remove(store / "identity"); }
  }
  check_refused(store, errc::unknown_format, "newer version of cairn");
}

TEST_CASE("a folder without a store is no store, except for the program that opens it to make one") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  SUBCASE("missing") {}
  SUBCASE("empty") { fs::create_directory(store); }
  for (const auto& attempt :
       {std::function<void()>([&] { verify_store(store); }), std::function<void()>([&] { rebuild_store(store); }),
        std::function<void()>([&] { backup_store(store, folder.path() / "backup"); }),
        std::function<void()>([&] { restore_store(store, folder.path() / "restored"); })}) {
    const auto [kind, detail] = failure_of(attempt);
    CHECK(kind == errc::invalid_argument);
    CHECK(mentions(detail, "there is no store here"));
  }
  CHECK((!fs::exists(store) || fs::is_empty(store)));
  CHECK(open_store(store, small)->last() == position{0});
}

TEST_CASE("options out of their range are refused before anything is made") {
  const temporary_folder folder;
  for (const std::uint64_t events : {0, 100'000'001}) {
    CHECK(failure_of([&] { open_store(folder.path(), with_index_of(events)); }).first == errc::invalid_argument);
  }
  auto options = small;
  options.block_cache_mib = std::uint64_t{1} << 21;
  CHECK(failure_of([&] { open_store(folder.path(), options); }).first == errc::invalid_argument);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a folder that cannot be made is an error that names what is in the way") {
  const temporary_folder folder;
  overwrite(folder.path() / "file", "in the way");
  const auto [kind, detail] = failure_of_opening(folder.path() / "file" / "store");
  CHECK(kind == errc::journal_unavailable);
  CHECK(mentions(detail, (folder.path() / "file").string()));
  CHECK(mentions(detail, "Not a directory"));
}

TEST_CASE("a store can be named by a relative path, and has one name however it is spelt") {
  const temporary_folder folder;
  const auto before = fs::current_path();
  fs::current_path(folder.path());
  {
    const auto journal = open_store("new/store", small);
    CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
    CHECK(failure_of_opening("new/../new/store").first == errc::store_in_use);
    CHECK(failure_of_opening(folder.path() / "new" / "store").first == errc::store_in_use);
  }
  CHECK(open_store("new/store", small)->last() == position{1});
  fs::current_path(before);
}

// --- the identity ---

TEST_CASE("a store keeps its identity from opening to opening, and another store has another") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  open_store(store, small);
  const auto identity = contents(store / "identity");
  const auto head = open_store(store, small)->head();
  for (int opening = 0; opening < 3; ++opening) {
    CHECK(open_store(store, small)->head() == head);
    CHECK(contents(store / "identity") == identity);
  }
  CHECK(open_store(folder.path() / "other", small)->head() != head);
}

TEST_CASE("an identity that is missing or damaged is read from the segments, and written again by the next opening") {
  const temporary_folder folder;
  append_in_turns(*open_store(folder.path(), small), 30);
  const auto identity = contents(folder.path() / "identity");
  SUBCASE("missing") { fs::remove(folder.path() / "identity"); }
  SUBCASE("empty") { overwrite(folder.path() / "identity", ""); }
  SUBCASE("damaged") { overwrite(folder.path() / "identity", identity.substr(0, 20) + "x" + identity.substr(21)); }
  const auto before = tree_of(folder.path());
  CHECK(verify_store(folder.path()).records == 30);
  check_unchanged(folder.path(), before);
  check_turns(*open_store(folder.path(), small), 30);
  CHECK(contents(folder.path() / "identity") == identity);
}

TEST_CASE("a store whose creation was interrupted is made by the next opening") {
  const temporary_folder folder;
  const temporary_folder made;
  open_store(made.path(), small);
  const auto segment = contents(first_segment(made.path()));
  overwrite(folder.path() / "lock", "");
  SUBCASE("after its lock") {}
  SUBCASE("after the folder of its log") { fs::create_directory(folder.path() / "log"); }
  SUBCASE("within its first segment") { overwrite_new(first_segment(folder.path()), std::string(100, '\0')); }
  SUBCASE("before its identity has its name") {
    overwrite_new(first_segment(folder.path()), "");
    overwrite(folder.path() / "high-water", std::string(detail::high_water_bytes, '\0'));
    overwrite(folder.path() / "identity.new", "half");
  }
  const auto journal = open_store(folder.path(), small);
  CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
}

TEST_CASE("a store whose first segment is whole, but whose identity did not reach the disk, keeps its records") {
  const temporary_folder folder;
  append_in_turns(*open_store(folder.path(), small), 30);
  for (const auto* name : {"identity", "high-water", "lock"}) fs::remove(folder.path() / name);
  fs::remove_all(folder.path() / "derived");
  check_turns(*open_store(folder.path(), small), 30);
}

TEST_CASE("a store without its log, or without a segment, is an error that says so, and stays as it is") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  append_in_turns(*open_store(store, small), 30);
  SUBCASE("without the folder") { fs::remove_all(store / "log"); }
  SUBCASE("without a segment") { fs::remove(first_segment(store)); }
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto [kind, detail] = failure_of_opening(store);
    CHECK(kind == errc::corrupt_store);
    CHECK_MESSAGE(mentions(detail, "log"), detail);
    CHECK(mentions(detail, "backup"));
  }
  CHECK(failure_of([&] { verify_store(store); }).first);
  CHECK(fs::exists(store / "derived" / "CURRENT"));
}

// --- names that must be durable ---

using syncs = std::map<std::string, int>;

/// The operating system's folder, and how often each folder was synced, by its path.
class recorded_folder final : public detail::folder {
public:
  recorded_folder(std::shared_ptr<detail::folder> real, syncs& synced) : real_(std::move(real)), synced_(synced) {}

  const std::string& path() const override { return real_->path(); }
  std::string stable_path() const override { return real_->stable_path(); }
  detail::io_status open(const std::string& name, detail::open_mode mode, std::unique_ptr<detail::file>& out) override {
    return real_->open(name, mode, out);
  }
  detail::io_status open_folder(const std::string& name, std::shared_ptr<detail::folder>& out) override {
    const auto status = real_->open_folder(name, out);
    if (status == 0) out = std::make_shared<recorded_folder>(std::move(out), synced_);
    return status;
  }
  detail::io_status make_folder(const std::string& name) override { return real_->make_folder(name); }
  detail::io_status list(std::vector<std::string>& names) override { return real_->list(names); }
  detail::io_status rename(const std::string& from, const std::string& to) override { return real_->rename(from, to); }
  detail::io_status remove(const std::string& name) override { return real_->remove(name); }
  detail::io_status link(const std::string& name, detail::folder& into, const std::string& as) override {
    return real_->link(name, *dynamic_cast<recorded_folder&>(into).real_, as);
  }
  detail::io_status sync() override {
    const auto status = real_->sync();
    if (status == 0) ++synced_[path()];
    return status;
  }
  detail::io_status lock(const std::string& name, std::unique_ptr<detail::file_lock>& out) override {
    return real_->lock(name, out);
  }
  detail::io_status is_locked(const std::string& name) override { return real_->is_locked(name); }

private:
  std::shared_ptr<detail::folder> real_;
  syncs& synced_;
};

class recording_file_system final : public detail::file_system {
public:
  detail::io_status open_folder(const fs::path& path, std::shared_ptr<detail::folder>& out) override {
    const auto status = detail::real_file_system().open_folder(path, out);
    if (status == 0) out = std::make_shared<recorded_folder>(std::move(out), synced);
    return status;
  }
  detail::io_status make_folder(const fs::path& path) override { return detail::real_file_system().make_folder(path); }

  syncs synced;
};

TEST_CASE("the name of a store's folder is made durable in the folder above, also if the folder existed before") {
  const temporary_folder folder;
  const auto store = folder.path() / "made" / "store";
  recording_file_system files;
  auto environment = detail::usual_environment();
  environment.files = &files;
  environment.threads = false;
  const auto open = [&] { detail::open_embedded_store(store, small, environment); };
  SUBCASE("missing, as the folder above") {
    open();
    CHECK(files.synced[folder.path().string()] > 0);
  }
  SUBCASE("missing") {
    fs::create_directory(store.parent_path());
    open();
  }
  SUBCASE("empty") {
    fs::create_directories(store);
    open();
  }
  SUBCASE("a store, whose creation may have been interrupted before that") {
    open_store(store, small);
    open();
  }
  CHECK(files.synced[store.parent_path().string()] > 0);
  if (files.synced[(store / "log").string()] == 0) CHECK(fs::exists(store / "derived" / "CURRENT"));  // it was a store already
}

// --- failures ---

TEST_CASE("after a failed write the store refuses appends until it is opened again, and goes on reading") {
  const temporary_folder folder;
  auto journal = open_store(folder.path(), small);
  append_in_turns(*journal, 30);
  // The operating system refuses every file beyond this size, as it does on a full disk.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 20'000;
  setrlimit(RLIMIT_FSIZE, &tight);
  const stream_id product("product", "1");
  const auto [kind, detail] = failure_of([&] { append(*journal, product, 10, {std::string(100'000, 'x')}); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, ignored);
  CHECK(kind == errc::journal_unavailable);
  CHECK(mentions(detail, folder.path().string()));
  CHECK_MESSAGE(mentions(detail, "File too large; raise the limit of a file's size (ulimit -f)"), detail);

  CHECK(read_all(*journal).size() == 30);
  for (const auto* other : {"0", "2"}) CHECK(read(*journal, {"product", other}).size() == 10);
  for (const auto& attempt :
       {std::function<void()>([&] { append(*journal, product, 10, {"small"}); }), std::function<void()>([&] {
          append(*journal, {"product", "2"}, 10, {"small"});
        }),
        std::function<void()>([&] { read(*journal, product); }), std::function<void()>([&] { journal->highest(product); })}) {
    const auto [again, why] = failure_of(attempt);
    CHECK(again == errc::journal_unavailable);
    CHECK(mentions(why, "opened again"));
  }

  journal.reset();
  journal = open_store(folder.path(), small);
  check_turns(*journal, 30);
  CHECK(append(*journal, product, 10, {"small"}).stored);
}

TEST_CASE("too few descriptors are said to be that, and an undamaged store is never called damaged" * doctest::skip(sanitized)) {
  const temporary_folder folder;
  for (std::uint64_t opening = 0; opening < 20; ++opening) {
    append_in_turns(*open_store(folder.path(), small), 10 * (opening + 1), 10 * opening + 1);
  }
  int opened = 0;
  int refused = 0;
  for (int descriptors = 3; descriptors <= 60; ++descriptors) {
    setenv("CAIRN_TEST_LIMIT", std::to_string(descriptors).c_str(), 1);
    const auto result = run_in_another_process("(child) opens a store with few descriptors", folder.path());
    INFO(descriptors);
    CHECK_MESSAGE((result == 0 || result == static_cast<int>(errc::journal_unavailable)), result);
    (result == 0 ? opened : refused)++;
  }
  unsetenv("CAIRN_TEST_LIMIT");
  CHECK(opened > 0);
  CHECK(refused > 0);
  check_turns(*open_store(folder.path(), small), 200);
  CHECK(verify_store(folder.path()).indexed == 200);
}

TEST_CASE("a segment that cannot be prepared is a warning, and the store goes on") {
  const temporary_folder folder;
  auto options = small;
  options.durability = durability::synced;
  std::mutex mutex;
  std::vector<std::string> warnings;
  options.warn = [&](const std::string& sentence) {
    const std::lock_guard lock(mutex);
    warnings.push_back(sentence);
  };
  {
    const auto journal = open_with_tiny_segments(folder.path(), options);
    fs::create_directory(folder.path() / "log" / "next");  // in the way
    const stream_id product("product", "1");
    std::uint64_t stored = 0;
    const auto is_warned = [&] {
      const std::lock_guard lock(mutex);
      return !warnings.empty();
    };
    while (!is_warned() && stored < 6) append(*journal, product, stored++, {std::string(100, 'x')});
    while (!is_warned()) std::this_thread::yield();
    fs::remove(folder.path() / "log" / "next");
    for (; stored < 100; ++stored) REQUIRE(append(*journal, product, stored, {std::string(100, 'x')}).stored);
  }
  CHECK(mentions(warnings.front(), "cannot prepare the next segment of the log"));
  CHECK(verify_store(folder.path()).records == 100);
}

// --- many openings ---

TEST_CASE("many openings leave few files behind, and the store stays whole") {
  const temporary_folder folder(in_memory_if_possible());
  auto environment = detail::usual_environment();
  environment.threads = false;
  const auto begin = std::chrono::steady_clock::now();
  const auto openings = setting("CAIRN_TEST_OPENINGS", 300);
  std::size_t most = 0;
  for (std::uint64_t n = 1; n <= openings; ++n) {
    {
      const auto journal = detail::open_embedded_store(folder.path(), small, environment);
      append_in_turns(*journal, n, n);
      journal->snapshots().save({"product", std::to_string(n % 3)}, version{(n + 2) / 3}, "state");
    }
    if (n % 50 == 0) most = std::max(most, tree_of(folder.path()).size());
  }
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  show(std::to_string(openings) + " openings: at most " + std::to_string(most) + " files and folders, in " +
       std::to_string(taken.count()) + " ms");
  CHECK(most < 80);  // however many openings
  CHECK(verify_store(folder.path()).indexed == openings);
  check_turns(*open_store(folder.path(), small), openings);
}

// --- what runs in another process ---

TEST_CASE("(child) opens a store" * doctest::skip()) {
  const auto kind = failure_of_opening(folder_of_this_process()).first;
  _exit(kind ? static_cast<int>(*kind) : 0);
}

TEST_CASE("(child) opens a store by two mounts" * doctest::skip()) {
  const auto folder = folder_of_this_process();
  const auto store = folder / "store";
  const auto mounted = folder / "mounted";
  fs::create_directories(store);
  fs::create_directories(mounted);
  // What this process mounts is there for it and its children alone, and goes with them.
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(not_allowed);
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(not_allowed);
  if (mount(store.c_str(), mounted.c_str(), nullptr, MS_BIND, nullptr) != 0) _exit(not_allowed);
  const auto in_use = static_cast<int>(errc::store_in_use);
  const auto journal = open_store(store, small);
  if (failure_of_opening(mounted).first != errc::store_in_use) _exit(1);
  if (run_in_another_process("(child) opens a store", mounted) != in_use) _exit(2);
  fs::remove(store / "lock");
  if (failure_of_opening(mounted).first != errc::store_in_use) _exit(3);
  if (run_in_another_process("(child) opens a store", mounted) != in_use) _exit(4);
  _exit(append(*journal, {"product", "1"}, 0, {"one"}).stored ? 0 : 5);
}

TEST_CASE("(child) opens a store with few descriptors" * doctest::skip()) {
  const auto folder = folder_of_this_process();
  const auto descriptors = static_cast<rlim_t>(std::stoul(std::getenv("CAIRN_TEST_LIMIT")));
  const rlimit few{descriptors, descriptors};
  setrlimit(RLIMIT_NOFILE, &few);
  auto options = small;
  bool warned = false;
  options.warn = [&](const std::string& sentence) { warned = warned || mentions(sentence, "made again"); };
  std::size_t records = 0;
  const auto [kind, detail] = failure_of([&] {
    const auto journal = open_store(folder, options);
    records = read_all(*journal).size();
  });
  if (warned) _exit(100);  // nothing is damaged
  if (kind && *kind != errc::journal_unavailable) std::cout << detail << std::endl;
  if (kind)
    _exit(mentions(detail, "Too many open files; raise the limit of open files (ulimit -n)") ? static_cast<int>(*kind) : 101);
  _exit(records == 200 ? 0 : 102);
}

}  // namespace
}  // namespace cairn::tests
