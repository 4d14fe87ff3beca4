// What only the store on RocksDB promises: what it refuses, what it keeps to after a failure, and its parts.
//
// Another process is this program again, running one of the skipped test cases at the end.
#include "store_on_disk.hpp"

#include "../../persistence/index_memory.hpp"
#include "../../persistence/index_run.hpp"
#include "../../persistence/log_chunk.hpp"

#include <algorithm>
#include <csignal>
#include <numeric>
#include <random>
#include <sys/resource.h>

namespace cairn::tests {

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

TEST_CASE("a store can be named by a relative path, and has one name however it is spelt") {
  const temporary_folder folder;
  const auto before = fs::current_path();
  fs::current_path(folder.path());
  {
    const auto journal = rocksdb_journal("new/store", small);
    CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
    CHECK(failure_of_opening("new/../new/store").first == errc::store_in_use);
    CHECK(failure_of_opening(folder.path() / "new" / "store").first == errc::store_in_use);
  }
  CHECK(rocksdb_journal("new/store", small)->last() == position{1});
  fs::current_path(before);
}

TEST_CASE("a store without its file CURRENT is refused, also while all of it is in its write-ahead log, and stays as it is") {
  const temporary_folder folder;
  const auto copy = folder.path() / "copy";
  const auto journal = rocksdb_journal(folder.path() / "store", small);
  append(*journal, {"product", "1"}, 0, {"one"});
  copy_store(folder.path() / "store", copy);  // as a process leaves it that dies now
  fs::remove(copy / "LOCK");
  const auto current = contents(copy / "CURRENT");
  fs::remove(copy / "CURRENT");
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto [kind, detail] = failure_of_opening(copy);
    CHECK(kind == errc::corrupt_store);
    CHECK(mentions(detail, "CURRENT"));
    CHECK(mentions(detail, "backup"));
  }
  overwrite(copy / "CURRENT", current);
  CHECK(rocksdb_journal(copy, small)->last() == position{1});
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

TEST_CASE("a run of the index gives back places that are as far away as there are any") {
  const detail::place places[]{{1, 0}, {~std::uint64_t{0}, 255}};
  std::string value;
  for (const auto& place : places) {
    value.clear();
    detail::encode_run(value, {&place, 1});
    std::vector<detail::place> read;
    REQUIRE(detail::decode_run(value, 0, 0, read));
    CHECK(read.front().chunk == place.chunk);
    CHECK(read.front().slot == place.slot);
  }
}

TEST_CASE("the places of a generation are put in any order of its aggregates, each one's in the order of its versions") {
  std::mt19937 random(1);
  for (const std::uint32_t streams : {1, 3, 1'000}) {
    detail::generation generation;
    for (std::uint32_t i = 0; i < streams; ++i) {
      const auto id = std::to_string(i);
      const stream_view stream{"product", id};
      CHECK(generation.streams.insert(stream, detail::stream_table::hash(stream), i % 5 * 1'000) == i);
    }
    // More than the first blocks of the list hold. Aggregates differ in how many records they have, and some have none.
    for (std::uint64_t position = 1; position <= 5'000; ++position) {
      const auto stream = static_cast<std::uint32_t>(random() % (1 + random() % streams));
      generation.push(stream, cairn::position{position * 3}, static_cast<std::uint8_t>(random() % 4));
    }
    std::vector<std::uint32_t> order(streams);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    const auto places = generation.places_by(order);
    const auto* next = places.get();
    for (const auto index : order) {
      const auto& state = generation.streams[index];
      if (state.events() == 0) continue;
      std::vector<detail::place> walked;
      generation.places->collect(state.last, state.version, state.base + 1, state.version, walked);
      REQUIRE(walked.size() == state.events());
      for (const auto& place : walked) {
        const auto put = next++->unpack();
        REQUIRE(put.chunk == place.chunk);
        REQUIRE(put.slot == place.slot);
      }
    }
    CHECK(next == places.get() + 5'000);
  }
}

TEST_CASE("aggregates are put in the order of their keys") {
  std::vector<stream_id> streams{
      {"a", ""},     {"a", "z"}, {"a", "aa"}, {"a", std::string("\0", 1)},   {"b", "a"},
      {"b", "\xff"}, {"aa", ""}, {"A", "aa"}, {"aa", std::string(300, 'a')}, {std::string(255, 'c'), "1"}};
  // Names that have a lot in common, of equal and of different lengths.
  std::mt19937 random(1);
  for (std::size_t common = 0; common < 40; ++common) {
    for (int i = 0; i < 20; ++i) {
      std::string id(common, 'a');
      for (auto more = random() % 20; more > 0; --more) id.push_back("ab\xff"[random() % 3]);
      streams.emplace_back(random() % 8 ? "product" : "products", id);
    }
  }
  std::sort(streams.begin(), streams.end());
  streams.erase(std::unique(streams.begin(), streams.end()), streams.end());
  std::shuffle(streams.begin(), streams.end(), random);
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{2}, streams.size()}) {
    detail::stream_table table;
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < count; ++i) {
      table.insert(streams[i], detail::stream_table::hash(streams[i]), 0);
      keys.push_back(detail::stream_prefix(streams[i]));
    }
    std::vector<std::string> ordered;
    for (const auto index : detail::order_by_prefix(table.states())) ordered.push_back(keys[index]);
    std::sort(keys.begin(), keys.end());
    CHECK(ordered == keys);
  }
}

TEST_CASE("(child) opens a store that is in use" * doctest::skip()) {
  const auto kind = failure_of_opening(folder_of_this_process()).first;
  _exit(kind ? static_cast<int>(*kind) : 0);
}

TEST_CASE("pruning again and again keeps the newest snapshots, and sees one that was saved below those deleted before") {
  const temporary_folder folder;
  const auto journal = rocksdb_journal(folder.path(), {});
  auto& snapshots = journal->snapshots();
  const stream_id product("product", "1");
  const auto there = [&](std::uint64_t at) {
    const auto found = snapshots.latest(product, version{at});
    return found && found->version == version{at};
  };
  for (std::uint64_t at = 10; at <= 1'000; at += 10) {
    snapshots.save(product, version{at}, "s");
    snapshots.prune(product, 2);
    CHECK(there(at));
    CHECK((at == 10 || there(at - 10)));
    CHECK_FALSE(snapshots.latest(product, version{at - std::min<std::uint64_t>(at, 11)}));
  }
  snapshots.save(product, version{5}, "an old one");
  snapshots.save(product, version{500}, "another");
  snapshots.prune(product, 3);
  CHECK(there(500));
  CHECK_FALSE(there(5));
  snapshots.prune(product, 0);
  CHECK_FALSE(snapshots.latest(product, version::max()));
  snapshots.save(product, version{7}, "s");
  snapshots.prune(product, 1);
  CHECK(there(7));
}

}  // namespace cairn::tests
