// The index can always be made again from the log. If it is lost, outdated, damaged or of another store,
// reads are right, or an error says that it is wrong.
#include "../other_process.hpp"
#include "raw_database.hpp"

#include <unistd.h>

namespace cairn::tests {
namespace {

constexpr std::uint64_t events_before_the_crash = 500;
constexpr std::uint64_t events_of_a_lot = 3'000;

store_options with_index_of(std::uint64_t events) {
  auto options = small_options(durability::buffered);
  options.index_events_in_memory_max = events;
  return options;
}

/// Three aggregates take turns, one event a call: the n-th record is version (n - 1) / 3 + 1 of product n
/// % 3.
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

[[noreturn]] void append_and_die(std::uint64_t events, std::uint64_t index_events) {
  const auto opened = open_store(folder_of_this_process(), with_index_of(index_events));
  append_in_turns(*opened, events);
  _exit(0);
}

/// Opens a store, and takes what it warns of.
struct warned_store {
  explicit warned_store(const fs::path& folder, store_options options = with_index_of(1'000'000)) {
    options.warn = [this](const std::string& sentence) { warnings.push_back(sentence); };
    opened = open_store(folder, options);
  }

  std::vector<std::string> warnings;
  std::unique_ptr<store> opened;
};

}  // namespace

TEST_CASE("after a crash, opening reads the log from the end of the index on") {
  const temporary_folder folder;
  REQUIRE(run_in_another_process("(child) appends and dies", folder.path()) == 0);
  const auto mark = raw_database(folder.path()).mark();
  CHECK(mark.through.value >= 100);
  CHECK(mark.through.value < events_before_the_crash);
  const auto opened = open_store(folder.path(), with_index_of(100));
  CHECK(opened->records_replayed() == events_before_the_crash - mark.through.value);
  check_turns(*opened, events_before_the_crash);
  CHECK(append(*opened, {"product", "0"}, events_before_the_crash / 3, {"after"}).stored);
}

TEST_CASE("opening after a crash reads no more of the log than four times what the index holds in memory") {
  for (const std::uint64_t events : {50, 100, 1'000'000}) {
    CAPTURE(events);
    const temporary_folder folder;
    REQUIRE(run_in_another_process(events == 1'000'000 ? "(child) appends a lot with a large index and dies"
                                   : events == 100     ? "(child) appends a lot with an index of 100 and dies"
                                                       : "(child) appends a lot with an index of 50 and dies",
                                   folder.path()) == 0);
    const auto opened = open_store(folder.path(), with_index_of(events));
    CHECK(opened->last() == position{events_of_a_lot});
    CHECK(opened->records_replayed() <= 4 * events);
    CHECK(opened->records_replayed() > 0);
  }
  const temporary_folder folder;
  append_in_turns(*open_store(folder.path(), with_index_of(100)), 30);
  CHECK(open_store(folder.path(), with_index_of(100))->records_replayed() == 0);
}

TEST_CASE("an index that was deleted or is outdated is made again from the log") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  append_in_turns(*open_store(store, with_index_of(40)), 100);
  fs::copy(store / "derived", folder.path() / "older", fs::copy_options::recursive);
  {
    const auto opened = open_store(store, with_index_of(40));
    for (std::uint64_t n = 101; n <= 300; ++n) {
      append(*opened, {"product", std::to_string(n % 3)}, (n - 1) / 3, {"event " + std::to_string(n)});
    }
  }
  std::uint64_t replayed = 300;
  bool is_missing = false;
  SUBCASE("the folder") {
    fs::remove_all(store / "derived");
    is_missing = true;
  }
  SUBCASE("by rebuild_store()") {
    rebuild_store(store);
    is_missing = true;
  }
  SUBCASE("its records") { raw_database(store).drop("index"); }
  SUBCASE("the folder is an older copy") {
    fs::remove_all(store / "derived");
    fs::copy(folder.path() / "older", store / "derived", fs::copy_options::recursive);
    replayed = 200;
  }
  for (const auto expected : {replayed, std::uint64_t{0}}) {
    const warned_store again(store, with_index_of(40));
    CHECK(again.opened->records_replayed() == expected);
    // Outdated is the index after each crash, so there is nothing to warn of.
    REQUIRE(again.warnings.size() == (is_missing ? 1 : 0));
    if (is_missing) CHECK(mentions(again.warnings.front(), "index and snapshots are missing"));
    is_missing = false;
    check_turns(*again.opened, 300);
  }
  CHECK(verify_store(store).indexed == 300);
}

TEST_CASE("an index that cannot be used is made again from the log, with a warning that says why") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  append_in_turns(*open_store(store, with_index_of(40)), 300);
  std::string why;
  SUBCASE("RocksDB cannot open it") {
    overwrite(store / "derived/CURRENT", "nonsense");
    why = "index and snapshots cannot be used, and are made again from the log: ";
  }
  SUBCASE("one of its files is missing") {
    for (const auto& entry : fs::directory_iterator(store / "derived")) {
      if (entry.path().extension() == ".sst") fs::remove(entry.path());
    }
    why = "index and snapshots cannot be used, and are made again from the log: ";
  }
  SUBCASE("it is of another store") {
    const auto other = folder.path() / "other";
    append_in_turns(*open_store(other, with_index_of(40)), 300);
    fs::remove_all(store / "derived");
    fs::copy(other / "derived", store / "derived", fs::copy_options::recursive);
    why = "they are of the store ";
  }
  SUBCASE("its mark is damaged") {
    raw_database(store).put("index", std::string(detail::mark_key), "nonsense");
    why = "it does not say how far it goes";
  }
  SUBCASE("a reader found damage") {
    raw_database(store).put("index", detail::newest_key({"product", "1"}), "");
    {
      const auto opened = open_store(store, with_index_of(40));
      CHECK(failure_of([&] { opened->highest({"product", "1"}); }).first == errc::corrupt_store);
    }
    why = "a reader found damage in them";
  }
  SUBCASE("its mark is of no commit") {
    raw_database raw(store);
    auto mark = raw.mark();
    mark.commit += detail::commit_alignment;
    raw.put_mark(mark);
    why = "the index does not fit the log, and is made again";
  }
  {
    const warned_store again(store);
    REQUIRE(again.warnings.size() == 1);
    CAPTURE(again.warnings.front());
    CHECK(mentions(again.warnings.front(), why));
    CHECK(mentions(again.warnings.front(), store.string()));
    CHECK(again.opened->records_replayed() == 300);
    check_turns(*again.opened, 300);
  }
  const warned_store at_last(store);
  CHECK(at_last.warnings.empty());
  CHECK(at_last.opened->records_replayed() == 0);
}

TEST_CASE("the index of a copy that went its own way is made again, also if only the last commit differs") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  const auto copy = folder.path() / "copy";
  append_in_turns(*open_store(store, with_index_of(40)), 6);
  fs::copy(store, copy, fs::copy_options::recursive);
  append(*open_store(store, with_index_of(40)), {"product", "1"}, 2, {"ours"});
  append(*open_store(copy, with_index_of(40)), {"product", "2"}, 2, {"else"});
  fs::remove_all(store / "derived");
  fs::copy(copy / "derived", store / "derived", fs::copy_options::recursive);
  CHECK(failure_of([&] { verify_store(store); }).first == errc::corrupt_store);
  const warned_store again(store);
  CHECK(again.warnings.size() == 1);
  CHECK(again.opened->highest({"product", "1"}) == version{3});
  CHECK(again.opened->highest({"product", "2"}) == version{2});
  CHECK(read(*again.opened, {"product", "1"}).back().payload == "ours");
}

TEST_CASE("an index that goes beyond the log is an error that names both ends") {
  const temporary_folder folder;
  append_in_turns(*open_store(folder.path(), with_index_of(40)), 30);
  const auto lost = commits_in(folder.path()).at(28);
  fs::resize_file(folder.path() / lost.file, lost.offset);
  fs::remove(folder.path() / "high-water");
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto [kind, detail] = failure_of([&] { open_store(folder.path(), with_index_of(40)); });
    CHECK(kind == errc::corrupt_store);
    CHECK(mentions(detail, "the index goes to position 30, and the log only to position 28"));
  }
  const auto [kind, detail] = failure_of([&] { verify_store(folder.path()); });
  CHECK(kind == errc::corrupt_record);
  CHECK(mentions(detail, "the index goes to position 30, and the log only to position 28"));
}

TEST_CASE("an index that says what the log does not is an error of the reader and of verify_store()") {
  const temporary_folder folder;
  append_in_turns(*open_store(folder.path(), with_index_of(1000)), 30);
  const stream_id product("product", "1");
  auto key = detail::stream_prefix(product);
  detail::set_version(key, key.size(), version{1});
  std::vector<detail::place> places;
  REQUIRE(detail::decode_run(raw_database(folder.path()).get("index", key), 0, 9, places));
  REQUIRE(places.size() == 10);
  const auto put = [&] {
    std::string value;
    detail::encode_run(value, places);
    raw_database(folder.path()).put("index", key, value);
  };
  const auto says = [&](const std::string& of_reading, const std::string& of_verifying) {
    const auto [verified, verify_says] = failure_of([&] { verify_store(folder.path()); });
    CHECK(verified == errc::corrupt_store);
    CAPTURE(verify_says);
    CHECK(mentions(verify_says, of_verifying));
    const auto opened = open_store(folder.path(), with_index_of(1000));
    const auto [kind, read_says] = failure_of([&] { read(*opened, product); });
    CHECK((kind == errc::corrupt_record || kind == errc::corrupt_store));
    CAPTURE(read_says);
    CHECK(mentions(read_says, of_reading));
    CHECK(mentions(read_says, "product/1"));
  };
  const std::string not_the_same = "and not the same as the 30 of the log";
  SUBCASE("another aggregate's record") {
    places[4].chunk = places[3].chunk + (places[4].chunk - places[3].chunk) / 3;
    put();
    says("version 5 of product/1", not_the_same);
  }
  SUBCASE("another version's record") {
    places[4] = places[3];
    put();
    says("the log has version 4 of product/1 where the index says that this is", not_the_same);
  }
  SUBCASE("a record that is not there") {
    places[9] = {1 << 20, 0};
    put();
    says("there is no chunk", not_the_same);
  }
  SUBCASE("a slot that is not there") {
    places[9].slot = 7;
    put();
    says("has no record at position", not_the_same);
  }
  SUBCASE("one record too few") {
    places.pop_back();
    put();
    says("version 10 of product/1 is not in the index",
         "the newest version of product/1 is 10, and knows its records up to version 9");
  }
  SUBCASE("a newest version that is too high") {
    raw_database(folder.path()).put("index", detail::newest_key(product), detail::encode_newest(version{11}));
    says("version 11 of product/1 is not in the index",
         "the newest version of product/1 is 11, and knows its records up to version 10");
  }
  SUBCASE("a newest version that is no number") {
    raw_database(folder.path()).put("index", detail::newest_key(product), "");
    says("the version of product/1 is not a number", "the version of product/1 is not a number");
  }
  SUBCASE("one aggregate too few") {
    raw_database raw(folder.path());
    raw.remove("index", key);
    raw.remove("index", detail::newest_key(product));
  }
  CHECK(failure_of([&] { verify_store(folder.path()); }).first == errc::corrupt_store);
  rebuild_store(folder.path());
  check_turns(*open_store(folder.path(), with_index_of(1000)), 30);
  CHECK(verify_store(folder.path()).indexed == 30);
}

TEST_CASE("an index file that was being written when the process died is removed") {
  const temporary_folder folder;
  REQUIRE(run_in_another_process("(child) appends and dies", folder.path()) == 0);
  overwrite(folder.path() / "derived/index-being-written", "half of one");
  const auto opened = open_store(folder.path(), with_index_of(1'000'000));
  CHECK_FALSE(fs::exists(folder.path() / "derived/index-being-written"));
  check_turns(*opened, events_before_the_crash);
}

TEST_CASE("rebuild_store() needs a store, and that no program has it open") {
  const temporary_folder folder;
  CHECK(failure_of([&] { rebuild_store(folder.path() / "nothing"); }).first == errc::invalid_argument);
  const auto opened = open_store(folder.path() / "store", with_index_of(100));
  CHECK(failure_of([&] { rebuild_store(folder.path() / "store"); }).first == errc::store_in_use);
}

TEST_CASE("(child) appends and dies" * doctest::skip()) { append_and_die(events_before_the_crash, 100); }
TEST_CASE("(child) appends a lot with an index of 50 and dies" * doctest::skip()) { append_and_die(events_of_a_lot, 50); }
TEST_CASE("(child) appends a lot with an index of 100 and dies" * doctest::skip()) { append_and_die(events_of_a_lot, 100); }
TEST_CASE("(child) appends a lot with a large index and dies" * doctest::skip()) { append_and_die(events_of_a_lot, 1'000'000); }

}  // namespace cairn::tests
