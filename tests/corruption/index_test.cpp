// The index is never the truth: lost, late, half written or lying, reads are right or an error says what does not fit.
#include "../persistence/store_on_disk.hpp"

#include <cairn/journal_export.hpp>

#include "../../persistence/index_run.hpp"

namespace cairn::tests {
namespace {

constexpr std::uint64_t events_of_a_lot = 3'000;

[[noreturn]] void append_a_lot_and_die(std::uint64_t index_events) {
  const auto journal = rocksdb_journal(folder_of_this_process(), with_index_of(index_events));
  append_in_turns(*journal, events_of_a_lot);
  _exit(0);
}

}  // namespace

TEST_CASE("what was appended before a crash is there after it, with an index made anew from where it ended") {
  const temporary_folder folder;
  REQUIRE(run_in_another_process("(child) appends and dies", folder.path()) == 0);
  {
    raw_database raw(folder.path());
    const auto marker = detail::decode_marker(raw.all("index").at(0).second);
    REQUIRE(marker);
    CHECK(marker->through.value >= 100);
    CHECK(marker->through.value < events_before_the_crash);
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

namespace {

// As it was written before aggregates had their newest version in a key of its own.
void make_index_of_older_form(const fs::path& folder, position through) {
  raw_database raw(folder);
  for (const auto& [key, value] : raw.all("index")) {
    const auto prefix = key.substr(0, key.size() - std::min(key.size(), detail::version_suffix_bytes));
    if (detail::stream_of(key) && detail::version_of(key, prefix) == detail::newest_key_version) raw.remove("index", key);
  }
  auto marker = detail::encode_marker(through);
  marker[0] = 1;
  raw.put("index", std::string(detail::marker_key), marker);
}

}  // namespace

TEST_CASE("an index of the form before this one is made anew from the log, once") {
  const temporary_folder folder;
  append_in_turns(*rocksdb_journal(folder.path(), with_index_of(40)), 300);
  make_index_of_older_form(folder.path(), position{300});
  for (const std::uint64_t replayed : {300, 0}) {
    const auto journal = rocksdb_journal(folder.path(), with_index_of(40));
    CHECK(journal->records_replayed() == replayed);
    check_turns(*journal, 300);
    journal->verify();
  }
}

TEST_CASE("an index that goes beyond the log is an error that names both ends") {
  const temporary_folder folder;
  {
    const auto journal = rocksdb_journal(folder.path(), small);
    append_in_turns(*journal, 30);
  }
  SUBCASE("of this form") {
    raw_database(folder.path()).put("index", std::string(detail::marker_key), detail::encode_marker(position{1234}));
  }
  SUBCASE("of the form before this one") { make_index_of_older_form(folder.path(), position{1234}); }
  std::ostringstream saved;
  CHECK(mentions(export_intact_records(folder.path(), saved).damage, "the index goes to position 1234"));
  const auto [kind, detail] = failure_of_opening(folder.path());
  CHECK(kind == errc::corrupt_store);
  CHECK(mentions(detail, "the index goes to position 1234, and the log only to position 30"));
}

TEST_CASE("an index that claims what the log does not hold is an error that names both") {
  const temporary_folder folder;
  {
    const auto journal = rocksdb_journal(folder.path(), small);
    append_in_turns(*journal, 30);
  }
  const stream_id product("product", "1");
  auto key = detail::stream_prefix(product);
  detail::set_version(key, key.size(), version{1});
  std::vector<detail::place> places;
  for (const auto& [stored, value] : raw_database(folder.path()).all("index")) {
    if (stored == key) REQUIRE(detail::decode_run(value, 0, 9, places));
  }
  REQUIRE(places.size() == 10);
  const auto put = [&] {
    std::string value;
    detail::encode_run(value, places);
    raw_database(folder.path()).put("index", key, value);
  };
  const auto says = [&](const std::string& of_reading, const std::string& of_verifying) {
    const auto journal = rocksdb_journal(folder.path(), small);
    const auto [kind, read_says] = failure_of([&] { read(*journal, product); });
    CHECK(kind == errc::corrupt_record);
    CAPTURE(read_says);
    CHECK(mentions(read_says, of_reading));
    const auto [verified, verify_says] = failure_of([&] { journal->verify(); });
    CHECK(verified == errc::corrupt_record);
    CAPTURE(verify_says);
    CHECK(mentions(verify_says, of_verifying));
  };
  SUBCASE("another aggregate's record") {
    places[4] = {places[4].chunk + 1, 0};
    put();
    says("version 5 of product/1, at position 14: the log has version 5 of product/2 there",
         "the index says that version 5 of product/1 is at position 14, and the log has version 5 of product/2 there");
  }
  SUBCASE("another version's record") {
    std::swap(places[3], places[4]);
    put();
    says("version 5 of product/1 is at position 10, before the version before it",
         "the index says that version 5 of product/1 is at position 10, before the version before it");
  }
  SUBCASE("a record that is not there") {
    places[9] = {1234, 0};
    put();
    says("version 10 of product/1, at position 1234", "is at position 1234, and the log has no chunk there");
  }
  SUBCASE("a slot that is not there") {
    places[9].slot = 7;
    put();
    says("version 10 of product/1", "and the log has no record there");
  }
  SUBCASE("one record too few") {
    places.pop_back();
    put();
    says("version 10 of product/1 is not in the index",
         "the index says that the newest version of product/1 is 10, and knows its records to version 9");
  }
  SUBCASE("a newest version that is none") {
    const auto newest = detail::newest_key(product);
    raw_database(folder.path()).put("index", newest, detail::encode_newest(version{11}));
    says("version 11 of product/1 is not in the index",
         "the index says that the newest version of product/1 is 11, and knows its records to version 10");
    raw_database(folder.path()).put("index", newest, "");
    says("the index has a damaged version of product/1", "the index has a damaged version of product/1");
  }
  SUBCASE("one aggregate too few") {
    const auto newest = detail::newest_key(product);
    raw_database(folder.path()).remove("index", key);
    raw_database(folder.path()).remove("index", newest);
    const auto journal = rocksdb_journal(folder.path(), small);
    const auto [kind, detail] = failure_of([&] { journal->verify(); });
    CHECK(kind == errc::corrupt_record);
    CHECK(mentions(detail, "goes to position 30 and has 20 records, where the log has 30"));
  }
  // The way out that the documentation names.
  strip_rocksdb_journal(folder.path());
  const auto journal = rocksdb_journal(folder.path(), small);
  check_turns(*journal, 30);
  journal->verify();
}

TEST_CASE("an index file that was being written when the process died is thrown away") {
  const temporary_folder folder;
  REQUIRE(run_in_another_process("(child) appends and dies", folder.path()) == 0);
  overwrite(folder.path() / "index-being-written", "half of one");
  const auto journal = rocksdb_journal(folder.path(), small);
  CHECK_FALSE(fs::exists(folder.path() / "index-being-written"));
  check_turns(*journal, events_before_the_crash);
  journal->verify();
}

TEST_CASE("opening after a crash reads no more of the log than four times what the index holds in memory") {
  for (const std::uint64_t events : {50, 100, 1'000'000}) {
    CAPTURE(events);
    const temporary_folder folder;
    REQUIRE(run_in_another_process(events == 1'000'000 ? "(child) appends a lot with a large index and dies"
                                   : events == 100     ? "(child) appends a lot with an index of 100 and dies"
                                                       : "(child) appends a lot with an index of 50 and dies",
                                   folder.path()) == 0);
    const auto journal = rocksdb_journal(folder.path(), with_index_of(events));
    CHECK(journal->last() == position{events_of_a_lot});
    CHECK(journal->records_replayed() <= 4 * events);
    CHECK(journal->records_replayed() > 0);
  }
  const temporary_folder folder;
  append_in_turns(*rocksdb_journal(folder.path(), small), 30);
  CHECK(rocksdb_journal(folder.path(), small)->records_replayed() == 0);
}

TEST_CASE("a store can be stripped to its log only where there is one, and by one process at a time") {
  const temporary_folder folder;
  CHECK(failure_of([&] { strip_rocksdb_journal(folder.path() / "nothing"); }).first == errc::invalid_argument);
  const auto journal = rocksdb_journal(folder.path() / "store", small);
  CHECK(failure_of([&] { strip_rocksdb_journal(folder.path() / "store"); }).first == errc::store_in_use);
}

TEST_CASE("a table of the index or of the snapshots that is gone, cut or damaged is left behind, and the log is all it takes") {
  const temporary_folder folder;
  const auto store = folder.path() / "store";
  {
    const auto journal = rocksdb_journal(store, with_index_of(50));
    append_in_turns(*journal, 120);
    journal->snapshots().save({"product", "1"}, version{10}, "a snapshot");
  }
  std::vector<fs::path> tables;
  for (const auto& entry : fs::directory_iterator(store)) {
    if (entry.path().extension() == ".sst") tables.push_back(entry.path().filename());
  }
  // Which of them hold records is seen by what is left when one is gone.
  std::size_t left_behind = 0;
  const auto copy = folder.path() / "copy";
  for (const auto& table : tables) {
    for (const std::string how : {"gone", "cut", "damaged"}) {
      CAPTURE(table);
      CAPTURE(how);
      copy_store(store, copy);
      auto bytes = contents(copy / table);
      if (how == "gone") fs::remove(copy / table);
      if (how == "cut") overwrite(copy / table, bytes.substr(0, bytes.size() - 40));
      if (how == "damaged") {
        for (std::size_t at = 0; at < bytes.size(); at += 16) bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
        overwrite(copy / table, bytes);
      }
      const auto [kind, detail] = failure_of([&] { strip_rocksdb_journal(copy); });
      if (kind) continue;  // meta data, or what the log cannot do without
      const auto [opening, says] = failure_of([&] { rocksdb_journal(copy, small)->verify(); });
      if (opening) {
        CHECK((opening == errc::corrupt_record || opening == errc::corrupt_store));
        continue;  // the log's own
      }
      ++left_behind;
      const auto journal = rocksdb_journal(copy, small);
      check_turns(*journal, 120);
      CHECK_FALSE(journal->snapshots().latest({"product", "1"}, version::max()));
    }
  }
  // At least a table of the snapshots and one of the index, each in its three ways.
  CHECK(left_behind >= 6);
}

TEST_CASE("(child) appends and dies" * doctest::skip()) {
  const auto journal = rocksdb_journal(folder_of_this_process(), with_index_of(100));
  append_in_turns(*journal, events_before_the_crash);
  _exit(0);
}

TEST_CASE("(child) appends a lot with an index of 50 and dies" * doctest::skip()) { append_a_lot_and_die(50); }
TEST_CASE("(child) appends a lot with an index of 100 and dies" * doctest::skip()) { append_a_lot_and_die(100); }
TEST_CASE("(child) appends a lot with a large index and dies" * doctest::skip()) { append_a_lot_and_die(1'000'000); }

}  // namespace cairn::tests
