// The chain: whatever is changed in the history after it was written shows, even where every checksum is made anew.
#include "../persistence/store_on_disk.hpp"

#include "../../persistence/log_chunk.hpp"
#include "../../persistence/progress_report.hpp"
#include "../../persistence/store_environment.hpp"

namespace cairn::tests {
namespace {

/// One chunk as a forger sees it.
struct open_chunk {
  detail::digest previous;
  std::vector<std::string> bodies;
};

/// Reads the log through RocksDB, lets `edit` have its way, and writes it again with every position, count and checksum made
/// anew. The chain's hashes stay as they were unless `rechain`: then they are made anew as well, from the store's id on.
template <class Edit>
void forge(const fs::path& folder, Edit edit, bool rechain = false) {
  raw_database raw(folder);
  std::vector<open_chunk> chunks;
  for (const auto& [key, value] : raw.all("log")) {
    detail::chunk_reader reader(key, value);
    open_chunk chunk;
    std::copy(reader.previous().begin(), reader.previous().end(), chunk.previous.begin());
    while (!reader.done()) chunk.bodies.emplace_back(reader.next());
    chunks.push_back(chunk);
    raw.remove("log", key);
  }
  edit(chunks);
  std::string store_id;
  for (const auto& [key, value] : raw.all("meta")) {
    if (key == "store id") store_id = value;
  }
  detail::sha256 sha256;
  auto hash = sha256(store_id);
  detail::chunk_writer writer;
  position first{1};
  for (const auto& chunk : chunks) {
    writer.begin(first, rechain ? hash : chunk.previous);
    for (const auto& body : chunk.bodies) writer.add(body);
    const auto key_bytes = detail::log_key(first);
    const std::string key(key_bytes.begin(), key_bytes.end());
    const std::string value(writer.finish());
    raw.put("log", key, value);
    hash = sha256(key, value);
    first = writer.next();
  }
}

/// What opening and verifying say of a store, if anything.
std::string verdict(const fs::path& folder, std::optional<chain_head> noted = {}) {
  const auto [kind, detail] = failure_of([&] { rocksdb_journal(folder, small)->verify({.noted = noted, .progress = {}}); });
  if (!kind) return "";
  CHECK(kind == errc::corrupt_record);
  return detail;
}

/// Twelve chunks of five records each: five events of one of four products a call.
chain_head append_in_chunks(const fs::path& folder) {
  const auto journal = rocksdb_journal(folder, small);
  for (std::uint64_t n = 0; n < 12; ++n) {
    append(*journal, {"product", std::to_string(n % 4)}, n / 4 * 5, numbers_as_text(n / 4 * 5, 5));
  }
  return journal->head();
}

/// The same event with another payload of the same length.
std::string with_other_payload(const std::string& body) {
  auto other = body;
  other.back() = other.back() == '7' ? '8' : '7';
  return other;
}

}  // namespace

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

TEST_CASE("a whole store is verified, closed and open, with and without a noted head") {
  const temporary_folder folder;
  const auto noted = append_in_chunks(folder.path());
  const auto journal = rocksdb_journal(folder.path(), with_index_of(10));
  const auto fresh = journal->verify();
  CHECK(fresh.records == 60);
  CHECK(fresh.chunks == 12);
  CHECK(fresh.indexed == 60);
  CHECK(fresh.head == noted);
  CHECK(journal->head() == noted);
  append(*journal, {"product", "0"}, 15, numbers_as_text(15, 40));
  append(*journal, {"order", "0"}, 0, {"another"});
  const auto grown = journal->verify({.noted = noted, .progress = {}});
  CHECK(grown.records == 101);
  CHECK(grown.head.through == position{101});
  CHECK(grown.head == journal->head());
  CHECK(journal->verify({.noted = grown.head, .progress = {}}).head == grown.head);
}

TEST_CASE("a store without records has a head too, of its own") {
  const temporary_folder folder;
  const auto one = rocksdb_journal(folder.path() / "one", small);
  const auto other = rocksdb_journal(folder.path() / "other", small);
  CHECK(one->head().through == position{0});
  CHECK(one->verify({.noted = one->head(), .progress = {}}).records == 0);
  CHECK_THROWS_AS(one->verify({.noted = other->head(), .progress = {}}), error);
}

TEST_CASE("a head is one line that can be read back, and nothing else is taken for one") {
  chain_head head{position{4711}, {}};
  for (std::size_t i = 0; i < head.hash.size(); ++i) head.hash[i] = static_cast<std::uint8_t>(8 * i + 7);
  const auto line = to_string(head);
  CHECK(line.starts_with("4711:070f17"));
  CHECK(parse_chain_head(line) == head);
  const std::vector<std::string> others{"",
                                        "4711",
                                        ":" + line.substr(5),
                                        line.substr(1, 3),
                                        line + "0",
                                        line.substr(0, line.size() - 1),
                                        "-" + line,
                                        "99999999999999999999" + line.substr(4),
                                        line.substr(0, line.size() - 1) + "F"};
  for (const auto& other : others) {
    CAPTURE(other);
    const auto [kind, detail] = failure_of([&] { parse_chain_head(other); });
    CHECK(kind == errc::invalid_argument);
  }
}

TEST_CASE("a history that was rewritten with every checksum made anew breaks the chain right behind the change") {
  const temporary_folder folder;
  const auto noted = append_in_chunks(folder.path());
  std::string breaks_at;
  SUBCASE("a record altered") {
    forge(folder.path(), [](auto& chunks) { chunks[4].bodies[2] = with_other_payload(chunks[4].bodies[2]); });
    breaks_at = "position 26: the records at positions 21 to 25 ";
  }
  SUBCASE("the first record altered") {
    forge(folder.path(), [](auto& chunks) { chunks[0].bodies[0] = with_other_payload(chunks[0].bodies[0]); });
    breaks_at = "position 6: the records at positions 1 to 5 ";
  }
  SUBCASE("two records of a chunk reordered") {
    forge(folder.path(), [](auto& chunks) { std::swap(chunks[7].bodies[0], chunks[7].bodies[1]); });
    breaks_at = "position 41: the records at positions 36 to 40 ";
  }
  SUBCASE("two chunks reordered") {
    forge(folder.path(), [](auto& chunks) { std::swap(chunks[3].bodies, chunks[4].bodies); });
    breaks_at = "position 21: the records at positions 16 to 20 ";
  }
  // From here on positions move, so the index would not fit; whoever forges the log can throw that away.
  SUBCASE("a record removed") {
    forge(folder.path(), [](auto& chunks) { chunks[8].bodies.pop_back(); });
    raw_database(folder.path()).drop("index");
    breaks_at = "position 45: the records at positions 41 to 44 ";
  }
  SUBCASE("a chunk removed") {
    forge(folder.path(), [](auto& chunks) { chunks.erase(chunks.begin() + 5); });
    raw_database(folder.path()).drop("index");
    breaks_at = "position 26: the records at positions 21 to 25 ";
  }
  SUBCASE("the first chunk removed") {
    forge(folder.path(), [](auto& chunks) { chunks.erase(chunks.begin()); });
    raw_database(folder.path()).drop("index");
    breaks_at = "position 1: the store's id ";
  }
  SUBCASE("a record inserted") {
    forge(folder.path(), [](auto& chunks) {
      const draft another({"product", "new"}, 0, {"forged"});
      chunks[8].bodies.insert(chunks[8].bodies.begin() + 1, another.frames.substr(4));
    });
    raw_database(folder.path()).drop("index");
    breaks_at = "position 47: the records at positions 41 to 46 ";
  }
  SUBCASE("a chunk inserted") {
    forge(folder.path(), [](auto& chunks) {
      const draft another({"product", "new"}, 0, {"forged"});
      chunks.insert(chunks.begin() + 6, {chunks[6].previous, {another.frames.substr(4)}});
    });
    raw_database(folder.path()).drop("index");
    breaks_at = "position 32: the records at positions 31 to 31 ";
  }
  const auto said = verdict(folder.path());
  CAPTURE(said);
  CHECK(mentions(said, folder.path().string()));
  CHECK(mentions(said, "the chain breaks at " + breaks_at));
  CHECK(mentions(said, "backup"));
  CHECK(mentions(verdict(folder.path(), noted), breaks_at));
}

TEST_CASE("a history that was rewritten with the chain made anew is whole in itself, and only a noted head tells") {
  const temporary_folder folder;
  const auto noted = append_in_chunks(folder.path());
  std::string says = "does not go through the noted head: what it says of the records up to position 60 ";
  SUBCASE("a record altered") {
    forge(
        folder.path(), [](auto& chunks) { chunks[4].bodies[2] = with_other_payload(chunks[4].bodies[2]); }, true);
  }
  SUBCASE("the last record altered") {
    forge(
        folder.path(), [](auto& chunks) { chunks[11].bodies[4] = with_other_payload(chunks[11].bodies[4]); }, true);
  }
  SUBCASE("records moved from one chunk to the next") {
    forge(
        folder.path(),
        [](auto& chunks) {
          chunks[9].bodies.push_back(chunks[10].bodies.front());
          chunks[10].bodies.erase(chunks[10].bodies.begin());
        },
        true);
    raw_database(folder.path()).drop("index");
  }
  SUBCASE("the newest records removed") {
    forge(
        folder.path(), [](auto& chunks) { chunks.pop_back(); }, true);
    raw_database(folder.path()).drop("index");
    says = "ends at position 55, and the noted head goes to position 60: records that were stored are missing";
  }
  SUBCASE("the newest records replaced by more") {
    forge(
        folder.path(),
        [](auto& chunks) {
          chunks.pop_back();
          const draft others({"product", "new"}, 0, numbers_as_text(0, 9));
          auto frames = std::string_view(others.frames);
          chunks.push_back({});
          for (std::string_view body; next_frame(frames, body);) chunks.back().bodies.emplace_back(body);
        },
        true);
    raw_database(folder.path()).drop("index");
  }
  CHECK(verdict(folder.path()).empty());
  CHECK(mentions(verdict(folder.path(), noted), says));
}

TEST_CASE("opening and verifying tell how they come on, and end where their listener wants them to") {
  const temporary_folder folder;
  constexpr std::uint64_t records = 10'000;
  {
    const auto journal = rocksdb_journal(folder.path(), small);
    for (std::uint64_t n = 0; n < records; n += 500) append(*journal, {"product", "1"}, n, numbers_as_text(n, 500));
  }
  strip_rocksdb_journal(folder.path());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
  const progress_function tell = [&](std::uint64_t done, std::uint64_t of) { told.emplace_back(done, of); };
  const progress_function refuse = [](std::uint64_t, std::uint64_t) { throw std::runtime_error("enough"); };
  // A clock that is two seconds further each time that it is looked at.
  std::chrono::steady_clock::time_point now;
  const detail::store_environment slow{.clock = [&] { return now += std::chrono::seconds(2); }};
  const auto comes_to_its_end = [&] {
    CHECK(told.size() > 2);
    CHECK(std::is_sorted(told.begin(), told.end()));
    for (const auto& [done, of] : told) CHECK(of == records);
    CHECK(told.back().first == records);
    told.clear();
  };
  auto options = small;
  options.opening = refuse;
  CHECK_THROWS_AS(detail::open_rocksdb_store(folder.path(), options, slow), std::runtime_error);
  options.opening = tell;
  const auto store = detail::open_rocksdb_store(folder.path(), options, slow);
  comes_to_its_end();
  CHECK_THROWS_AS(store->verify({.progress = refuse}), std::runtime_error);
  store->verify({.progress = tell});
  comes_to_its_end();
}

TEST_CASE("a report of progress is made seldom, and in the end") {
  // The clock of the report is the test's own, so nothing waits.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
  const progress_function tell = [&](std::uint64_t done, std::uint64_t of) { told.emplace_back(done, of); };
  std::chrono::steady_clock::time_point now;
  detail::progress_report report(tell, 100'000, [&] { return now; });
  for (int i = 0; i < 10; ++i) report.add(5'000);
  CHECK(told.empty());
  now += std::chrono::milliseconds(999);
  report.add(5'000);
  CHECK(told.empty());
  now += std::chrono::milliseconds(1);
  report.add(5'000);
  report.add(5'000);
  CHECK(told == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{60'000, 100'000}});
  now += std::chrono::milliseconds(200);
  report.add(35'000);
  report.end();
  CHECK(told.size() == 3);
  CHECK(told.back() == std::pair<std::uint64_t, std::uint64_t>{100'000, 100'000});
  const progress_function refuse = [](std::uint64_t, std::uint64_t) { throw std::runtime_error("enough"); };
  detail::progress_report ended(refuse, 100'000, [&] { return now += std::chrono::seconds(2); });
  CHECK_THROWS_AS(ended.add(5'000), std::runtime_error);
}

}  // namespace cairn::tests
