// The chain: a history that was changed after it was written is found, even if every checksum was made again.
#include "store_image.hpp"

#include "../../persistence/log/chain.hpp"
#include "../../persistence/log/log_writer.hpp"
#include "../../persistence/log/progress_report.hpp"

#include <cstring>
#include <sstream>

namespace cairn::tests {
namespace {

/// A chunk, for those who forge it.
struct open_chunk {
  detail::digest previous;
  std::vector<std::string> bodies;
};

std::vector<open_chunk> chunks_of(const fs::path& folder) {
  const auto store = detail::store_folder::open_for_reading(detail::real_file_system(), folder);
  const auto segments = store.open_segments();
  const auto& id = store.identity().id;
  detail::chain chain({id.data(), id.size()});
  std::vector<open_chunk> chunks;
  detail::scan_request request;
  request.visit = [&](detail::chunk_reader& reader, std::uint64_t) {
    open_chunk chunk;
    std::copy(reader.previous().begin(), reader.previous().end(), chunk.previous.begin());
    while (!reader.done()) chunk.bodies.emplace_back(reader.next());
    chunks.push_back(chunk);
  };
  detail::scan_log(*segments, chain, request);
  return chunks;
}

/// Lets `edit` change the chunks of a log, and writes it again with every position, count and checksum made
/// again, a commit for each chunk. The hashes of the chain stay the same unless `rechain`: then they are made
/// again too, from the store's id on.
template <class Edit>
void forge(const fs::path& folder, Edit edit, bool rechain = false) {
  auto chunks = chunks_of(folder);
  edit(chunks);
  const auto identity = detail::store_folder::open_for_reading(detail::real_file_system(), folder).identity();
  fs::remove_all(folder);
  fs::create_directories(folder);
  auto store = detail::store_folder::make(detail::real_file_system(), folder, identity);
  const auto segments = store.open_segments();
  auto hash = segments->header(0).previous;
  detail::log_writer_options options;
  options.threads = false;
  detail::log_writer log(store, *segments, {}, hash, options);
  detail::sha256 sha256;
  detail::chunk_writer writer;
  for (const auto& chunk : chunks) {
    auto& buffer = log.begin();
    const auto begin = buffer.size();
    buffer.append(detail::chunk_length_bytes, '\0');
    writer.begin(buffer, log.next(), rechain ? hash : chunk.previous);
    for (const auto& body : chunk.bodies) writer.add(body);
    const auto bytes = writer.finish();
    const auto length = static_cast<std::uint32_t>(bytes.size());
    hash = detail::hash_of(sha256, writer.first(), bytes);
    std::memcpy(buffer.data() + begin, &length, sizeof length);
    log.commit(static_cast<std::uint32_t>(chunk.bodies.size()), hash);
  }
}

/// The error of opening and verifying a store; empty if there is none.
std::string verdict(const fs::path& folder, std::optional<chain_head> noted = {}) {
  const auto [verified, of_verifying] = failure_of([&] { verify_store(folder, {.noted = noted, .progress = {}}); });
  const auto [opened, of_opening] = failure_of([&] { open_store(folder, small_options()); });
  CHECK((!verified || verified == errc::corrupt_record));
  if (!noted) CHECK(verified == opened);
  return verified ? of_verifying : "";
}

/// Twelve chunks of five records each: five events of one of four products a call.
chain_head append_in_chunks(const fs::path& folder) {
  const auto journal = open_store(folder, small_options());
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

TEST_CASE("a history of another store is refused") {
  const temporary_folder folder;
  for (const auto* name : {"a", "b"}) append(*open_store(folder.path() / name, small_options()), {"product", "1"}, 0, {"one"});
  fs::remove_all(folder.path() / "b/log");
  fs::copy(folder.path() / "a/log", folder.path() / "b/log", fs::copy_options::recursive);
  const auto [kind, detail] = failure_of([&] { open_store(folder.path() / "b", small_options()); });
  CHECK(kind == errc::corrupt_record);
  CHECK(mentions(detail, "belongs to another store"));
}

TEST_CASE("a whole store is verified, closed and open, with and without a noted head") {
  const temporary_folder folder;
  const auto noted = append_in_chunks(folder.path());
  const auto closed = verify_store(folder.path());
  CHECK(closed.records == 60);
  CHECK(closed.chunks == 12);
  CHECK(closed.indexed == 60);
  CHECK(closed.head == noted);
  auto options = small_options();
  options.index_events_in_memory_max = 10;
  auto opened = open_store(folder.path(), options);
  CHECK(opened->head() == noted);
  CHECK(verify_store(folder.path()).head == noted);
  CHECK_FALSE(verify_store(folder.path()).indexed);
  append(*opened, {"product", "0"}, 15, numbers_as_text(15, 40));
  append(*opened, {"order", "0"}, 0, {"another"});
  const auto grown = verify_store(folder.path(), {.noted = noted, .progress = {}});
  CHECK(grown.records == 101);
  CHECK(grown.head == opened->head());
  opened.reset();
  const auto again = verify_store(folder.path(), {.noted = grown.head, .progress = {}});
  CHECK(again.head == grown.head);
  CHECK(again.indexed == 101);
}

TEST_CASE("a store without records has a head too, which no other store has") {
  const temporary_folder folder;
  const auto one = open_store(folder.path() / "one", small_options());
  const auto other = open_store(folder.path() / "other", small_options());
  CHECK(one->head().through == position{0});
  CHECK(verify_store(folder.path() / "one", {.noted = one->head(), .progress = {}}).records == 0);
  CHECK_THROWS_AS(verify_store(folder.path() / "one", {.noted = other->head(), .progress = {}}), error);
}

TEST_CASE("a head is one line that can be read back, and no other text is a head") {
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

TEST_CASE("a history that was rewritten, with all checksums, breaks the chain behind the change") {
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
  SUBCASE("a record removed") {
    forge(folder.path(), [](auto& chunks) { chunks[8].bodies.pop_back(); });
    breaks_at = "position 45: the records at positions 41 to 44 ";
  }
  SUBCASE("a chunk removed") {
    forge(folder.path(), [](auto& chunks) { chunks.erase(chunks.begin() + 5); });
    breaks_at = "position 26: the records at positions 21 to 25 ";
  }
  SUBCASE("the first chunk removed") {
    forge(folder.path(), [](auto& chunks) { chunks.erase(chunks.begin()); });
    breaks_at = "position 1: the store's id ";
  }
  SUBCASE("a record inserted") {
    forge(folder.path(), [](auto& chunks) {
      const draft another({"product", "new"}, 0, {"forged"});
      chunks[8].bodies.insert(chunks[8].bodies.begin() + 1, another.frames.substr(4));
    });
    breaks_at = "position 47: the records at positions 41 to 46 ";
  }
  SUBCASE("a chunk inserted") {
    forge(folder.path(), [](auto& chunks) {
      const draft another({"product", "new"}, 0, {"forged"});
      chunks.insert(chunks.begin() + 6, {chunks[6].previous, {another.frames.substr(4)}});
    });
    breaks_at = "position 32: the records at positions 31 to 31 ";
  }
  const auto said = verdict(folder.path());
  CAPTURE(said);
  CHECK(mentions(said, folder.path().string()));
  CHECK(mentions(said, "the chain breaks at " + breaks_at));
  CHECK(mentions(said, "restore a backup"));
  CHECK(mentions(verdict(folder.path(), noted), breaks_at));
}

TEST_CASE("a history that was rewritten, with all checksums and the chain, shows only by a noted head") {
  const temporary_folder folder;
  const auto noted = append_in_chunks(folder.path());
  std::string says = "does not go through the noted head: records up to position 60 were changed";
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
  }
  SUBCASE("the newest records removed") {
    forge(
        folder.path(), [](auto& chunks) { chunks.pop_back(); }, true);
    says = "records are missing: the history ends at position 55, and the noted head is at position 60";
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
  }
  CHECK(verdict(folder.path()).empty());
  CHECK(mentions(verdict(folder.path(), noted), says));
}

TEST_CASE("opening and verifying report their progress to the end, and stop if the function throws") {
  const temporary_folder folder;
  constexpr std::uint64_t records = 10'000;
  {
    const auto opened = open_store(folder.path(), small_options(durability::buffered));
    for (std::uint64_t n = 0; n < records; n += 500) append(*opened, {"product", "1"}, n, numbers_as_text(n, 500));
  }
  rebuild_store(folder.path());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> reports;
  const progress_function note = [&](std::uint64_t done, std::uint64_t of) { reports.emplace_back(done, of); };
  const progress_function stop = [](std::uint64_t, std::uint64_t) { throw std::runtime_error("enough"); };
  // A clock that goes on by two seconds each time it is read.
  std::chrono::steady_clock::time_point now;
  auto environment = detail::usual_environment();
  environment.progress_clock = [&] { return now += std::chrono::seconds(2); };
  auto options = small_options();
  options.opening = stop;
  CHECK_THROWS_AS(detail::open_embedded_store(folder.path(), options, environment), std::runtime_error);
  options.opening = note;
  detail::open_embedded_store(folder.path(), options, environment);
  CHECK(reports.size() > 2);
  CHECK(std::is_sorted(reports.begin(), reports.end()));
  for (const auto& [done, of] : reports) CHECK(of == records);
  CHECK(reports.back().first == records);
  // Once the index is there again, there is nothing to report.
  reports.clear();
  detail::open_embedded_store(folder.path(), options, environment);
  CHECK(reports.empty());
}

TEST_CASE("progress is reported seldom, and at the end") {
  // The clock of the report is the test's own, so nothing waits.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> reports;
  const progress_function note = [&](std::uint64_t done, std::uint64_t of) { reports.emplace_back(done, of); };
  std::chrono::steady_clock::time_point now;
  detail::progress_report report(note, 100'000, [&] { return now; });
  for (int i = 0; i < 10; ++i) report.add(5'000);
  CHECK(reports.empty());
  now += std::chrono::milliseconds(999);
  report.add(5'000);
  CHECK(reports.empty());
  now += std::chrono::milliseconds(1);
  report.add(5'000);
  report.add(5'000);
  CHECK(reports == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{60'000, 100'000}});
  now += std::chrono::milliseconds(200);
  report.add(35'000);
  report.end();
  CHECK(reports.size() == 3);
  CHECK(reports.back() == std::pair<std::uint64_t, std::uint64_t>{100'000, 100'000});
  const progress_function refuse = [](std::uint64_t, std::uint64_t) { throw std::runtime_error("enough"); };
  detail::progress_report ended(refuse, 100'000, [&] { return now += std::chrono::seconds(2); });
  CHECK_THROWS_AS(ended.add(5'000), std::runtime_error);
}

}  // namespace cairn::tests
