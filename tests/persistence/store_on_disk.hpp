// A store as a test sees it from outside: its RocksDB opened behind cairn's back, its files, and a process that dies with it
// open.
#pragma once

#include "journal_conformance.hpp"

#include "../other_process.hpp"
#include "../temporary_folder.hpp"

#include <cairn/rocksdb_journal.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <rocksdb/db.h>

namespace cairn::tests {

namespace fs = std::filesystem;

inline const rocksdb_options small{
    .durability = durability::buffered, .block_cache_mib = 8, .index_events_in_memory_max = 1'000'000};

inline rocksdb_options with_index_of(std::uint64_t events) {
  auto options = small;
  options.index_events_in_memory_max = events;
  return options;
}

/// The error that `work` throws: its kind and what it says.
template <class Work>
std::pair<std::optional<errc>, std::string> failure_of(Work work) {
  try {
    work();
  } catch (const error& failure) { return {failure.kind(), failure.detail()}; }
  return {std::nullopt, "nothing was thrown"};
}

inline auto failure_of_opening(const fs::path& folder) {
  return failure_of([&] { rocksdb_journal(folder, small); });
}

inline bool mentions(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

/// The store's RocksDB, opened behind cairn's back.
class raw_database {
public:
  explicit raw_database(const fs::path& folder) {
    std::vector<std::string> names;
    REQUIRE(rocksdb::DB::ListColumnFamilies({}, folder.string(), &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const auto& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    REQUIRE(rocksdb::DB::Open({}, folder.string(), families, &handles, &db).ok());
    db_.reset(db);
    for (std::size_t i = 0; i < names.size(); ++i) handles_[names[i]] = handles[i];
  }
  ~raw_database() {
    for (const auto& [name, handle] : handles_) db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }

  void put(const std::string& family, const std::string& key, const std::string& value) {
    REQUIRE(db_->Put({}, handles_.at(family), key, value).ok());
  }
  void remove(const std::string& family, const std::string& key) { REQUIRE(db_->Delete({}, handles_.at(family), key).ok()); }
  std::vector<std::pair<std::string, std::string>> all(const std::string& family) {
    std::vector<std::pair<std::string, std::string>> pairs;
    const std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator({}, handles_.at(family)));
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      pairs.emplace_back(iterator->key().ToString(), iterator->value().ToString());
    }
    return pairs;
  }
  void drop(const std::string& family) { REQUIRE(db_->DropColumnFamily(handles_.at(family)).ok()); }

private:
  std::unique_ptr<rocksdb::DB> db_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> handles_;
};

inline std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void overwrite(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The largest write-ahead log of a store.
inline fs::path write_ahead_log(const fs::path& folder) {
  fs::path largest;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".log") continue;
    if (largest.empty() || fs::file_size(largest) < entry.file_size()) largest = entry.path();
  }
  return largest;
}

inline void copy_store(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

/// Three aggregates take turns, one event a call: the n-th record is version (n - 1) / 3 + 1 of product n % 3.
inline void append_in_turns(journal& journal, std::uint64_t events) {
  for (std::uint64_t n = 1; n <= events; ++n) {
    append(journal, {"product", std::to_string(n % 3)}, (n - 1) / 3, {"event " + std::to_string(n)});
  }
}

inline void check_turns(const journal& journal, std::uint64_t events) {
  CHECK(journal.last() == position{events});
  const auto all = read_all(journal);
  REQUIRE(all.size() == events);
  std::map<std::string, std::vector<seen>> by_id;
  for (std::uint64_t n = 1; n <= events; ++n) {
    const seen expected{n, {"product", std::to_string(n % 3)}, (n - 1) / 3 + 1, "event " + std::to_string(n)};
    CHECK(all[n - 1] == expected);
    by_id[expected.stream.id].push_back(expected);
  }
  for (const auto& [id, records] : by_id) {
    CHECK(read(journal, {"product", id}) == records);
    CHECK(journal.highest({"product", id}) == version{records.size()});
  }
}

inline constexpr std::uint64_t events_before_the_crash = 500;

}  // namespace cairn::tests
