// The index and the snapshots: their parts in memory, their bytes, and what makes them again.
#include "../../persistence/derived/index.hpp"
#include "../../persistence/derived/index_memory.hpp"
#include "../../persistence/derived/index_run.hpp"
#include "../../persistence/derived/memory_derived.hpp"
#include "store_on_disk.hpp"

#include "../../model/varint.hpp"

#include <algorithm>
#include <numeric>
#include <random>

namespace cairn::tests {
namespace {

bool same(detail::place left, detail::place right) { return left.chunk == right.chunk && left.slot == right.slot; }

TEST_CASE("the index in memory finds any span of versions, near or far") {
  detail::generation generation;
  constexpr std::uint64_t base = 100;
  constexpr std::uint64_t events = 5000;
  const stream_view stream{"product", "1"};
  const auto hash = detail::stream_table::hash(stream);
  const auto number = generation.streams.insert(stream, hash, base);
  const auto place_of = [](std::uint64_t event) { return detail::place{64 * event, static_cast<std::uint8_t>(event % 256)}; };
  for (std::uint64_t event = 1; event <= events; ++event) generation.push(number, place_of(event));
  const auto& state = generation.streams[generation.streams.find(stream, hash)];
  CHECK(state.version == base + events);
  std::vector<detail::place> places;
  for (std::uint64_t from = base + 1; from <= base + events; from += 97) {
    for (const auto to : {from, from + 1, from + 63, from + 64, from + 700, base + events}) {
      if (to > base + events) continue;
      places.clear();
      generation.places->collect(state.last, state.version, from, to, places);
      REQUIRE(places.size() == to - from + 1);
      for (std::uint64_t i = 0; i < places.size(); ++i) REQUIRE(same(places[i], place_of(from - base + i)));
    }
  }
}

TEST_CASE("a run of the index gives back its places, and a damaged one is not believed") {
  std::vector<detail::place> places;
  for (std::uint64_t i = 0; i < 1000; ++i) places.push_back({i / 3 * 1000 + 64, static_cast<std::uint8_t>(i % 3 * 100)});
  std::string value;
  detail::encode_run(value, places);
  CHECK(detail::run_size(value) == 1000);
  std::vector<detail::place> some;
  REQUIRE(detail::decode_run(value, 10, 999, some));
  REQUIRE(some.size() == 990);
  for (std::size_t i = 0; i < some.size(); ++i) CHECK(same(some[i], places[i + 10]));
  CHECK_FALSE(detail::decode_run(value, 0, 1000, some));
  for (std::size_t length = 0; length < value.size(); ++length)
    CHECK_FALSE(detail::decode_run(value.substr(0, length), 0, 999, some));
  CHECK_FALSE(detail::run_size(""));
  CHECK_FALSE(detail::run_size(std::string(1, '\0')));
}

TEST_CASE("a run of the index has one encoding for each number") {
  const detail::place place{64, 7};
  std::string value;
  detail::encode_run(value, {&place, 1});
  std::vector<detail::place> read;
  REQUIRE(detail::decode_run(value, 0, 0, read));
  CHECK_FALSE(detail::run_size("\x81\x80\x01"));                                 // 16,385 of them
  CHECK_FALSE(detail::decode_run(std::string("\x81\x00@\x07", 4), 0, 0, read));  // the count 1 in two bytes
  CHECK_FALSE(detail::decode_run(std::string("\x01\xc0\x00\x07", 4), 0, 0, read));
  CHECK_FALSE(detail::decode_run("\x01\xc0\x80\x80\x80\x80\x80\x80\x80\x80\x02\x07", 0, 0, read));  // above 2^64 - 1
  CHECK_FALSE(detail::decode_newest(std::string("\x85\x00", 2)));
  CHECK_FALSE(detail::decode_newest("\x05\x05"));
  CHECK(detail::decode_newest("\x05") == version{5});
}

TEST_CASE("a run of the index gives back places that are as far away as there are any") {
  const detail::place places[]{{1, 0}, {(std::uint64_t{1} << 56) - 1, 255}};
  std::string value;
  for (const auto& place : places) {
    value.clear();
    detail::encode_run(value, {&place, 1});
    std::vector<detail::place> read;
    REQUIRE(detail::decode_run(value, 0, 0, read));
    CHECK(same(read.front(), place));
    CHECK(same(detail::packed_place{place.chunk << 8 | place.slot}.unpack(), place));
  }
}

TEST_CASE("a mark of the index comes back, and one of another size or format does not") {
  detail::index_mark mark{position{7}, 1024, position{5}, {}};
  mark.hash.fill('h');
  const auto value = detail::encode_mark(mark);
  const auto read = detail::decode_mark(value);
  REQUIRE(read);
  CHECK(read->through == mark.through);
  CHECK(read->commit == mark.commit);
  CHECK(read->first == mark.first);
  CHECK(read->hash == mark.hash);
  for (std::size_t length = 0; length < value.size(); ++length) CHECK_FALSE(detail::decode_mark(value.substr(0, length)));
  CHECK_FALSE(detail::decode_mark(value + "x"));
  CHECK_FALSE(detail::decode_mark("\x01" + value.substr(1)));
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
    for (std::uint64_t n = 1; n <= 5'000; ++n) {
      const auto stream = static_cast<std::uint32_t>(random() % (1 + random() % streams));
      generation.push(stream, {n * 64, static_cast<std::uint8_t>(random() % 4)});
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
      for (const auto& place : walked) REQUIRE(same(next++->unpack(), place));
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

// --- the index over its storage ---

/// Adds an event of `stream` to the index, as a commit at this address with one record.
void publish(detail::index& index, const stream_id& stream, std::uint64_t address, position where) {
  const detail::named_stream named{stream, detail::stream_table::hash(stream)};
  std::vector<std::uint32_t> found;
  index.make_room();
  index.find({&named, 1}, found);
  ++index.staged(found.front());
  const detail::staged_record record{found.front(), 4, 0};
  index.publish({&record, 1}, {where, address, where, {}});
}

TEST_CASE("an index finds the same events whether they are in memory or were written, and goes on where it was closed") {
  detail::index_pairs pairs;
  const auto storage = detail::memory_index_storage(pairs);
  constexpr std::uint64_t events = 2'000;
  const stream_id streams[]{{"product", "1"}, {"product", "2"}, {"product", "3"}};
  for (std::uint64_t n = 0; n < events;) {
    detail::index index(*storage, {.events_max = 7, .threads = false});
    CHECK(index.mark().through == position{n});
    for (const auto stop = n + 250; n < stop; ++n) publish(index, streams[n % 3], 64 * n, position{n + 1});
    for (std::uint64_t id = 0; id < 3; ++id) {
      auto view = index.look_up(streams[id]);
      CHECK(view.version() == (n + 2 - id) / 3);
      std::vector<detail::place> places;
      view.collect(1, view.version(), places);
      REQUIRE(places.size() == view.version());
      for (std::uint64_t i = 0; i < places.size(); ++i) REQUIRE(same(places[i], {64 * (3 * i + id) + 4, 0}));
    }
  }
  CHECK(detail::memory_index_storage(pairs)->mark()->through == position{events});
}

TEST_CASE("an index that lacks a run, or has a damaged one, says so and does not give fewer events") {
  const stream_id stream("product", "1");
  detail::index_pairs whole;
  {
    const auto storage = detail::memory_index_storage(whole);
    detail::index index(*storage, {.events_max = 50, .threads = false});
    for (std::uint64_t n = 0; n < 200; ++n) publish(index, stream, 64 * n, position{n + 1});
  }
  REQUIRE(whole.size() > 4);
  for (const auto& [damaged_key, value] : whole) {
    if (damaged_key == detail::mark_key) continue;
    for (const bool removed : {true, false}) {
      auto pairs = whole;
      if (removed) {
        pairs.erase(damaged_key);
      } else {
        pairs[damaged_key].pop_back();
      }
      const auto storage = detail::memory_index_storage(pairs);
      detail::index index(*storage, {.threads = false});
      index.abandon();
      const bool is_newest = damaged_key == detail::newest_key(stream);
      const auto [kind, detail] = failure_of([&] {
        auto view = index.look_up(stream);
        std::vector<detail::place> places;
        view.collect(1, 200, places);
      });
      // Without the newest version the aggregate would be new; verify_store() finds that.
      if (!is_newest || !removed) CHECK(kind == errc::corrupt_store);
    }
  }
}

TEST_CASE("an index that cannot be written stops appends only when its memory is full, and is written when it can be again") {
  const temporary_folder folder;
  auto journal = open_store(folder.path(), with_index_of(50));
  const auto in_the_way = folder.path() / "derived" / "index-being-written";
  fs::create_directories(in_the_way / "x");
  std::uint64_t stored = 0;
  const stream_id product("product", "1");
  const auto [kind, detail] = failure_of([&] {
    for (; stored < 1000; ++stored) append(*journal, product, stored, {std::to_string(stored + 1)});
  });
  CHECK(kind == errc::journal_unavailable);
  CHECK_MESSAGE(mentions(detail, "cannot write the index"), detail);
  CHECK(stored >= 100);
  CHECK(stored <= 200);
  CHECK(read(*journal, product).size() == stored);
  fs::remove_all(in_the_way);
  for (; stored < 1000; ++stored) REQUIRE(append(*journal, product, stored, {std::to_string(stored + 1)}).stored);
  journal.reset();
  journal = open_store(folder.path(), with_index_of(50));
  CHECK(versions(read(*journal, product)).size() == 1000);
}

TEST_CASE("an index that is missing, damaged, outdated or another store's is made again with a warning, and the store is whole") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  const auto outdated = folder.path() / "outdated";
  { append_in_turns(*open_store(store, small), 100); }
  fs::copy(store / "derived", outdated, fs::copy_options::recursive);
  { append_in_turns(*open_store(store, small), 300, 101); }
  const auto derived = store / "derived";
  std::vector<std::string> warnings;
  bool is_warning_expected = true;
  SUBCASE("missing") { fs::remove_all(derived); }
  SUBCASE("empty") {
    fs::remove_all(derived);
    fs::create_directory(derived);
  }
  SUBCASE("without its list of files") { fs::remove(derived / "CURRENT"); }
  SUBCASE("damaged in every file") {
    for (const auto& entry : fs::directory_iterator(derived)) {
      auto bytes = contents(entry.path());
      for (std::size_t at = 0; at < bytes.size(); at += 97) bytes[at] = static_cast<char>(bytes[at] ^ 1);
      overwrite(entry.path(), bytes);
    }
  }
  SUBCASE("outdated") {
    fs::remove_all(derived);
    fs::rename(outdated, derived);
    is_warning_expected = false;
  }
  SUBCASE("another store's") {
    { append_in_turns(*open_store(folder.path() / "other", small), 200); }
    fs::remove_all(derived);
    fs::rename(folder.path() / "other" / "derived", derived);
  }
  auto options = small;
  options.warn = [&](const std::string& sentence) { warnings.push_back(sentence); };
  {
    const auto opened = open_store(store, options);
    check_turns(*opened, 300);
    CHECK(append(*opened, {"product", "1"}, 100, {"event 301"}).stored);
  }
  CHECK(warnings.size() == (is_warning_expected ? 1 : 0));
  for (const auto& warning : warnings) CHECK_MESSAGE(mentions(warning, "made again from the log"), warning);
  CHECK(verify_store(store).indexed == 301);
}

// --- snapshots ---

TEST_CASE("pruning again and again keeps the newest snapshots, and sees one that was saved below those deleted before") {
  const temporary_folder folder;
  const auto journal = open_store(folder.path(), {});
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

TEST_CASE("snapshots outlive the closing of their store, and end with its index when that is made again") {
  const temporary_folder folder;
  const stream_id product("product", "1");
  {
    const auto journal = open_store(folder.path(), small);
    append(*journal, product, 0, {"one"});
    journal->snapshots().save(product, version{1}, "state");
  }
  CHECK(open_store(folder.path(), small)->snapshots().latest(product, version::max()).value().bytes == "state");
  rebuild_store(folder.path());
  CHECK_FALSE(open_store(folder.path(), small)->snapshots().latest(product, version::max()));
  CHECK(verify_store(folder.path()).indexed == 1);
}

}  // namespace
}  // namespace cairn::tests
