// The write-ahead log: a torn tail is dropped, damage is an error, and the two are never taken for each other.
#include "../persistence/store_on_disk.hpp"

#include "../settings.hpp"

#include "../../persistence/store_environment.hpp"
#include "../../persistence/wal_check.hpp"

#include <algorithm>
#include <fstream>
#include <random>

namespace cairn::tests {
namespace {

constexpr std::size_t sector_bytes = 512;
constexpr std::size_t buffer_bytes = std::size_t{256} << 10;
constexpr std::size_t prepared_bytes = buffer_bytes + buffer_bytes / 8;

struct batch {
  std::size_t begin;
  std::size_t end;
};

/// The batches of a sound log, up to the zeros behind them.
std::vector<batch> batches_in(std::string_view log) {
  std::vector<batch> found;
  bool within = false;
  for (std::size_t at = 0; at + 7 <= log.size();) {
    const auto left = 32768 - at % 32768;
    if (left < 7) {
      at += left;
      continue;
    }
    const auto type = static_cast<unsigned char>(log[at + 6]);
    if (type == 0) break;
    const auto end = at + 7 + static_cast<unsigned char>(log[at + 4]) + 256u * static_cast<unsigned char>(log[at + 5]);
    if (!within) found.push_back({at, end});
    found.back().end = end;
    within = type == 2 || type == 3;
    at = end;
  }
  return found;
}

/// A store that was killed, in whose newest log, which had its space before it was written, are appends of all sizes, each
/// synced, and snapshots between some of them, which are not.
class killed_store {
public:
  killed_store() : folder_(temporary_.path() / "killed"), copy_(temporary_.path() / "copy") {
    REQUIRE(run_in_another_process("(child) appends to a prepared log and dies", folder_) == 0);
    log_ = write_ahead_log(folder_).filename();
    whole_ = contents(folder_ / log_);
    REQUIRE(whole_.size() == prepared_bytes);
    batches_ = batches_in(whole_);
    REQUIRE(batches_.size() > 20);
  }

  const std::string& log() const { return whole_; }
  const std::vector<batch>& batches() const { return batches_; }

  /// The log as it was when only the batches before `number` had been written.
  std::string before(std::size_t number) const {
    auto log = whole_;
    const auto begin = number < batches_.size() ? batches_[number].begin : batches_.back().end;
    std::fill(log.begin() + static_cast<std::ptrdiff_t>(begin), log.end(), '\0');
    return log;
  }

  /// A copy of the store with another log.
  const fs::path& with(const std::string& log) const {
    copy_store(folder_, copy_);
    overwrite(copy_ / log_, log);
    return copy_;
  }

  std::uint64_t last(const std::string& log) const { return rocksdb_journal(with(log), small)->last().value; }

private:
  const temporary_folder temporary_;
  const fs::path folder_;
  const fs::path copy_;
  fs::path log_;
  std::string whole_;
  std::vector<batch> batches_;
};

/// Takes some sectors of what is between the two away, as a power cut does before they are synced.
void lose_sectors(std::string& log, std::size_t from, std::size_t to, std::mt19937_64& random) {
  const auto keeps = random() % 8;  // of eight
  while (from < to) {
    const auto end = std::min(to, (from / sector_bytes + 1) * sector_bytes);
    if (random() % 8 >= keeps) std::fill_n(log.begin() + static_cast<std::ptrdiff_t>(from), end - from, '\0');
    from = end;
  }
}

/// Their names: logs that another has followed, and that had their space before they were written.
std::vector<fs::path> closed_logs_with_zeros(const fs::path& folder) {
  std::vector<fs::path> logs;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() == ".log") logs.push_back(file.path().filename());
  }
  std::sort(logs.begin(), logs.end());
  if (!logs.empty()) logs.pop_back();
  std::erase_if(logs, [&](const fs::path& log) {
    std::error_code gone;
    return fs::file_size(folder / log, gone) != prepared_bytes || contents(folder / log).back() != '\0';
  });
  return logs;
}

}  // namespace

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
  REQUIRE_FALSE(detail::check_write_ahead_logs(crashed).damage);
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
      const auto damage = detail::check_write_ahead_logs(crashed).damage;
      REQUIRE(damage);
      CHECK(mentions(*damage, "at byte " + std::to_string(at)));
      ++found;
    }
    at += 7 + length;
  }
  CHECK(found > 1000);
  show("corruption: " + std::to_string(found) + " bits flipped that make a record look like a torn tail, each found");
}

TEST_CASE("a log that had its space before it was written opens after a kill with everything that was appended") {
  const killed_store store;
  const auto log = store.log();
  CHECK(log.substr(store.batches().back().end).find_first_not_of('\0') == std::string::npos);
  const auto all = store.last(log);
  CHECK(all > store.last(store.before(store.batches().size() - 1)));
}

TEST_CASE("of a log that had its space before it was written a power cut may take any sectors that were not synced") {
  const killed_store store;
  std::mt19937_64 random(1);
  std::size_t taken = 0;
  std::size_t shorter = 0;
  for (auto number = store.batches().size() - 20; number < store.batches().size(); ++number) {
    const auto before = store.last(store.before(number));
    const auto whole = store.before(number + 1);
    const auto with = store.last(whole);
    for (int time = 0; time < 8; ++time) {
      auto torn = whole;
      lose_sectors(torn, store.batches()[number].begin, store.batches()[number].end, random);
      INFO("batch ", number, ", time ", time);
      const auto found = store.last(torn);
      CHECK((found == before || (found == with && torn == whole)));
      taken += torn != whole;
      shorter += found < with;
    }
  }
  CHECK(taken > 100);
  CHECK(shorter > 50);  // or else only snapshots were lost
  show("corruption: " + std::to_string(taken) + " times some sectors of a log's last write lost, each time without that write");
}

TEST_CASE("a snapshot that was not synced may be lost before an append that was written behind it, and is not damage") {
  const killed_store store;
  std::size_t tried = 0;
  for (auto number = store.batches().size() - 20; number + 1 < store.batches().size(); ++number) {
    const auto before = store.last(store.before(number));
    if (store.last(store.before(number + 1)) != before) continue;  // it appends
    // The sectors that it shares with what is before and behind it are written again with that.
    auto torn = store.before(number + 2);
    const auto from = (store.batches()[number].begin + sector_bytes - 1) / sector_bytes * sector_bytes;
    const auto to = store.batches()[number].end / sector_bytes * sector_bytes;
    if (from >= to) continue;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(from), torn.begin() + static_cast<std::ptrdiff_t>(to), '\0');
    CHECK(store.last(torn) == before);
    ++tried;
  }
  CHECK(tried > 2);
}

TEST_CASE("a sector that is lost of what was synced is damage, also in a log that had its space before it was written") {
  const killed_store store;
  std::size_t refused = 0;
  for (std::size_t number = 0; number + 2 < store.batches().size(); number += 1 + number / 40) {
    const auto lost = store.batches()[number].begin / sector_bytes * sector_bytes;
    // What follows was appended when this had been synced, a snapshot aside.
    auto damaged = store.log();
    std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(lost), sector_bytes, '\0');
    INFO("sector at ", lost);
    const auto [kind, detail] = failure_of_opening(store.with(damaged));
    CHECK(kind == errc::corrupt_record);
    CHECK(mentions(detail, "damaged at byte "));
    ++refused;
  }
  CHECK(refused > 10);
}

TEST_CASE("a bit flipped in a log that had its space before it was written is found, also in its last write") {
  const killed_store store;
  std::size_t found = 0;
  for (auto number = store.batches().size() - 20; number < store.batches().size(); ++number) {
    const auto whole = store.before(number + 1);
    const auto [begin, end] = store.batches()[number];
    const auto& folder = store.with(whole);
    const auto log = write_ahead_log(folder);
    for (std::size_t at = begin; at < end; at += at < begin + 40 ? 1 : 1 + (end - begin) / 100) {
      auto damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      overwrite(log, damaged);
      INFO("bit ", at % 8, " of byte ", at, " of batch ", number, " at ", begin);
      CHECK(detail::check_write_ahead_logs(folder).damage);
      ++found;
    }
  }
  show("corruption: " + std::to_string(found) + " bits flipped in the last write of a prepared log, each found");
}

TEST_CASE("of several logs with zeros behind what was written all is read, and a sector lost in an older one is damage") {
  const temporary_folder folder;
  const auto killed = folder.path() / "killed";
  const auto copy = folder.path() / "copy";
  REQUIRE(run_in_another_process("(child) appends to several prepared logs and dies", killed) == 0);
  const auto logs = closed_logs_with_zeros(killed);
  REQUIRE(logs.size() >= 2);
  copy_store(killed, copy);
  {
    const auto store = rocksdb_journal(copy, small);
    CHECK(store->highest({"product", "one"}) == version{store->last().value});
    CHECK(store->last().value == std::stoull(contents(killed / "appended")));
  }
  for (const auto& log : logs) {
    const auto whole = contents(killed / log);
    const auto batches = batches_in(whole);
    for (const auto number : {std::size_t{1}, batches.size() / 2, batches.size() - 1}) {
      auto damaged = whole;
      std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(batches[number].begin / sector_bytes * sector_bytes),
                  sector_bytes, '\0');
      copy_store(killed, copy);
      overwrite(copy / log, damaged);
      INFO(log, ", batch ", number, " of ", batches.size());
      CHECK(failure_of_opening(copy).first == errc::corrupt_record);
    }
  }
}

TEST_CASE("(child) appends to several prepared logs and dies" * doctest::skip()) {
  const auto folder = folder_of_this_process();
  const auto store = detail::open_rocksdb_store(folder, {.block_cache_mib = 8}, {.log_buffer_bytes = buffer_bytes});
  std::uint64_t version = 0;
  const auto add = [&] { append(*store, {"product", "one"}, version++, {std::string(2'000, 'x')}); };
  while (closed_logs_with_zeros(folder).size() < 2) {
    if (version > 100'000) std::abort();
    add();
  }
  for (int more = 0; more < 20; ++more) add();
  std::ofstream(folder / "appended") << version;
  _exit(0);
}

TEST_CASE("(child) appends to a prepared log and dies" * doctest::skip()) {
  const auto folder = folder_of_this_process();
  const auto store = detail::open_rocksdb_store(folder, {.block_cache_mib = 8}, {.log_buffer_bytes = buffer_bytes});
  std::uint64_t version = 0;
  const auto add = [&](std::size_t bytes) { append(*store, {"product", "one"}, version++, {std::string(bytes, 'x')}); };
  const auto prepared = [&] {
    const auto log = write_ahead_log(folder);
    return fs::file_size(log) == prepared_bytes && batches_in(contents(log)).size() > 4;
  };
  while (!prepared()) {
    if (version > 100'000) std::abort();
    add(2'000);
  }
  for (const std::size_t bytes : {10, 40'000, 300, 1, 5'000, 600, 70'000, 1'500, 20, 3'000, 9'000, 700, 30}) {
    add(bytes);
    if (bytes % 1'000 == 0) store->snapshots().save({"product", "one"}, cairn::version{version}, std::string(bytes / 2, 's'));
  }
  if (!prepared()) std::abort();
  _exit(0);
}

TEST_CASE("(child) appends without an index and dies" * doctest::skip()) {
  const auto journal = rocksdb_journal(folder_of_this_process(), small);
  append_in_turns(*journal, events_before_the_crash);
  _exit(0);
}

}  // namespace cairn::tests
