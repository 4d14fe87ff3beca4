// Backups of a store that is at work, and the stores that come of them.
#include "stores.hpp"

#include "../../persistence/store_environment.hpp"

#include <atomic>
#include <numeric>
#include <thread>

namespace cairn::tests {
namespace {

using doctest::Contains;

std::uintmax_t bytes_of(const fs::path& folder) {
  const auto entries = fs::recursive_directory_iterator(folder);
  return std::accumulate(begin(entries), end(entries), std::uintmax_t{0}, [](std::uintmax_t sum, const auto& entry) {
    return sum + (entry.is_regular_file() ? entry.file_size() : 0);
  });
}

/// The folders of what is being tested.
struct folders {
  temporary_folder all;
  fs::path store = all.path() / "store";
  fs::path backups = all.path() / "backups";
  fs::path restored = all.path() / "restored";
};

TEST_CASE("a store that was backed up comes back equal, with its index, and goes on") {
  for (const std::uint64_t events : {0, 1, 10'000}) {
    const folders at;
    const auto store = open_store(at.store);
    append_many(*store, events);
    store->snapshots().save({"product", "1"}, version{1}, "state");
    CHECK(store->backup(at.backups) == store->last());
    restore_rocksdb_journal(at.backups, at.restored);
    const auto copy = open_store(at.restored);
    CHECK(copy->head() == store->head());
    CHECK(bodies(*copy) == bodies(*store));
    CHECK(copy->snapshots().latest({"product", "1"}, version::max()).value().bytes == "state");
    append(*copy, {event{.stream = {"product", "of the copy only"}}});
    CHECK(copy->verify({.noted = store->head(), .progress = {}}).records == store->last().value + 1);
  }
}

TEST_CASE("backups that are made while appends run are each a beginning of the history") {
  for (const auto how : {durability::buffered, durability::synced}) {
    const folders at;
    const auto store = open_store(at.store, how);
    int behind = 0;
    for (std::uint64_t from = 0; from < 15'000; from += 3'000) {
      std::thread writer([&] { append_many(*store, from + 3'000); });
      while (store->last().value <= from) std::this_thread::yield();
      const auto before = store->last();
      const auto through = store->backup(at.backups);
      writer.join();
      CHECK(through >= before);
      restore_rocksdb_journal(at.backups, at.restored);
      {
        const auto copy = open_store(at.restored);
        CHECK(copy->last() >= through);
        behind += copy->last() < store->last();
        CHECK(copy->verify().head == copy->head());
        CHECK(store->verify({.noted = copy->head(), .progress = {}}).head == store->head());
      }
      fs::remove_all(at.restored);
    }
    CHECK(behind > 0);  // appends went on behind at least one
  }
}

TEST_CASE("a backup that is made while a log is written over that had its space before is a beginning of the history") {
  constexpr std::size_t log_bytes = std::size_t{4} << 20;
  const folders at;
  const auto store = detail::open_rocksdb_store(at.store, {.block_cache_mib = 8}, {.log_buffer_bytes = log_bytes});
  const auto writes_over = [&](const fs::path& folder) {
    for (const auto& file : fs::directory_iterator(folder)) {
      if (file.path().extension() == ".log" && file.file_size() == log_bytes + log_bytes / 8) return true;
    }
    return false;
  };
  std::atomic<bool> enough = false;
  std::thread writer([&] {
    for (std::uint64_t written = 0; !enough && written < 100'000; ++written) {
      append(*store, {event{.payload = std::string(8'000, 'x')}});
    }
    enough = true;
  });
  for (int backups = 0; backups < 4; ++backups) {
    while (!writes_over(at.store) && !enough) std::this_thread::yield();
    CHECK_FALSE(enough);  // or else no log was ever prepared
    const auto through = store->backup(at.backups);
    restore_rocksdb_journal(at.backups, at.restored);
    // What is behind that which has been written would be read while it is written, and have a gap before it.
    CHECK_FALSE(writes_over(at.restored));
    const auto copy = open_store(at.restored);
    CHECK(copy->last() >= through);
    CHECK(copy->verify({}).records == copy->last().value);
    fs::remove_all(at.restored);
  }
  enough = true;
  writer.join();
}

TEST_CASE("a store that was restored can be opened and backed up again, also without a record more") {
  const folders at;
  {
    const auto store = open_store(at.store);
    append_many(*store, 500);
    store->backup(at.backups);
  }
  restore_rocksdb_journal(at.backups, at.restored);
  const auto head = open_store(at.restored)->head();
  CHECK(open_store(at.restored)->backup(at.backups) == head.through);
  restore_rocksdb_journal(at.backups, at.all.path() / "again");
  CHECK(open_store(at.all.path() / "again")->head() == head);
}

TEST_CASE("a backup copies only what the one before lacks, and old ones go") {
  const folders at;
  {
    const auto store = open_store(at.store);
    event large;
    large.payload = std::string(1'000'000, 'x');
    append(*store, std::vector<event>(20, large));
  }
  const auto store = open_store(at.store);  // all in tables now, which never change
  store->backup(at.backups, 3);
  const auto one = bytes_of(at.backups);
  append(*store, {event{}});
  for (int n = 0; n < 4; ++n) store->backup(at.backups, 3);
  CHECK(one > 20'000'000);
  CHECK(bytes_of(at.backups) < one + one / 10);
  CHECK(entries_of(at.backups / "meta") == 3);
  store->backup(at.backups, 1);
  CHECK(entries_of(at.backups / "meta") == 1);
  CHECK_THROWS_WITH_AS(store->backup(at.backups, 0), Contains("keep at least 1"), error);
}

TEST_CASE("two stores cannot share a folder of backups") {
  const folders at;
  const auto store = open_store(at.store);
  const auto other = open_store(at.all.path() / "other");
  store->backup(at.backups);
  CHECK_THROWS_WITH_AS(other->backup(at.backups), Contains("holds backups of another store"), error);
  store->backup(at.backups);
}

TEST_CASE("a restore leaves a folder alone that is not empty") {
  const folders at;
  const auto store = open_store(at.store);
  append_few(*store);
  store->backup(at.backups);
  CHECK_THROWS_WITH_AS(restore_rocksdb_journal(at.backups, at.backups), Contains("is not empty"), error);
  overwrite(at.restored, "a file");
  CHECK_THROWS_WITH_AS(restore_rocksdb_journal(at.backups, at.restored), Contains("is not empty"), error);
  CHECK(contents(at.restored) == "a file");
  CHECK_THROWS_WITH_AS(restore_rocksdb_journal(at.all.path() / "none", at.all.path() / "x"), Contains("there is no such folder"),
                       error);
  CHECK_THROWS_AS(restore_rocksdb_journal(at.store, at.all.path() / "x"), error);
  CHECK_THROWS_AS(restore_rocksdb_journal(at.store, at.all.path() / "y" / "x"), error);
  CHECK_FALSE(fs::exists(at.all.path() / "y"));
  CHECK_FALSE(fs::exists(at.all.path() / "x"));
}

TEST_CASE("a backup that was damaged anywhere is refused and makes no store") {
  const folders at;
  {
    const auto store = open_store(at.store);
    append_many(*store, 500);
  }
  open_store(at.store)->backup(at.backups);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(at.backups)) {
    if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
  }
  REQUIRE(files.size() > 3);
  for (const auto& file : files) {
    CAPTURE(file);
    const auto whole = contents(file);
    auto damaged = whole;
    damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 1);
    overwrite(file, damaged);
    CHECK_THROWS_AS(restore_rocksdb_journal(at.backups, at.restored), error);
    CHECK_FALSE(fs::exists(at.restored));
    overwrite(file, whole.substr(0, whole.size() / 2));
    CHECK_THROWS_AS(restore_rocksdb_journal(at.backups, at.restored), error);
    CHECK_FALSE(fs::exists(at.restored));
    overwrite(file, whole);
  }
  CHECK(entries_of(at.all.path()) == 2);
  restore_rocksdb_journal(at.backups, at.restored);
  CHECK(open_store(at.restored)->verify().records >= 500);
}

TEST_CASE("a backup that would share a damaged file with an earlier one is not added, and none is deleted for it") {
  const folders at;
  {
    const auto store = open_store(at.store);
    append_many(*store, 500);
  }
  const auto store = open_store(at.store);  // all in tables now, which backups share
  store->backup(at.backups);
  std::vector<fs::path> shared;
  for (const auto& entry : fs::directory_iterator(at.backups / "shared_checksum")) shared.push_back(entry.path());
  REQUIRE_FALSE(shared.empty());
  for (const auto& file : shared) {
    CAPTURE(file);
    const auto whole = contents(file);
    auto altered = whole;
    altered[whole.size() / 2] = static_cast<char>(altered[whole.size() / 2] ^ 1);
    for (const auto& damaged : {altered, whole.substr(0, whole.size() / 2)}) {
      overwrite(file, damaged);
      try {
        store->backup(at.backups, 1);
        FAIL("a backup was made with a damaged file in it");
      } catch (const error& refused) {
        CHECK(refused.kind() == errc::corrupt_store);
        CHECK(refused.detail().find("choose a new folder") != std::string::npos);
      }
      CHECK(entries_of(at.backups / "meta") == 1);
      CHECK(fs::exists(at.backups / "meta" / "1"));
    }
    overwrite(file, whole);
  }
  store->backup(at.backups, 1);
  restore_rocksdb_journal(at.backups, at.restored);
  CHECK(open_store(at.restored)->head() == store->head());
}

TEST_CASE("what a backup that was killed leaves behind is gone with the next one") {
  const folders at;
  const auto store = open_store(at.store);
  append_few(*store);
  store->backup(at.backups);
  const auto leftover = at.backups / "private" / "2";
  fs::create_directory(leftover);
  overwrite(leftover / "left over", "half");
  overwrite(at.backups / "shared_checksum" / "000099_s0000000000000_1.sst", "half");
  store->backup(at.backups, 1);
  CHECK_FALSE(fs::exists(leftover / "left over"));
  CHECK_FALSE(fs::exists(at.backups / "shared_checksum" / "000099_s0000000000000_1.sst"));
  restore_rocksdb_journal(at.backups, at.restored);
  CHECK(open_store(at.restored)->head() == store->head());
}

TEST_CASE("where the newest backup is damaged, an older one is not taken for it") {
  const folders at;
  const auto store = open_store(at.store);
  append_few(*store);
  store->backup(at.backups);
  append(*store, {event{}});
  store->backup(at.backups);
  const auto file = at.backups / "meta" / "2";
  for (const auto& damaged : {contents(file).substr(0, 10), std::string()}) {
    overwrite(file, damaged);
    CHECK_THROWS_WITH_AS(restore_rocksdb_journal(at.backups, at.restored), Contains("take the file meta/2 away"), error);
  }
  fs::remove(file);
  restore_rocksdb_journal(at.backups, at.restored);
  CHECK(open_store(at.restored)->last() == position{4});
}

}  // namespace
}  // namespace cairn::tests
