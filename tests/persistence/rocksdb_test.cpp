// What only the store on RocksDB promises: refusals, recovery after a crash, and that no damage passes for data.
//
// A crash is another process: this program again, running one of the skipped test cases at the end, which dies without closing.
#include "journal_conformance.hpp"
#include "temporary_folder.hpp"

#include "../../persistence/index_memory.hpp"
#include "../../persistence/index_run.hpp"
#include "../../persistence/log_chunk.hpp"
#include "../../persistence/wal_check.hpp"

#include <cairn/rocksdb_journal.hpp>

#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <rocksdb/db.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;

constexpr const char* folder_variable = "CAIRN_TEST_FOLDER";
const rocksdb_options small{.durability = durability::buffered, .block_cache_mib = 8, .index_events_in_memory_max = 1'000'000};

rocksdb_options with_index_of(std::uint64_t events) {
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

auto failure_of_opening(const fs::path& folder) {
  return failure_of([&] { rocksdb_journal(folder, small); });
}

bool mentions(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

/// Runs a skipped test case of this program in a process of its own, and returns its exit code.
int run_in_another_process(const std::string& test_case, const fs::path& folder) {
  const auto filter = "--test-case=" + test_case;
  const auto child = fork();
  if (child == 0) {
    setenv(folder_variable, folder.c_str(), 1);
    execl("/proc/self/exe", "tests", filter.c_str(), "--no-skip", "--minimal", static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

fs::path folder_of_this_process() {
  const char* folder = std::getenv(folder_variable);
  REQUIRE(folder);
  return folder;
}

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

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void overwrite(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The largest write-ahead log of a store.
fs::path write_ahead_log(const fs::path& folder) {
  fs::path largest;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".log") continue;
    if (largest.empty() || fs::file_size(largest) < entry.file_size()) largest = entry.path();
  }
  return largest;
}

void copy_store(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

/// Three aggregates take turns, one event a call: the n-th record is version (n - 1) / 3 + 1 of product n % 3.
void append_in_turns(journal& journal, std::uint64_t events) {
  for (std::uint64_t n = 1; n <= events; ++n) {
    append(journal, {"product", std::to_string(n % 3)}, (n - 1) / 3, {"event " + std::to_string(n)});
  }
}

void check_turns(const journal& journal, std::uint64_t events) {
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

constexpr std::uint64_t events_before_the_crash = 500;

}  // namespace

// --- refusals ---

TEST_CASE("a store that is open cannot be opened again in the same process, whatever path leads to it") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  const auto journal = rocksdb_journal(store, small);
  fs::create_directory_symlink(store, folder.path() / "link");
  for (const auto& path : {store, folder.path() / "link", folder.path() / "." / "store"}) {
    const auto [kind, detail] = failure_of_opening(path);
    CHECK(kind == errc::store_in_use);
    CHECK(mentions(detail, store.string()));
    CHECK(mentions(detail, "close it there, or choose another folder"));
  }
  CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
}

TEST_CASE("a store that is open cannot be opened by another process") {
  const temporary_folder folder;
  const auto journal = rocksdb_journal(folder.path(), small);
  CHECK(run_in_another_process("(child) opens a store that is in use", folder.path()) == static_cast<int>(errc::store_in_use));
  CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
}

TEST_CASE("options out of their range are refused") {
  const temporary_folder folder;
  for (const std::uint64_t events : {0, 100'000'001}) {
    CHECK(failure_of([&] { rocksdb_journal(folder.path(), with_index_of(events)); }).first == errc::invalid_argument);
  }
  auto options = small;
  options.block_cache_mib = std::uint64_t{1} << 21;
  CHECK(failure_of([&] { rocksdb_journal(folder.path(), options); }).first == errc::invalid_argument);
}

TEST_CASE("a store of an unknown format is refused with both formats, and left alone") {
  const temporary_folder folder;
  rocksdb_journal(folder.path(), small);
  raw_database(folder.path()).put("meta", "format", std::string("\2\0\0\0", 4));
  const auto [kind, detail] = failure_of_opening(folder.path());
  CHECK(kind == errc::unknown_format);
  CHECK(mentions(detail, "format 2"));
  CHECK(mentions(detail, "format 1"));
  raw_database(folder.path()).put("meta", "format", std::string("\1\0\0\0", 4));
  CHECK(rocksdb_journal(folder.path(), small)->last() == position{0});
}

TEST_CASE("a folder that holds something else is refused and left alone") {
  const temporary_folder folder;
  overwrite(folder.path() / "letter.txt", "not a store");
  CHECK(failure_of_opening(folder.path()).first == errc::unknown_format);
  CHECK(contents(folder.path() / "letter.txt") == "not a store");
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a RocksDB database of another program is refused and keeps its data") {
  const temporary_folder folder;
  const auto store = folder.path() / "theirs";
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  REQUIRE(rocksdb::DB::Open(options, store.string(), &db).ok());
  REQUIRE(db->Put({}, "their", "data").ok());
  SUBCASE("with one column family") {}
  SUBCASE("with column families of its own") {
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    REQUIRE(db->CreateColumnFamily({}, "theirs", &handle).ok());
    REQUIRE(db->DestroyColumnFamilyHandle(handle).ok());
  }
  delete db;
  CHECK(failure_of_opening(store).first == errc::unknown_format);
  CHECK(raw_database(store).all("default").size() == 1);
}

TEST_CASE("a store whose making was interrupted is made anew") {
  const temporary_folder folder;
  SUBCASE("after its first file") { overwrite(folder.path() / "LOCK", ""); }
  SUBCASE("before its column families") {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    REQUIRE(rocksdb::DB::Open(options, folder.path().string(), &db).ok());
    SUBCASE("") {}
    SUBCASE("between its column families") {
      rocksdb::ColumnFamilyHandle* handle = nullptr;
      REQUIRE(db->CreateColumnFamily({}, "log", &handle).ok());
      REQUIRE(db->DestroyColumnFamilyHandle(handle).ok());
    }
    delete db;
  }
  const auto journal = rocksdb_journal(folder.path(), small);
  CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
}

TEST_CASE("a folder that cannot be written is an error that names it") {
  const temporary_folder folder;
  overwrite(folder.path() / "file", "in the way");
  const auto [kind, detail] = failure_of_opening(folder.path() / "file" / "store");
  CHECK(kind == errc::journal_unavailable);
  CHECK(mentions(detail, (folder.path() / "file").string()));
}

TEST_CASE("after a failed write the store refuses appends until it is opened again, and goes on reading") {
  const temporary_folder folder;
  auto journal = rocksdb_journal(folder.path(), small);
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

  check_turns(*journal, 30);
  const auto [again, why] = failure_of([&] { append(*journal, product, 10, {"small"}); });
  CHECK(again == errc::journal_unavailable);
  CHECK(mentions(why, "opened again"));

  journal.reset();
  journal = rocksdb_journal(folder.path(), small);
  check_turns(*journal, 30);
  CHECK(append(*journal, product, 10, {"small"}).stored);
}

TEST_CASE("an index that cannot be written stops appends only when its memory is full, and is written when it can be again") {
  const temporary_folder folder;
  auto journal = rocksdb_journal(folder.path(), with_index_of(50));
  const auto in_the_way = folder.path() / "index-being-written";
  fs::create_directories(in_the_way / "x");
  std::uint64_t stored = 0;
  const stream_id product("product", "1");
  const auto [kind, detail] = failure_of([&] {
    for (; stored < 1000; ++stored) append(*journal, product, stored, {std::to_string(stored + 1)});
  });
  CHECK(kind == errc::journal_unavailable);
  CHECK(mentions(detail, "write the index behind"));
  CHECK(stored >= 100);
  CHECK(stored <= 200);
  CHECK(read(*journal, product).size() == stored);
  fs::remove_all(in_the_way);
  for (; stored < 1000; ++stored) REQUIRE(append(*journal, product, stored, {std::to_string(stored + 1)}).stored);
  journal.reset();
  journal = rocksdb_journal(folder.path(), with_index_of(50));
  CHECK(versions(read(*journal, product)).size() == 1000);
}

// --- recovery ---

TEST_CASE("what was appended before a crash is there after it, with an index made anew from where it ended") {
  const temporary_folder folder;
  REQUIRE(run_in_another_process("(child) appends and dies", folder.path()) == 0);
  {
    raw_database raw(folder.path());
    const auto marker = detail::decode_marker(raw.all("index").at(0).second);
    REQUIRE(marker);
    CHECK(marker->value >= 100);
    CHECK(marker->value < events_before_the_crash);
  }
  auto journal = rocksdb_journal(folder.path(), with_index_of(100));
  check_turns(*journal, events_before_the_crash);
  CHECK(append(*journal, {"product", "0"}, events_before_the_crash / 3, {"after"}).stored);
}

TEST_CASE("an index that was deleted is made anew from the log") {
  const temporary_folder folder;
  {
    const auto journal = rocksdb_journal(folder.path(), with_index_of(40));
    append_in_turns(*journal, 300);
  }
  SUBCASE("as a whole") { raw_database(folder.path()).drop("index"); }
  SUBCASE("so far as it says how far it goes") { raw_database(folder.path()).remove("index", std::string(detail::marker_key)); }
  for (int round = 0; round < 2; ++round) {
    const auto journal = rocksdb_journal(folder.path(), with_index_of(40));
    check_turns(*journal, 300);
  }
}

TEST_CASE("an index that goes beyond the log is an error that names both ends") {
  const temporary_folder folder;
  {
    const auto journal = rocksdb_journal(folder.path(), small);
    append_in_turns(*journal, 30);
  }
  raw_database(folder.path()).put("index", std::string(detail::marker_key), detail::encode_marker(position{1234}));
  const auto [kind, detail] = failure_of_opening(folder.path());
  CHECK(kind == errc::corrupt_store);
  CHECK(mentions(detail, "1234"));
  CHECK(mentions(detail, "30"));
}

TEST_CASE("a write-ahead log that a crash cut off anywhere opens with the records before the cut") {
  const temporary_folder folder;
  const auto crashed = folder.path() / "crashed";
  const auto copy = folder.path() / "copy";
  REQUIRE(run_in_another_process("(child) appends without an index and dies", crashed) == 0);
  const auto whole = contents(write_ahead_log(crashed));
  std::uint64_t fewer = events_before_the_crash + 1;
  // Near the end every length, further up some.
  std::vector<std::size_t> lengths;
  for (std::size_t cut = 0; cut < 160; cut += cut < 40 ? 1 : 7) lengths.push_back(whole.size() - cut);
  for (auto length = whole.size() - 2000; length > 40'000; length -= 9973) lengths.push_back(length);
  for (const auto length : lengths) {
    INFO("cut to ", length, " of ", whole.size());
    copy_store(crashed, copy);
    overwrite(write_ahead_log(copy), std::string_view(whole).substr(0, length));
    const auto journal = rocksdb_journal(copy, small);
    const auto events = journal->last().value;
    CHECK(events < fewer);
    CHECK(events + (whole.size() - length) / 100 + 2 > events_before_the_crash);
    check_turns(*journal, events);
    fewer = events + 1;
  }
}

TEST_CASE("an event that holds the bytes of a write-ahead log does not make a torn tail look like damage") {
  const temporary_folder folder;
  const auto crashed = folder.path() / "crashed";
  REQUIRE(run_in_another_process("(child) appends without an index and dies", crashed) == 0);
  const auto foreign = contents(write_ahead_log(crashed)).substr(0, 1'500);
  const auto empty_record = std::string("\x05\x2b\x28\x43\x00\x00\x01", 7);  // a checksum over nothing but its type
  const auto open = folder.path() / "open";
  const auto copy = folder.path() / "copy";
  const auto journal = rocksdb_journal(open, small);
  append_in_turns(*journal, 50);
  append(*journal, {"product", "odd"}, 0, {foreign + empty_record + foreign});
  copy_store(open, copy);
  const auto whole = contents(write_ahead_log(copy));
  for (const std::size_t cut : {1, 100, 1'400, 1'600, 2'900}) {
    CAPTURE(cut);
    copy_store(open, copy);
    overwrite(write_ahead_log(copy), std::string_view(whole).substr(0, whole.size() - cut));
    check_turns(*rocksdb_journal(copy, small), 50);
  }
}

TEST_CASE("a store without any write-ahead log is refused: what was newest was in it") {
  const temporary_folder folder;
  const auto crashed = folder.path() / "crashed";
  REQUIRE(run_in_another_process("(child) appends without an index and dies", crashed) == 0);
  fs::remove(write_ahead_log(crashed));
  const auto [kind, detail] = failure_of_opening(crashed);
  CHECK(kind == errc::corrupt_store);
  CHECK(mentions(detail, "*.log"));
}

TEST_CASE("damage within a write-ahead log is an error, and never a shorter history") {
  const temporary_folder folder;
  const auto crashed = folder.path() / "crashed";
  const auto copy = folder.path() / "copy";
  REQUIRE(run_in_another_process("(child) appends without an index and dies", crashed) == 0);
  const auto whole = contents(write_ahead_log(crashed));
  // Every byte of two records' heads in the middle and of the last one, where a flipped bit can look like a torn tail, and some
  // of the rest.
  std::vector<std::size_t> offsets;
  for (std::size_t at = whole.size() / 2; at < whole.size() / 2 + 280; ++at) offsets.push_back(at);
  for (std::size_t at = whole.size() - 150; at < whole.size(); ++at) offsets.push_back(at);
  for (std::size_t at = 0; at < whole.size(); at += 1999) offsets.push_back(at);
  std::size_t refused = 0;
  for (std::size_t n = 0; n < offsets.size(); ++n) {
    const auto at = offsets[n];
    const auto bit = n % 8;
    INFO("bit ", bit, " of byte ", at);
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
    copy_store(crashed, copy);
    overwrite(write_ahead_log(copy), damaged);
    position last;
    const auto [kind, detail] = failure_of([&] { last = rocksdb_journal(copy, small)->last(); });
    if (!kind) {  // a byte that means nothing
      CHECK(last == position{events_before_the_crash});
      continue;
    }
    ++refused;
    CHECK(kind == errc::corrupt_record);
    CHECK(mentions(detail, "backup"));
  }
  CHECK(refused > offsets.size() * 9 / 10);
}

TEST_CASE("a bit flipped in the head of a record of the write-ahead log is found, whichever it is") {
  const temporary_folder folder;
  const auto crashed = folder.path() / "crashed";
  REQUIRE(run_in_another_process("(child) appends without an index and dies", crashed) == 0);
  const auto log = write_ahead_log(crashed);
  const auto whole = contents(log);
  REQUIRE_FALSE(detail::damage_like_a_torn_tail(crashed));
  // Walk the records as they are, and for each look at the bits that RocksDB takes for a torn tail: those that make the length
  // lead out of the block or the type one of no use.
  std::size_t found = 0;
  for (std::size_t at = 0; at + 7 <= whole.size();) {
    const auto left = 32768 - at % 32768;
    if (left < 7) {
      at += left;
      continue;
    }
    const auto length = static_cast<unsigned char>(whole[at + 4]) + 256u * static_cast<unsigned char>(whole[at + 5]);
    for (std::size_t bit = 0; bit < 24; ++bit) {
      auto damaged = whole;
      damaged[at + 4 + bit / 8] = static_cast<char>(damaged[at + 4 + bit / 8] ^ (1 << bit % 8));
      const auto new_length = static_cast<unsigned char>(damaged[at + 4]) + 256u * static_cast<unsigned char>(damaged[at + 5]);
      const auto type = static_cast<unsigned char>(damaged[at + 6]);
      if (type != 0 && type <= 4 && new_length <= std::min(left, whole.size() - at) - 7) continue;
      overwrite(log, damaged);
      const auto damage = detail::damage_like_a_torn_tail(crashed);
      REQUIRE(damage);
      CHECK(mentions(*damage, "at byte " + std::to_string(at)));
      ++found;
    }
    at += 7 + length;
  }
  CHECK(found > 1000);
}

// --- damage ---

TEST_CASE("a flipped bit in any byte of a stored chunk is found when the chunk is read") {
  const temporary_folder folder;
  {
    const auto journal = rocksdb_journal(folder.path(), small);
    append_in_turns(*journal, 6);
  }
  const auto chunk = raw_database(folder.path()).all("log").at(1);
  REQUIRE(chunk.first == std::string("\0\0\0\0\0\0\0\2", 8));
  for (std::size_t at = 0; at < chunk.second.size(); ++at) {
    INFO("byte ", at, " of ", chunk.second.size());
    auto damaged = chunk.second;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    raw_database(folder.path()).put("log", chunk.first, damaged);
    const auto journal = rocksdb_journal(folder.path(), small);
    const auto [kind, detail] = failure_of([&] { read(*journal, {"product", "2"}); });
    // The hash of the chunk before is not a matter of this chunk's records, but of its header, which is checked as well.
    CHECK(kind == errc::corrupt_record);
    CHECK(mentions(detail, "version 1 of product/2, at position 2"));
    CHECK(failure_of([&] { read_all(*journal); }).first == errc::corrupt_record);
    CHECK(read(*journal, {"product", "1"}).size() == 2);
  }
}

TEST_CASE("a chunk that is missing, in another's place or of other records is found when it is read") {
  const temporary_folder folder;
  {
    const auto journal = rocksdb_journal(folder.path(), small);
    append_in_turns(*journal, 9);
  }
  const auto chunks = raw_database(folder.path()).all("log");
  const auto reads_corrupt = [&] {
    const auto journal = rocksdb_journal(folder.path(), small);
    CHECK(failure_of([&] { read_all(*journal); }).first == errc::corrupt_record);
    CHECK(failure_of([&] { read(*journal, {"product", "2"}); }).first == errc::corrupt_record);
  };
  SUBCASE("missing") {
    raw_database(folder.path()).remove("log", chunks[1].first);
    reads_corrupt();
  }
  SUBCASE("another's bytes under its key") {
    raw_database(folder.path()).put("log", chunks[1].first, chunks[2].second);
    reads_corrupt();
  }
  SUBCASE("sound in itself, but of another aggregate") {
    detail::chunk_writer writer;
    detail::digest previous;
    detail::chunk_reader old(chunks[1].first, chunks[1].second);
    std::copy(old.previous().begin(), old.previous().end(), previous.begin());
    const draft other({"product", "9"}, 0, {"forged"});
    auto frames = std::string_view(other.frames);
    std::string_view body;
    next_frame(frames, body);
    writer.begin(position{2}, previous);
    writer.add(body);
    raw_database(folder.path()).put("log", chunks[1].first, std::string(writer.finish()));
    const auto journal = rocksdb_journal(folder.path(), small);
    const auto [kind, detail] = failure_of([&] { read(*journal, {"product", "2"}); });
    CHECK(kind == errc::corrupt_record);
    CHECK(mentions(detail, "product/9"));
  }
}

TEST_CASE("a broken chain near the end of the log is found at opening") {
  const temporary_folder folder;
  {
    const auto journal = rocksdb_journal(folder.path(), small);
    append_in_turns(*journal, 9);
  }
  const auto chunks = raw_database(folder.path()).all("log");
  const auto refused = [&] {
    const auto [kind, detail] = failure_of_opening(folder.path());
    CHECK((kind == errc::corrupt_store || kind == errc::corrupt_record));
    return detail;
  };
  SUBCASE("where the chunk before the last was written anew") {
    detail::chunk_writer writer;
    writer.begin(position{8}, detail::digest{});
    writer.add("sound, but not what was there");
    raw_database(folder.path()).put("log", chunks[7].first, std::string(writer.finish()));
    CHECK(mentions(refused(), "chain breaks at position 9"));
  }
  SUBCASE("where the last chunk is gone") {
    raw_database(folder.path()).remove("log", chunks[8].first);
    CHECK(mentions(refused(), "the index goes to position 9"));
  }
  SUBCASE("where all of the log is gone") {
    raw_database raw(folder.path());
    for (const auto& [key, value] : chunks) raw.remove("log", key);
  }
  SUBCASE("where the first chunk is gone, and the index with it") {
    raw_database raw(folder.path());
    raw.remove("log", chunks[0].first);
    raw.drop("index");
  }
  refused();
}

TEST_CASE("a store that was taken for another by its chain is refused") {
  const temporary_folder folder;
  for (const auto* name : {"a", "b"}) {
    const auto journal = rocksdb_journal(folder.path() / name, small);
    append_in_turns(*journal, 1);
  }
  const auto chunk = raw_database(folder.path() / "a").all("log").at(0);
  raw_database(folder.path() / "b").put("log", chunk.first, chunk.second);
  CHECK(failure_of_opening(folder.path() / "b").first == errc::corrupt_record);
}

TEST_CASE("a store counts how often it was opened and keeps its identity") {
  const temporary_folder folder;
  std::string identity;
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    rocksdb_journal(folder.path(), small);
    std::map<std::string, std::string> meta;
    for (const auto& [key, value] : raw_database(folder.path()).all("meta")) meta[key] = value;
    CHECK(meta.at("epoch") == std::string(1, static_cast<char>(epoch)) + std::string(7, '\0'));
    CHECK(meta.at("store id").size() == 16);
    if (identity.empty()) identity = meta.at("store id");
    CHECK(meta.at("store id") == identity);
  }
}

// --- the parts ---

TEST_CASE("a chunk gives back its records, and no flipped bit in it goes unseen") {
  detail::chunk_writer writer;
  detail::digest previous;
  previous.fill('p');
  writer.begin(position{77}, previous);
  const std::vector<std::string> bodies{"one", "", std::string(300, 'x')};
  for (const auto& body : bodies) writer.add(body);
  const std::string value(writer.finish());
  const auto key_bytes = detail::log_key(position{77});
  const std::string key(key_bytes.begin(), key_bytes.end());
  const auto walk = [&](const std::string& bytes) {
    detail::chunk_reader reader(key, bytes);
    std::vector<std::string> found;
    while (!reader.done()) found.emplace_back(reader.next());
    return found;
  };
  CHECK(walk(value) == bodies);
  detail::chunk_reader reader(key, value);
  CHECK(reader.first() == position{77});
  CHECK(reader.end() == position{80});
  CHECK(reader.previous() == std::string(32, 'p'));
  for (const std::uint32_t slot : {2, 0, 1, 1}) CHECK(reader.at(slot) == bodies[slot]);
  CHECK_THROWS_AS(reader.at(3), error);
  for (std::size_t bit = 0; bit < 8 * value.size(); ++bit) {
    auto damaged = value;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    CHECK_THROWS_AS(walk(damaged), error);
  }
  for (std::size_t length = 0; length < value.size(); ++length) CHECK_THROWS_AS(walk(value.substr(0, length)), error);
  CHECK_THROWS_AS(walk(value + "x"), error);
}

TEST_CASE("the chain's hash is SHA-256") {
  detail::sha256 sha256;
  const auto begins = [](const detail::digest& digest) { return std::string(digest.begin(), digest.begin() + 4); };
  CHECK(begins(sha256("ab", "c")) == "\xba\x78\x16\xbf");
  CHECK(begins(sha256("")) == "\xe3\xb0\xc4\x42");
}

TEST_CASE("the index in memory finds any span of versions, near or far") {
  detail::generation generation;
  constexpr std::uint64_t base = 100;
  constexpr std::uint64_t events = 5000;
  const stream_view stream{"product", "1"};
  const auto hash = detail::stream_table::hash(stream);
  const auto index = generation.streams.insert(stream, hash, base);
  for (std::uint64_t i = 1; i <= events; ++i) generation.push(index, position{2 * i}, static_cast<std::uint8_t>(i % 2));
  const auto& state = generation.streams[generation.streams.find(stream, hash)];
  CHECK(state.version == base + events);
  std::vector<detail::place> places;
  for (std::uint64_t from = base + 1; from <= base + events; from += 97) {
    for (const auto to : {from, from + 1, from + 63, from + 64, from + 700, base + events}) {
      if (to > base + events) continue;
      places.clear();
      generation.places->collect(state.last, state.version, from, to, places);
      REQUIRE(places.size() == to - from + 1);
      for (std::uint64_t i = 0; i < places.size(); ++i) REQUIRE(places[i].where() == position{2 * (from - base + i)});
    }
  }
}

TEST_CASE("a run of the index gives back its places, and a damaged one is not believed") {
  std::vector<detail::place> places;
  for (std::uint64_t i = 0; i < 1000; ++i) places.push_back({i / 3 * 1000 + 1, static_cast<std::uint8_t>(i % 3 * 100)});
  std::string value;
  detail::encode_run(value, places);
  CHECK(detail::run_size(value) == 1000);
  std::vector<detail::place> some;
  REQUIRE(detail::decode_run(value, 10, 999, some));
  REQUIRE(some.size() == 990);
  for (std::size_t i = 0; i < some.size(); ++i) CHECK(some[i].where() == places[i + 10].where());
  CHECK_FALSE(detail::decode_run(value, 0, 1000, some));
  for (std::size_t length = 0; length < value.size(); ++length)
    CHECK_FALSE(detail::decode_run(value.substr(0, length), 0, 999, some));
  CHECK_FALSE(detail::run_size(""));
  CHECK_FALSE(detail::run_size(std::string(1, '\0')));
}

TEST_CASE("names of aggregates are ordered as their keys are") {
  const std::vector<stream_id> streams{
      {"a", ""}, {"a", "z"}, {"a", "aa"}, {"b", "a"}, {"b", "\xff"}, {"aa", ""}, {"aa", std::string(300, 'a')}};
  for (const auto& left : streams) {
    for (const auto& right : streams) {
      CHECK(detail::stream_less(left, right) == (detail::stream_prefix(left) < detail::stream_prefix(right)));
    }
  }
}

// --- what the other processes do ---

TEST_CASE("(child) opens a store that is in use" * doctest::skip()) {
  const auto kind = failure_of_opening(folder_of_this_process()).first;
  _exit(kind ? static_cast<int>(*kind) : 0);
}

TEST_CASE("(child) appends and dies" * doctest::skip()) {
  const auto journal = rocksdb_journal(folder_of_this_process(), with_index_of(100));
  append_in_turns(*journal, events_before_the_crash);
  _exit(0);
}

TEST_CASE("(child) appends without an index and dies" * doctest::skip()) {
  const auto journal = rocksdb_journal(folder_of_this_process(), small);
  append_in_turns(*journal, events_before_the_crash);
  _exit(0);
}

}  // namespace cairn::tests
