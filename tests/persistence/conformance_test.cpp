// Every store of cairn passes the same suite, and none can be told from the plain reference: one line each.
#include "journal_conformance.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"

#include "../../persistence/derived/rocksdb_derived.hpp"
#include "../../persistence/log/commit_builder.hpp"
#include "../../persistence/log/log_writer.hpp"
#include "../../persistence/store/store_environment.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/store.hpp>

#include <filesystem>
#include <set>

namespace cairn::tests {
namespace {

const std::uint64_t whole_index = store_options{}.index_events_in_memory_max;

// --- the stores ---

/// How a store is opened.
struct shape {
  std::uint64_t index_events = whole_index;
  cairn::durability durability = durability::buffered;
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  std::uint64_t unprepared_bytes = std::uint64_t{1} << 20;
};

/// The log begins a segment after some ten commits.
constexpr std::uint64_t tiny_segment_bytes = 4096;
constexpr std::uint64_t tiny_unprepared_bytes = 1024;

std::unique_ptr<journal> open(const std::filesystem::path& folder, const shape& shape) {
  auto environment = detail::usual_environment();
  environment.segment_bytes = shape.segment_bytes;
  environment.unprepared_bytes = shape.unprepared_bytes;
  return detail::open_embedded_store(
      folder, {.durability = shape.durability, .block_cache_mib = 8, .index_events_in_memory_max = shape.index_events},
      environment);
}

/// Writes a store that has given all positions and versions but a few: a second segment that begins at the far end of a log, with
/// two commits, the first of which is in the index too. No reader gets at what would be before it.
void make_nearly_full(const std::filesystem::path& folder, const stream_id& stream, position last) {
  std::filesystem::create_directories(folder);
  auto store = detail::store_folder::make(detail::real_file_system(), folder, {.id = detail::random_store_id(), .created = {}});
  detail::segment_header second;
  second.store = store.identity();
  second.number = 2;
  second.first = position{last.value - 1};
  second.base = 2 * detail::segment_header_bytes;
  const auto name = detail::segment_name(second.first);
  {
    const auto file = detail::open_file(*store.log(), name, detail::open_mode::create);
    detail::write_fully(*file, name, detail::encode_segment_header(second), 0);
  }
  const auto segments = store.open_segments();
  detail::log_end end;
  end.place = {second.base + detail::segment_header_bytes, second.first};
  detail::log_writer writer(store, *segments, end, second.previous, {.synced = false, .threads = false});
  detail::commit_builder builder;
  detail::generation indexed;
  auto previous = second.previous;
  auto number = version::max().value - 4;
  for (const auto where : {second.first, last}) {
    const draft event(stream, number - 1, {"before the suite"});
    std::string_view frames = event.frames;
    std::string_view body;
    next_frame(frames, body);
    builder.begin(writer.begin(), where, previous);
    const auto spot = builder.add(body);
    builder.close_chunk();
    const auto address = writer.commit(1, builder.head());
    if (where < last) {
      indexed.push(indexed.streams.insert(stream, detail::stream_table::hash(stream), number - 1),
                   {address + spot.chunk, spot.slot});
      indexed.mark = {where, address, where, previous, builder.head()};
    }
    previous = builder.head();
    ++number;
  }
  detail::open_derived(store, {})->index().write(indexed);
}

store_under_test in_memory() { return {.open = memory_journal, .keeps_what_was_closed = false, .locks_out_others = false}; }

store_under_test on_disk(const temporary_folder& folder, const shape& shape = {}) {
  const auto store = folder.path() / "store";
  const auto full = folder.path() / "full";
  const position top{(std::uint64_t{1} << 56) - 1};
  const stream_id stream("product", "nearly full");
  const auto open_full = [=] {
    if (!std::filesystem::exists(full)) make_nearly_full(full, stream, position{top.value - 4});
    return open(full, shape);
  };
  return {.open = [=] { return open(store, shape); }, .nearly_full = {.open = open_full, .top = top, .stream = stream}};
}

// --- the figures ---

/// Counts what the suite did, and passes on what it left out. A case is one way through a test case's subcases.
class figures final : public doctest::IReporter {
public:
  explicit figures(const doctest::ContextOptions&) {}

  void test_run_end(const doctest::TestRunStats& run) override {
    show("conformance: " + std::to_string(cases_) + " cases, " + std::to_string(run.numAsserts) + " assertions, " +
         std::to_string(run.numAssertsFailed) + " of them failed");
    for (const auto& line : left_out_) show("  " + line);
  }
  void test_case_start(const doctest::TestCaseData& test) override {
    test_ = test.m_name;
    ++cases_;
  }
  void test_case_reenter(const doctest::TestCaseData&) override { ++cases_; }
  void log_message(const doctest::MessageData& message) override { left_out_.insert(test_ + ": " + message.m_string.c_str()); }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

private:
  std::uint64_t cases_ = 0;
  std::string test_;
  std::set<std::string> left_out_;
};

DOCTEST_REGISTER_LISTENER("figures", 1, figures);

// --- lockstep ---

struct variant {
  std::string name;
  cairn::tests::shape shape;
  std::uint64_t percent;  // of the operations: the more is written, the more an operation waits for the disk
};
const variant variants[] = {
    {"on disk, its index in memory", {}, 40},
    {"on disk, its index written now and then", {.index_events = 200}, 40},
    {"on disk, its index written all the time", {.index_events = 7}, 8},
    {"on disk, in tiny segments", {.segment_bytes = tiny_segment_bytes, .unprepared_bytes = tiny_unprepared_bytes}, 9},
    {"on disk, synced, in tiny segments",
     {.durability = durability::synced, .segment_bytes = tiny_segment_bytes, .unprepared_bytes = tiny_unprepared_bytes},
     3}};

}  // namespace

TEST_CASE("the journal in memory does what a journal must") { journal_conformance(in_memory()); }

TEST_CASE("the embedded store does what a journal must") {
  const temporary_folder folder;
  journal_conformance(on_disk(folder));
}

TEST_CASE("the embedded store does what a journal must while it writes its index all the time") {
  const temporary_folder folder;
  journal_conformance(on_disk(folder, {.index_events = 7}));
}

TEST_CASE("the embedded store does what a journal must while its log begins one segment after another") {
  const temporary_folder folder;
  journal_conformance(on_disk(folder, {.segment_bytes = tiny_segment_bytes, .unprepared_bytes = tiny_unprepared_bytes}));
}

TEST_CASE(
    "the embedded store does what a journal must while tiny segments are prepared, each commit is synced and the index written") {
  const temporary_folder folder(in_memory_if_possible());
  journal_conformance(on_disk(folder, {.index_events = 7,
                                       .durability = durability::synced,
                                       .segment_bytes = tiny_segment_bytes,
                                       .unprepared_bytes = tiny_unprepared_bytes}));
}

TEST_CASE("the embedded store and the plain reference cannot be told apart by random work") {
  const auto seed = setting("CAIRN_TEST_SEED", 1);
  const auto operations = setting("CAIRN_TEST_OPERATIONS", 105'000);
  INFO("to see it again: scripts/test conformance --seed ", seed, " --operations ", operations);
  std::uint64_t done = 0;
  auto next_seed = seed;
  for (const auto& [name, shape, percent] : variants) {
    INFO(name);
    const auto share = (operations * percent + 99) / 100;
    const temporary_folder folder(in_memory_if_possible());
    const auto report = journal_lockstep(on_disk(folder, shape), {.seed = next_seed, .operations = share});
    show("  " + std::to_string(share) + " " + name + ", seed " + std::to_string(next_seed) + ": " + to_string(report));
    ++next_seed;  // so that no two do the same
    done += share;
  }
  show("lockstep: " + std::to_string(done) + " operations in all, seed " + std::to_string(seed));
}

}  // namespace cairn::tests
