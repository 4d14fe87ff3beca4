// The write-ahead log: a torn tail is dropped, damage is an error, and the two are never taken for each other.
#include "../persistence/store_on_disk.hpp"

#include "../settings.hpp"

#include "../../persistence/wal_check.hpp"

namespace cairn::tests {

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
  std::size_t shorter = 0;
  std::map<std::size_t, std::uint64_t> intact_by_offset;
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
      if (last < position{events_before_the_crash}) ++shorter;
      continue;
    }
    ++refused;
    CHECK(kind == errc::corrupt_record);
    CHECK(mentions(detail, "damaged at byte "));
    CHECK(mentions(detail, "restore a backup"));
    // What comes before the damage is told, and grows with where the damage is.
    const std::string says = "The records up to position ";
    if (at < 600) continue;  // before the first record there is no store yet
    REQUIRE(mentions(detail, says));
    const auto intact = std::stoull(detail.substr(detail.find(says) + says.size()));
    CHECK(intact < events_before_the_crash);
    for (const auto& [offset, before] : intact_by_offset) CHECK((offset < at ? before <= intact : before >= intact));
    intact_by_offset[at] = intact;
  }
  CHECK(refused > offsets.size() * 9 / 10);
  CHECK(shorter == 0);
  show("corruption: " + std::to_string(offsets.size()) + " bits flipped in a write-ahead log, refused " +
       std::to_string(refused) + ", without any effect " + std::to_string(offsets.size() - refused - shorter) +
       ", opened with less " + std::to_string(shorter));
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
  show("corruption: " + std::to_string(found) + " bits flipped that make a record look like a torn tail, each found");
}

TEST_CASE("(child) appends without an index and dies" * doctest::skip()) {
  const auto journal = rocksdb_journal(folder_of_this_process(), small);
  append_in_turns(*journal, events_before_the_crash);
  _exit(0);
}

}  // namespace cairn::tests
