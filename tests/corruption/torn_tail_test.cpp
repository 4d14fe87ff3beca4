// The end of the log after a crash: an interrupted commit is dropped, and nothing else is; whatever was
// acknowledged is there, or missing with an error. What can still go unnoticed is shown at the end.
#include "../settings.hpp"
#include "readers.hpp"

#include <bit>
#include <numeric>
#include <random>
#include <thread>

namespace cairn::tests {
namespace {

/// A store whose process died, by its files, and the state before its last commit and behind it.
struct killed_store {
  store_image image;
  std::shared_ptr<detail::index_pairs> pairs = std::make_shared<detail::index_pairs>();  // what the index had written
  std::vector<found_commit> commits;
  std::vector<std::string> texts;  // of the records, before each commit and behind the last

  const found_commit& last() const { return commits.back(); }
};

/// Appends the payloads, one list a commit, and takes the files while the store is open. A buffered store
/// syncs nothing meanwhile: its index, which would sync the log before it is written, is too large for that.
killed_store kill_after(const std::vector<std::vector<std::string>>& commits,
                        cairn::durability durability = cairn::durability::synced, std::uint64_t segment_bytes = 64 << 10) {
  store_folder_for_images folder;
  killed_store killed;
  const auto pairs = std::make_shared<detail::index_pairs>();
  auto environment = log_only(pairs);
  environment.segment_bytes = environment.unprepared_bytes = segment_bytes;
  auto options = small_options(durability);
  options.index_events_in_memory_max = durability == cairn::durability::synced ? 3 : 1000;
  const auto opened = open_log(folder.store(), environment, options);
  std::uint64_t events = 0;
  for (const auto& payloads : commits) {
    killed.texts.push_back(text_of(*opened));
    append(*opened, {"product", "1"}, events, payloads);
    events += payloads.size();
  }
  killed.texts.push_back(text_of(*opened));
  killed.image = image_of(folder.store());
  *killed.pairs = *pairs;
  killed.commits = commits_in(folder.store());
  REQUIRE(killed.commits.size() == commits.size());
  return killed;
}

const std::vector<std::vector<std::string>> three_before{{"one", "two"}, {"three"}, {"four"}};

std::vector<std::vector<std::string>> three_and(const std::vector<std::string>& last) {
  auto commits = three_before;
  commits.push_back(last);
  return commits;
}

std::string text_of_size(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i * i) + ' ';
  return text.substr(0, bytes);
}

/// The figures of a test case.
struct results {
  std::uint64_t damages = 0;
  std::uint64_t whole = 0;
  std::uint64_t dropped = 0;
  std::uint64_t refused = 0;

  void show(const std::string& what) const {
    tests::show("corruption: " + what + ": " + std::to_string(damages) + " damages: dropped " + std::to_string(dropped) +
                ", refused " + std::to_string(refused) + ", without effect " + std::to_string(whole) + ", others 0");
  }
};

/// Whether the readers find exactly these records, and the store goes on.
class crash_check {
public:
  explicit crash_check(const killed_store& killed) : killed_(killed) {}

  /// Before any opening, all that read the folder see these records; opening does, with the index and
  /// without; and the store goes on.
  void ends_with(const store_image& image, const std::string& text) {
    folder_.put(image);
    const auto& path = folder_.store();
    const auto found = verify_store(path);
    REQUIRE(found.records == expected_position(text));
    std::ostringstream saved;
    REQUIRE(salvage_store(path, saved).damage.empty());
    REQUIRE(image_of(path) == image);
    for (const bool with_index : {false, true}) {
      folder_.put(image);
      const auto pairs = std::make_shared<detail::index_pairs>(with_index ? *killed_.pairs : detail::index_pairs{});
      {
        const auto opened = open_log(path, log_only(pairs));
        REQUIRE(text_of(*opened) == text);
        REQUIRE(opened->head() == found.head);
        REQUIRE(append(*opened, {"product", "1"}, found.records, {"after the crash"}).stored);
      }
      folder_.note_change();
      const auto grown = verify_store(path, {.noted = found.head, .progress = {}});
      REQUIRE(grown.records == found.records + 1);
      const auto again = open_log(path, log_only(pairs));
      REQUIRE(text_of(*again).starts_with(text));
      REQUIRE(again->highest({"product", "1"}).value == found.records + 1);
    }
  }

  /// Opening the store and a scan of the log fail; and all other readers of the whole log, if `all`.
  void is_refused(const store_image& image, bool all = true) {
    folder_.put(image);
    const auto& path = folder_.store();
    std::ostringstream out;
    const auto refuses = [](auto work) {
      const auto [kind, detail] = failure_of(work);
      INFO(detail);
      REQUIRE((kind == errc::corrupt_record || kind == errc::corrupt_store));
    };
    refuses([&] { verify_store(path); });
    refuses([&] { open_log(path); });
    if (!all) return;
    REQUIRE(image_of(path) == image);
    refuses([&] { export_store(path, out); });
    refuses([&] { restore_store(path, folder_.beside("restored")); });
    REQUIRE_FALSE(salvage_store(path, out).damage.empty());
    refuses([&] { open_log(path, log_only(std::make_shared<detail::index_pairs>(*killed_.pairs))); });
    folder_.note_change();
  }

  const fs::path& path() const { return folder_.store(); }
  void put(const store_image& image) { folder_.put(image); }
  void note_change() { folder_.note_change(); }

private:
  /// All records are of one aggregate, so that the last position is their number. Bodies may have line
  /// breaks, so the text is read from the commits.
  std::uint64_t expected_position(const std::string& text) const {
    for (std::size_t i = 0; i < killed_.texts.size(); ++i) {
      if (killed_.texts[i] == text)
        return i < killed_.commits.size() ? killed_.commits[i].first.value - 1
                                          : killed_.last().first.value + killed_.last().records - 1;
    }
    FAIL("the text is of no moment of the store");
    return 0;
  }

  const killed_store& killed_;
  store_folder_for_images folder_;
};

/// Each subset of the sectors, or a sample of them if there are more than ten.
std::vector<std::uint64_t> subsets(std::uint64_t sectors) {
  std::vector<std::uint64_t> masks;
  if (sectors <= 10) {
    masks.resize((std::uint64_t{1} << sectors) - 1);
    std::iota(masks.begin(), masks.end(), 1);
    return masks;
  }
  std::mt19937_64 random(setting("CAIRN_TEST_SEED", 7));
  const auto all = (std::uint64_t{1} << sectors) - 1;
  masks.push_back(all);
  while (masks.size() < 500 * std::max<std::uint64_t>(1, setting("CAIRN_TEST_ROUNDS", 50) / 50)) {
    if (const auto mask = random() & all; mask != 0) masks.push_back(mask);
  }
  return masks;
}

/// The high-water mark of a store that was closed.
std::string mark_of(const killed_store& killed) {
  store_folder_for_images folder;
  folder.put(killed.image);
  open_log(folder.store()).reset();
  return contents(folder.store() / "high-water");
}

std::string zeros_between(const std::string& text, std::size_t zeros) { return text + std::string(zeros, '\0') + text; }

}  // namespace

TEST_CASE("a commit of which any sectors did not reach the disk is dropped, nothing else is, and the store "
          "goes on") {
  std::vector<std::string> last;
  SUBCASE("a commit in one sector") { last = {"five", "six"}; }
  SUBCASE("a commit in several sectors") { last = {text_of_size(700), "six", text_of_size(1800)}; }
  SUBCASE("a commit with blank sectors") {
    last = {zeros_between("five", 1500), text_of_size(300), zeros_between("seven", 1200)};
  }
  SUBCASE("a commit that ends with zeros") { last = {text_of_size(300) + std::string(1400, '\0')}; }
  SUBCASE("a commit of many sectors") { last = {text_of_size(3000), zeros_between("six", 4000), text_of_size(3000)}; }
  const auto killed = kill_after(three_and(last));
  crash_check check(killed);
  check.ends_with(killed.image, killed.texts.at(4));
  results found;
  for (const auto missing : subsets(sectors_of(killed.last()))) {
    CAPTURE(missing);
    const auto torn = without_sectors(killed.image, killed.last(), missing);
    ++found.damages;
    const bool unchanged = torn == killed.image;  // only blank sectors are missing
    check.ends_with(torn, killed.texts.at(unchanged ? 4 : 3));
    ++(unchanged ? found.whole : found.dropped);
  }
  CHECK(found.dropped > 0);
  found.show("torn last commits of " + std::to_string(sectors_of(killed.last())) + " sectors");
}

TEST_CASE("a commit of which sectors are missing is damage if a commit follows it, or if the high-water mark "
          "has it") {
  const auto killed = kill_after({{"one", "two"}, {"three"}, {text_of_size(700), text_of_size(1800)}, {"five"}});
  crash_check check(killed);
  results found;
  const auto& before_last = killed.commits.at(2);
  for (const auto missing : subsets(sectors_of(before_last))) {
    check.is_refused(without_sectors(killed.image, before_last, missing));
    ++found.damages, ++found.refused;
  }
  const auto last_is_large = kill_after(three_and({text_of_size(700), text_of_size(1800)}));
  auto marked = last_is_large.image;
  marked.at("high-water") = mark_of(last_is_large);
  crash_check check_marked(last_is_large);
  for (const auto missing : subsets(sectors_of(last_is_large.last()))) {
    check_marked.is_refused(without_sectors(marked, last_is_large.last(), missing));
    ++found.damages, ++found.refused;
  }
  found.show("sectors missing in commits that were acknowledged");
}

TEST_CASE("a flipped bit in the last commit of a killed store is damage and no torn commit") {
  std::vector<std::string> last;
  SUBCASE("a commit in one sector") { last = {"five", "six"}; }
  SUBCASE("a commit with blank sectors") { last = {zeros_between("five", 1100)}; }
  SUBCASE("a commit with a sector of which one bit is set") {
    last = {"five" + std::string(520, '\0') + '\x10' + std::string(520, '\0') + "end"};
  }
  const auto killed = kill_after(three_and(last));
  crash_check check(killed);
  results found;
  const auto& commit = killed.last();
  for (std::uint64_t bit = 0; bit < 8 * commit.bytes; ++bit) {
    CAPTURE(bit);
    auto damaged = killed.image;
    flip(damaged.at(commit.file), 8 * commit.offset + bit);
    check.is_refused(damaged, bit % 16 == 0);
    ++found.damages, ++found.refused;
  }
  found.show("bits flipped in the last commit of a killed store");
}

TEST_CASE("a file that ends within its last commit lost that commit, unless the high-water mark has it") {
  const auto killed = kill_after(three_and({text_of_size(400), "six", zeros_between("seven", 600), text_of_size(400)}));
  crash_check check(killed);
  const auto mark = mark_of(killed);
  results found;
  for (auto size = killed.last().offset; size < killed.last().offset + killed.last().bytes; ++size) {
    CAPTURE(size);
    auto cut = killed.image;
    cut.at(killed.last().file).resize(size);
    check.ends_with(cut, killed.texts.at(3));
    ++found.damages, ++found.dropped;
    cut.at("high-water") = mark;
    check.is_refused(cut);
    ++found.damages, ++found.refused;
  }
  found.show("the last commit cut at each length, without and with a high-water mark");
}

TEST_CASE("remains behind a missing header are dropped, also of several commits that were never durable") {
  const std::vector<std::vector<std::string>> commits{
      {"one"}, {"two", "three"}, {text_of_size(700)}, {"five"}, {text_of_size(600), "seven"}};
  const auto killed = kill_after(commits, durability::buffered);
  crash_check check(killed);
  // Everything from the second commit on was written and never synced, so a power cut may take any of its
  // sectors.
  std::vector<std::pair<std::size_t, std::uint64_t>> sectors;
  for (std::size_t commit = 1; commit < commits.size(); ++commit) {
    for (std::uint64_t number = 0; number < sectors_of(killed.commits[commit]); ++number) sectors.emplace_back(commit, number);
  }
  results found;
  for (const auto mask : subsets(sectors.size())) {
    CAPTURE(mask);
    auto cut = killed.image;
    std::size_t first_torn = commits.size();
    for (std::size_t i = 0; i < sectors.size(); ++i) {
      if ((mask >> i & 1) == 0) continue;
      const auto [commit, number] = sectors[i];
      cut = without_sectors(cut, killed.commits[commit], std::uint64_t{1} << number);
      first_torn = std::min(first_torn, commit);
    }
    check.ends_with(cut, killed.texts.at(first_torn));
    ++found.damages, ++found.dropped;
  }
  found.show("buffered commits torn by a power cut");
}

TEST_CASE("in a buffered store, damage of a finished segment is no torn commit") {
  const auto killed =
      kill_after({{text_of_size(900)}, {text_of_size(900)}, {text_of_size(900)}, {"four"}}, durability::buffered, 2048);
  REQUIRE(part_of(killed.image, "log/").size() > 1);
  crash_check check(killed);
  for (const auto missing : subsets(sectors_of(killed.commits.front()))) {
    check.is_refused(without_sectors(killed.image, killed.commits.front(), missing));
  }
}

TEST_CASE("after a short idle period nothing at the end of the log is ambiguous, though the store is open") {
  auto durability = cairn::durability::synced;
  SUBCASE("each commit is synced") {}
  SUBCASE("commits are buffered") { durability = cairn::durability::buffered; }
  store_folder_for_images folder;
  auto environment = log_only();
  environment.threads = true;
  environment.segment_bytes = 64 << 10;
  environment.unprepared_bytes = 64 << 10;
  const auto opened = open_log(folder.store(), environment, small_options(durability));
  append(*opened, {"product", "1"}, 0, {"one", "two"});
  append(*opened, {"product", "1"}, 2, {text_of_size(1200)});
  const auto noted = [&] { return detail::decode_high_water(contents(folder.store() / "high-water")); };
  while (!noted() || noted()->through != position{3}) std::this_thread::yield();
  killed_store killed;
  killed.image = image_of(folder.store());
  std::erase_if(killed.image, [](const auto& file) { return file.first == "log/next"; });
  killed.commits = commits_in(folder.store());
  crash_check check(killed);
  for (const auto missing : subsets(sectors_of(killed.last()))) {
    check.is_refused(without_sectors(killed.image, killed.last(), missing));
  }
  for (auto size = killed.last().offset; size < killed.last().offset + killed.last().bytes; ++size) {
    auto cut = killed.image;
    cut.at(killed.last().file).resize(size);
    check.is_refused(cut);
  }
}

TEST_CASE("while a program has the store open, readers end before a damaged last commit, and fail at any other") {
  auto durability = cairn::durability::synced;
  SUBCASE("each commit is synced") {}
  SUBCASE("commits are buffered") { durability = cairn::durability::buffered; }
  store_folder_for_images folder;
  auto environment = log_only();
  environment.segment_bytes = environment.unprepared_bytes = 64 << 10;
  const auto opened = open_log(folder.store(), environment, small_options(durability));
  for (std::uint64_t n = 0; n < 4; ++n) append(*opened, {"product", "1"}, n, {"one" + text_of_size(600)});
  const auto commits = commits_in(folder.store());
  for (std::size_t damaged = 0; damaged < commits.size(); ++damaged) {
    const auto file = folder.store() / commits[damaged].file;
    const auto sound = contents(file);
    const auto write = [&](const std::string& bytes) {  // into the file that is open
      std::fstream(file, std::ios::binary | std::ios::in | std::ios::out)
          .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    };
    for (const bool lost : {false, true}) {
      CAPTURE(damaged);
      CAPTURE(lost);
      auto bytes = sound;
      if (lost) bytes = without_sectors({{commits[damaged].file, sound}}, commits[damaged], 2).begin()->second;
      if (!lost) flip(bytes, 8 * (commits[damaged].offset + 300));
      write(bytes);
      std::ostringstream out;
      if (damaged + 1 == commits.size()) {
        CHECK(verify_store(folder.store()).records == 3);
        CHECK(export_store(folder.store(), out).through == position{3});
      } else {
        CHECK(failure_of([&] { verify_store(folder.store()); }).first == errc::corrupt_record);
        CHECK(failure_of([&] { export_store(folder.store(), out); }).first == errc::corrupt_record);
      }
      write(sound);
    }
  }
  CHECK(verify_store(folder.store()).records == 4);
}

namespace {

/// A killed store of several segments, the last of which has one commit.
killed_store kill_with_segments() {
  return kill_after({{text_of_size(900)}, {text_of_size(700)}, {text_of_size(900)}, {text_of_size(700)}, {"last"}},
                    durability::synced, 2650);
}

/// Where the marks are that segments are finished: behind the last commit of each but the last.
std::map<std::string, std::uint64_t> end_marks(const killed_store& killed) {
  std::map<std::string, std::uint64_t> marks;
  for (const auto& commit : killed.commits) marks[commit.file] = detail::next_commit_at(commit.offset + commit.bytes);
  marks.erase(last_segment(killed.image));
  REQUIRE(marks.size() == 2);
  return marks;
}

}  // namespace

TEST_CASE("a finished segment whose successor is missing is damage") {
  const auto killed = kill_with_segments();
  REQUIRE(part_of(killed.image, "log/").size() == 3);
  auto missing = killed.image;
  missing.erase(last_segment(missing));
  crash_check(killed).is_refused(missing);
  missing.erase(last_segment(missing));
  crash_check(killed).is_refused(missing);
}

TEST_CASE("bytes behind the mark that a segment is finished are damage") {
  const auto killed = kill_with_segments();
  for (const auto& [file, mark] : end_marks(killed)) {
    for (const std::uint64_t behind : {0, 63, 5'000}) {
      auto image = killed.image;
      auto& bytes = image.at(file);
      const auto at = mark + detail::commit_header_bytes + behind;
      bytes.resize(std::max<std::size_t>(bytes.size(), at + 1), '\0');
      bytes[at] = 1;
      crash_check(killed).is_refused(image, false);
    }
  }
}

TEST_CASE("an end mark that a crash left out is written again when the store is opened") {
  const auto killed = kill_with_segments();
  const auto marks = end_marks(killed);
  const auto without_mark = [&](store_image image, const std::string& file) {
    auto& bytes = image.at(file);
    REQUIRE(bytes.substr(marks.at(file), 4) == "comm");
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(marks.at(file)), detail::commit_header_bytes, '\0');
    return image;
  };
  store_image unmarked = killed.image;
  SUBCASE("and the last segment is empty") {
    unmarked.at(last_segment(unmarked)).resize(detail::segment_header_bytes);
    unmarked = without_mark(unmarked, marks.rbegin()->first);
  }
  SUBCASE("and the last segment has records") { unmarked = without_mark(unmarked, marks.rbegin()->first); }
  SUBCASE("and more segments follow") { unmarked = without_mark(unmarked, marks.begin()->first); }
  SUBCASE("in several segments") {
    for (const auto& [file, offset] : marks) unmarked = without_mark(unmarked, file);
  }
  SUBCASE("and the file ends there") { unmarked.at(marks.begin()->first).resize(marks.begin()->second); }
  store_folder_for_images folder;
  folder.put(unmarked);
  const auto before = verify_store(folder.store());
  const auto text = text_of(*open_log(folder.store()));
  for (const auto& [file, offset] : marks) CHECK(contents(folder.store() / file) == killed.image.at(file));
  CHECK(verify_store(folder.store()).head == before.head);
  CHECK(killed.texts.back().starts_with(text));
}

TEST_CASE("a torn commit is damage if each sector that it lost has one bit set at most") {
  // Such a sector looks the same as one that lost its bit, and then the commit may have been acknowledged. So
  // the store is refused.
  const auto killed =
      kill_after(three_and({zeros_between("five", 700) + std::string(600, '\0') + '\x10' + std::string(1000, '\0') + "end"}));
  crash_check check(killed);
  std::uint64_t refused = 0;
  for (std::uint64_t number = 0; number < sectors_of(killed.last()); ++number) {
    const auto torn = without_sectors(killed.image, killed.last(), std::uint64_t{1} << number);
    std::uint64_t bits = 0;
    for (const auto& [file, bytes] : killed.image) {
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        bits += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned char>(bytes[at] ^ torn.at(file)[at])));
      }
    }
    if (bits == 1) {
      check.is_refused(torn);
      ++refused;
    } else {
      check.ends_with(torn, killed.texts.at(bits == 0 ? 4 : 3));
    }
  }
  CHECK(refused == 1);
}

// --- what goes unnoticed ---

namespace {

/// What opening and verifying say of a store, and verifying with a noted head.
void check_unnoticed_without(const chain_head& noted, const store_image& image, std::uint64_t records) {
  store_folder_for_images folder;
  folder.put(image);
  CHECK(verify_store(folder.store()).records == records);
  const auto [kind, detail] = failure_of([&] { verify_store(folder.store(), {.noted = noted, .progress = {}}); });
  CHECK(kind == errc::corrupt_record);
  CHECK(mentions(detail, "the noted head"));
  CHECK(open_log(folder.store())->last().value == records);
}

}  // namespace

TEST_CASE("if the last commit and the high-water mark are lost, and the index as well, only a noted head "
          "shows it") {
  store_folder_for_images folder;
  const auto pairs = std::make_shared<detail::index_pairs>();
  std::string earlier_mark;
  chain_head noted;
  for (std::uint64_t n = 0; n < 3; ++n) {
    const auto opened = open_log(folder.store(), log_only(pairs));
    append(*opened, {"product", "1"}, n, {"event"});
    noted = opened->head();
    if (n == 2) earlier_mark = contents(folder.store() / "high-water");
  }
  const auto commits = commits_in(folder.store());
  auto lost = without_sectors(image_of(folder.store()), commits.back(), ~std::uint64_t{0});
  const auto check_with_index = [&](const store_image& image) {
    // The index knows better, so it is one more thing that must be lost.
    store_folder_for_images with_index;
    with_index.put(image);
    const auto [kind, detail] = failure_of([&] { open_log(with_index.store(), log_only(pairs)); });
    CHECK(kind == errc::corrupt_store);
    CHECK(mentions(detail, "the index goes to position 3, and the log only to position 2"));
  };
  {
    store_folder_for_images with_mark;
    with_mark.put(lost);
    CHECK(failure_of([&] { verify_store(with_mark.store()); }).first == errc::corrupt_record);
  }
  SUBCASE("the mark is missing") { lost.erase("high-water"); }
  SUBCASE("the mark is damaged") { flip(lost.at("high-water"), 100); }
  SUBCASE("the mark is outdated") { lost.at("high-water") = earlier_mark; }
  check_with_index(lost);
  check_unnoticed_without(noted, lost, 2);
}

TEST_CASE("that a whole folder is an older copy shows only a noted head") {
  store_folder_for_images folder;
  append(*open_log(folder.store()), {"product", "1"}, 0, {"one"});
  const auto older = image_of(folder.store());
  chain_head noted;
  {
    const auto opened = open_log(folder.store());
    append(*opened, {"product", "1"}, 1, {"two"});
    noted = opened->head();
  }
  check_unnoticed_without(noted, older, 1);
}

TEST_CASE("that the newest history was rewritten, with all checksums and the chain, shows only a noted head") {
  std::vector<chain_head> heads;
  std::vector<store_image> images;
  for (const std::string last : {"the right one", "another one"}) {
    store_folder_for_images folder;
    {
      const auto opened = open_log(folder.store());
      append(*opened, {"product", "1"}, 0, {"one"});
      append(*opened, {"product", "1"}, 1, {last});
      heads.push_back(opened->head());
    }
    images.push_back(image_of(folder.store()));
  }
  check_unnoticed_without(heads[0], images[1], 2);
}

}  // namespace cairn::tests
