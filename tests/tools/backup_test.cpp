// Backups of a store that is at work, and the stores that are made of them.
#include "../folder_tree.hpp"
#include "../other_process.hpp"
#include "stores.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace cairn::tests {
namespace {

using doctest::Contains;

/// The folders of what is being tested.
struct folders {
  temporary_folder all{in_memory_if_possible()};
  fs::path store = all.path() / "store";
  fs::path backup = all.path() / "backup";
  fs::path restored = all.path() / "restored";
};

std::vector<fs::path> segments_of(const fs::path& folder) {
  std::vector<fs::path> segments;
  for (const auto& entry : fs::directory_iterator(folder / "log")) {
    if (entry.path().extension() == ".log") segments.push_back(entry.path());
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

TEST_CASE("a store that was backed up is restored equal, and goes on") {
  for (const std::uint64_t events : {0, 1, 10'000}) {
    const folders at;
    const auto store = open_store(at.store);
    append_many(*store, events);
    CHECK(backup_store(at.store, at.backup).head == store->head());
    CHECK(restore_store(at.backup, at.restored) == store->head());
    const auto copy = open_store(at.restored);
    CHECK(copy->head() == store->head());
    CHECK(bodies(*copy) == bodies(*store));
    append(*copy, {event{.stream = {"product", "of the copy only"}}});
    CHECK(verify_store(at.restored, {.noted = store->head(), .progress = {}}).records == store->last().value + 1);
  }
}

TEST_CASE("a backup is a store without an index: it is verified, exported and salvaged as one") {
  const folders at;
  const auto store = open_with_small_segments(at.store);
  append_many(*store, 3'000);
  backup_store(at.store, at.backup);
  const auto found = verify_store(at.backup, {.noted = store->head(), .progress = {}});
  CHECK(found.records == store->last().value);
  CHECK_FALSE(found.indexed);
  CHECK_FALSE(fs::exists(at.backup / "derived"));
  CHECK(export_of(at.backup) == export_of(at.store));
  std::ostringstream out;
  CHECK(salvage_store(at.backup, out).damage.empty());
}

TEST_CASE("backups that are made while appends run are each a beginning of the history") {
  for (const auto durability : {durability::buffered, durability::synced}) {
    const folders at;
    auto environment = detail::usual_environment();
    environment.segment_bytes = 64 << 10;
    environment.unprepared_bytes = 16 << 10;
    const auto store = detail::open_embedded_store(at.store, {.durability = durability, .block_cache_mib = 8}, environment);
    for (std::uint64_t from = 0; from < 5'000; from += 1'000) {
      std::thread writer([&] { append_many(*store, from + 1'000); });
      while (store->last().value <= from) std::this_thread::yield();
      const auto before = store->last();
      const auto made = backup_store(at.store, at.backup).head;
      writer.join();
      CHECK(made.through >= before);
      CHECK(verify_store(at.store, {.noted = made, .progress = {}}).head == store->head());
      CHECK(restore_store(at.backup, at.restored) == made);
      CHECK(verify_store(at.restored).head == made);
      fs::remove_all(at.restored);
    }
    CHECK(segments_of(at.store).size() > 3);
  }
}

TEST_CASE("a store that was restored can be opened and backed up again, also without a record more") {
  const folders at;
  {
    const auto store = open_store(at.store);
    append_many(*store, 500);
    backup_store(at.store, at.backup);
  }
  restore_store(at.backup, at.restored);
  const auto head = open_store(at.restored)->head();
  CHECK(backup_store(at.restored, at.backup).head == head);
  append(*open_store(at.restored), {event{}});
  CHECK(backup_store(at.restored, at.backup).head.through == head.through + 1);
  restore_store(at.backup, at.all.path() / "again");
  CHECK(open_store(at.all.path() / "again")->head() == open_store(at.restored)->head());
}

TEST_CASE("a backup copies only what the one before lacks, and finished segments are shared with the store") {
  const folders at;
  const auto store = open_with_small_segments(at.store);
  append_many(*store, 5'000);
  const auto segments = segments_of(at.store);
  REQUIRE(segments.size() > 5);
  const auto first = backup_store(at.store, at.backup);
  CHECK(first.copied < 2 * 64 << 10);  // the last segment
  for (std::size_t i = 0; i + 1 < segments.size(); ++i) CHECK(fs::equivalent(segments[i], segments_of(at.backup)[i]));
  CHECK_FALSE(fs::equivalent(segments.back(), segments_of(at.backup).back()));
  CHECK(backup_store(at.store, at.backup).copied == 0);
  append(*store, {event{}});
  const auto one_more = backup_store(at.store, at.backup);
  CHECK(one_more.copied > 0);
  CHECK(one_more.copied < 1'024);
  append_many(*store, 8'000);
  CHECK(backup_store(at.store, at.backup).head == store->head());
  CHECK(verify_store(at.backup).head == store->head());
  CHECK(entries_of(at.backup / "log") == segments_of(at.store).size());
}

TEST_CASE("a backup into another file system copies the segments") {
  const folders at;
  const temporary_folder elsewhere;
  struct stat here {};
  struct stat there {};
  REQUIRE(stat(at.all.path().c_str(), &here) == 0);
  REQUIRE(stat(elsewhere.path().c_str(), &there) == 0);
  if (here.st_dev == there.st_dev) return;
  const auto backup = elsewhere.path() / "backup";
  const auto store = open_with_small_segments(at.store);
  for (std::uint64_t events = 1'000; events <= 5'000; events += 1'000) {
    append_many(*store, events);
    CHECK(backup_store(at.store, backup).head == store->head());
    CHECK(backup_store(at.store, backup).copied == 0);
  }
  CHECK(verify_store(backup).head == store->head());
  restore_store(backup, at.restored);
  CHECK(bodies(*open_store(at.restored)) == bodies(*store));
}

TEST_CASE("a backup of a store changes nothing in it, and one of a backup neither") {
  const folders at;
  append_many(*open_with_small_segments(at.store), 3'000);
  const auto store = tree_of(at.store);
  backup_store(at.store, at.backup);
  check_unchanged(at.store, store);
  const auto backup = tree_of(at.backup);
  backup_store(at.backup, at.all.path() / "second");
  restore_store(at.backup, at.restored);
  check_unchanged(at.backup, backup);
  check_unchanged(at.store, store);
}

TEST_CASE("a restore for another owner leaves the owner of the backup alone") {
  if (geteuid() != 0) return;
  const folders at;
  append_many(*open_with_small_segments(at.store), 3'000);
  backup_store(at.store, at.backup);
  fs::create_directory(at.restored);
  REQUIRE(chown(at.restored.c_str(), 12345, 23456) == 0);
  const auto store = tree_of(at.store);
  const auto backup = tree_of(at.backup);
  restore_store(at.backup, at.restored);
  for (const auto& [name, state] : tree_of(at.restored)) {
    CHECK_MESSAGE(state.owner == 12345, name);
    CHECK_MESSAGE(state.group == 23456, name);
  }
  check_unchanged(at.store, store);
  check_unchanged(at.backup, backup);
}

// --- histories that differ ---

TEST_CASE("two stores cannot share a backup") {
  const folders at;
  append_few(*open_store(at.store));
  append_few(*open_store(at.all.path() / "other"));
  backup_store(at.store, at.backup);
  const auto backup = tree_of(at.backup);
  CHECK_THROWS_WITH_AS(backup_store(at.all.path() / "other", at.backup), Contains("holds the backup of another store"), error);
  check_unchanged(at.backup, backup);
  backup_store(at.store, at.backup);
}

TEST_CASE("a copy of a store that went another way is refused, however late they parted, and the backup stays as it is") {
  for (const std::uint64_t shared : {0, 1, 2, 100, 3'000}) {
    for (const int own : {1, 2, 700}) {
      CAPTURE(shared);
      CAPTURE(own);
      const folders at;
      const auto copy = at.all.path() / "copy";
      const auto append_own = [&](const fs::path& folder, char letter) {
        const auto opened = open_with_small_segments(folder);
        for (int n = 0; n < own; ++n) append(*opened, {event{.payload = std::string(1, letter)}});
      };
      append_many(*open_with_small_segments(at.store), shared);
      fs::copy(at.store, copy, fs::copy_options::recursive);
      append_own(at.store, 'a');
      const auto head = backup_store(at.store, at.backup).head;
      append_own(copy, 'b');
      const auto backup = tree_of(at.backup);
      for (int round = 0; round < 2; ++round) {
        CHECK_THROWS_WITH_AS(backup_store(copy, at.backup), Contains("does not continue the history of this backup"), error);
        check_unchanged(at.backup, backup);
        append_own(copy, 'c');
      }
      CHECK(backup_store(at.store, at.backup).head == head);
    }
  }
}

TEST_CASE("an older copy of a store is refused as the source of its backup") {
  const folders at;
  append_many(*open_store(at.store), 100);
  fs::copy(at.store, at.all.path() / "copy", fs::copy_options::recursive);
  append(*open_store(at.store), {event{}, event{}});
  backup_store(at.store, at.backup);
  const auto backup = tree_of(at.backup);
  CHECK_THROWS_WITH_AS(backup_store(at.all.path() / "copy", at.backup), Contains("it ends before position"), error);
  check_unchanged(at.backup, backup);
}

TEST_CASE("a store is no backup of itself, by whatever path") {
  const folders at;
  append_few(*open_store(at.store));
  fs::create_directory_symlink(at.store, at.all.path() / "link");
  const auto before = tree_of(at.store);
  for (const auto& path : {at.store, at.all.path() / "link", at.all.path() / "." / "store"}) {
    CHECK_THROWS_WITH_AS(backup_store(at.store, path), Contains("is the store itself"), error);
    CHECK_THROWS_WITH_AS(backup_store(path, at.store), Contains("is the store itself"), error);
  }
  check_unchanged(at.store, before);
}

// --- damage ---

TEST_CASE("a restore leaves a folder alone that is not empty") {
  const folders at;
  append_few(*open_store(at.store));
  backup_store(at.store, at.backup);
  CHECK_THROWS_WITH_AS(restore_store(at.backup, at.backup), Contains("is not empty"), error);
  overwrite(at.restored, "a file");
  CHECK_THROWS_WITH_AS(restore_store(at.backup, at.restored), Contains("is not empty"), error);
  CHECK(contents(at.restored) == "a file");
  CHECK_THROWS_WITH_AS(restore_store(at.all.path() / "none", at.all.path() / "x"), Contains("there is no store here"), error);
  CHECK_THROWS_AS(restore_store(at.all.path() / "none", at.all.path() / "y" / "x"), error);
  CHECK_FALSE(fs::exists(at.all.path() / "y"));
  CHECK_FALSE(fs::exists(at.all.path() / "x"));
}

TEST_CASE("a backup that was damaged anywhere is refused, makes no store, and is not built upon") {
  const folders at;
  append_many(*open_with_small_segments(at.store), 2'000);
  backup_store(at.store, at.backup);
  append(*open_with_small_segments(at.store), {event{}});
  const auto segments = segments_of(at.backup);
  REQUIRE(segments.size() > 2);
  for (const auto& file : segments) {
    CAPTURE(file);
    const auto whole = contents(file);
    auto damaged = whole;
    damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 1);
    for (const auto& bytes : {damaged, whole.substr(0, whole.size() / 2), std::string()}) {
      // Not the file itself, which the store shares.
      fs::remove(file);
      overwrite(file, bytes);
      CHECK_THROWS_AS(restore_store(at.backup, at.restored), error);
      CHECK_FALSE(fs::exists(at.restored));
      const auto before = tree_of(at.backup);
      try {
        backup_store(at.store, at.backup);
        FAIL("a damaged backup was taken for a sound one");
      } catch (const error& refused) { CHECK(refused.kind() == errc::corrupt_record); }
      check_unchanged(at.backup, before);
    }
    fs::remove(file);
    overwrite(file, whole);
  }
  CHECK(entries_of(at.all.path()) == 2);
  restore_store(at.backup, at.restored);
  CHECK(verify_store(at.restored).records == 2'000);
  CHECK(backup_store(at.store, at.backup).head == verify_store(at.store).head);
}

TEST_CASE("a damaged store is no source of a backup, and the backup stays as it was") {
  const folders at;
  append_many(*open_with_small_segments(at.store), 2'000);
  const auto head = backup_store(at.store, at.backup).head;
  append_many(*open_with_small_segments(at.store), 4'000);
  const auto damaged = segments_of(at.store).at(segments_of(at.backup).size());
  auto bytes = contents(damaged);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  overwrite(damaged, bytes);
  const auto before = tree_of(at.backup);
  try {
    backup_store(at.store, at.backup);
    FAIL("a damaged store was backed up");
  } catch (const error& refused) { CHECK(refused.kind() == errc::corrupt_record); }
  check_unchanged(at.backup, before);
  CHECK(verify_store(at.backup).head == head);
}

// --- interrupted backups ---

TEST_CASE("a backup that was killed at any step is as whole as the one before, and the next one continues it") {
  const folders at;
  const auto saved = at.all.path() / "saved";
  append_many(*open_with_small_segments(at.store, 8 << 10), 300);
  const auto before = backup_store(at.store, at.backup).head;
  append_many(*open_with_small_segments(at.store, 8 << 10), 1'000);
  fs::copy(at.backup, saved, fs::copy_options::recursive);
  const auto now = verify_store(at.store).head;
  int killed = 0;
  for (int step = 1;; ++step) {
    CAPTURE(step);
    fs::remove_all(at.backup);
    if (step % 3 > 0) fs::copy(saved, at.backup, fs::copy_options::recursive);  // every third one is a new backup
    setenv("CAIRN_TEST_STEP", std::to_string(step).c_str(), 1);
    const auto result = run_in_another_process("(child) backs up until it is killed", at.all.path());
    unsetenv("CAIRN_TEST_STEP");
    if (result == 0) break;
    REQUIRE(result == -1);
    ++killed;
    if (fs::exists(at.backup / "identity")) {
      const auto found = verify_store(at.backup).head;
      const auto old = step % 3 > 0 ? before.through : position{};
      CHECK((found.through == old || found == now));
      fs::remove_all(at.restored);
      CHECK(restore_store(at.backup, at.restored) == found);
    }
    CHECK(backup_store(at.store, at.backup).head == now);
    CHECK(verify_store(at.backup).head == now);
    CHECK_FALSE(fs::exists(at.backup / "backing-up"));
    CHECK(entries_of(at.backup / "log") == segments_of(at.store).size());
  }
  CHECK(killed > 20);
  CHECK(verify_store(at.store).head == now);
}

TEST_CASE("a backup that was interrupted is not opened as a store, and a restore of it is") {
  const folders at;
  append_many(*open_store(at.store), 100);
  const auto head = backup_store(at.store, at.backup).head;
  overwrite(at.backup / "backing-up", "");
  CHECK_THROWS_WITH_AS(open_store(at.backup), Contains("is a backup that was not brought up to date completely"), error);
  CHECK(restore_store(at.backup, at.restored) == head);
  CHECK(open_store(at.restored)->head() == head);
}

TEST_CASE("what a killed restore leaves behind is no store, and is removed by the next one, but not while its maker lives") {
  const folders at;
  append_many(*open_store(at.store), 100);
  const auto leftover = at.all.path() / "restored.restore-abc123";
  const auto another = at.all.path() / "restored2.restore-abc123";
  for (const auto& folder : {leftover, another}) {
    fs::copy(at.store, folder, fs::copy_options::recursive);
    overwrite(folder / "unfinished", "");
  }
  CHECK_THROWS_WITH_AS(open_store(leftover), Contains("was left by an import or a restore that did not finish"), error);
  CHECK_THROWS_WITH_AS(verify_store(leftover), Contains("was left by an import or a restore that did not finish"), error);
  restore_store(at.store, at.restored);
  CHECK_FALSE(fs::exists(leftover));
  CHECK(fs::exists(another));
  CHECK(entries_of(at.all.path()) == 3);
}

// --- what runs in another process ---

/// How many more calls that change files this process lives. 0: it is not counted.
int calls_left = 0;

void count_call() {
  if (calls_left > 0 && --calls_left == 0) kill(getpid(), SIGKILL);
}

TEST_CASE("(child) backs up until it is killed" * doctest::skip()) {
  const auto folder = folder_of_this_process();
  calls_left = std::stoi(std::getenv("CAIRN_TEST_STEP"));
  backup_store(folder / "store", folder / "backup");
  _exit(0);
}

}  // namespace
}  // namespace cairn::tests

// In the place of the C library's functions of these names.
extern "C" {

ssize_t pwrite(int file, const void* bytes, std::size_t size, off_t offset) {
  cairn::tests::count_call();
  return syscall(SYS_pwrite64, file, bytes, size, offset);
}
int fdatasync(int file) {
  cairn::tests::count_call();
  return static_cast<int>(syscall(SYS_fdatasync, file));
}
int ftruncate(int file, off_t size) noexcept {
  cairn::tests::count_call();
  return static_cast<int>(syscall(SYS_ftruncate, file, size));
}
int linkat(int from, const char* name, int into, const char* as, int flags) noexcept {
  cairn::tests::count_call();
  return static_cast<int>(syscall(SYS_linkat, from, name, into, as, flags));
}
int renameat(int from, const char* name, int into, const char* as) noexcept {
  cairn::tests::count_call();
  return static_cast<int>(syscall(SYS_renameat2, from, name, into, as, 0));
}
int unlinkat(int folder, const char* name, int flags) noexcept {
  cairn::tests::count_call();
  return static_cast<int>(syscall(SYS_unlinkat, folder, name, flags));
}

}  // extern "C"
