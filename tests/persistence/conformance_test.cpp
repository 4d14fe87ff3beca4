// Every store of cairn passes the same suite, and none can be told from the plain reference: one line each.
#include "journal_conformance.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"

#include "../../persistence/index_run.hpp"
#include "../../persistence/log_chunk.hpp"
#include "../../persistence/rocksdb_database.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/rocksdb_journal.hpp>

#include <set>

namespace cairn::tests {
namespace {

const std::uint64_t whole_index = rocksdb_options{}.index_events_in_memory_max;

// --- the stores ---

rocksdb_options quick(std::uint64_t index_events) {
  return {.durability = durability::buffered, .block_cache_mib = 8, .index_events_in_memory_max = index_events};
}

/// Where cairn::rocksdb_journal() finds a store that has given all positions and versions but a few: two chunks at the far end
/// of a log, the first of which is in the index too.
void make_nearly_full(const std::filesystem::path& folder, const stream_id& stream, position last) {
  const detail::rocksdb_database database(folder, quick(whole_index), {});
  detail::chunk_writer chunk;
  detail::sha256 sha256;
  detail::digest previous{};
  auto number = version::max().value - 4;
  for (const auto where : {position{last.value - 1}, last}) {
    const draft event(stream, number - 1, {"before the suite"});
    std::string_view frames = event.frames;
    std::string_view body;
    next_frame(frames, body);
    chunk.begin(where, previous);
    chunk.add(body);
    const auto key = detail::log_key(where);
    const std::string_view key_bytes(key.data(), key.size());
    const auto value = chunk.finish();
    previous = sha256(key_bytes, value);
    database.check(database.db().Put({}, database.log(), detail::slice(key_bytes), detail::slice(value)), "make the log");
    ++number;
  }
  auto run_key = detail::stream_prefix(stream);
  detail::set_version(run_key, run_key.size(), version{version::max().value - 4});
  std::string run;
  const detail::place place{last.value - 1, 0};
  detail::encode_run(run, {&place, 1});
  const auto marker = detail::encode_marker(position{last.value - 1});
  database.check(database.db().Put({}, database.index(), run_key, run), "make the index");
  const auto newest = detail::encode_newest(version{version::max().value - 4});
  database.check(database.db().Put({}, database.index(), detail::newest_key(stream), newest), "make the index");
  database.check(database.db().Put({}, database.index(), detail::slice(detail::marker_key), marker), "make the index");
}

store_under_test in_memory() { return {.open = memory_journal, .keeps_what_was_closed = false, .locks_out_others = false}; }

store_under_test on_rocksdb(const temporary_folder& folder, std::uint64_t index_events = whole_index) {
  const auto store = folder.path() / "store";
  const auto full = folder.path() / "full";
  const position top{(std::uint64_t{1} << 56) - 1};
  const stream_id stream("product", "nearly full");
  const auto open_full = [=] {
    if (!std::filesystem::exists(full)) make_nearly_full(full, stream, position{top.value - 4});
    return rocksdb_journal(full, quick(index_events));
  };
  return {.open = [=] { return rocksdb_journal(store, quick(index_events)); },
          .nearly_full = {.open = open_full, .top = top, .stream = stream}};
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
  std::uint64_t index_events;
  std::uint64_t percent;  // of the operations: the more is written behind, the more an operation waits for the disk
};
const variant variants[] = {{"on RocksDB, its index in memory", whole_index, 46},
                            {"on RocksDB, its index written behind now and then", 200, 46},
                            {"on RocksDB, its index written behind all the time", 7, 8}};

}  // namespace

TEST_CASE("the journal in memory does what a journal must") { journal_conformance(in_memory()); }

TEST_CASE("the journal on RocksDB does what a journal must") {
  const temporary_folder folder;
  journal_conformance(on_rocksdb(folder));
}

TEST_CASE("the journal on RocksDB does what a journal must while it writes its index behind all the time") {
  const temporary_folder folder;
  journal_conformance(on_rocksdb(folder, 7));
}

TEST_CASE("the journal on RocksDB and the plain reference cannot be told apart by random work") {
  const auto seed = setting("CAIRN_TEST_SEED", 1);
  const auto operations = setting("CAIRN_TEST_OPERATIONS", 105'000);
  INFO("to see it again: scripts/test conformance --seed ", seed, " --operations ", operations);
  std::uint64_t done = 0;
  auto next_seed = seed;
  for (const auto& [name, index_events, percent] : variants) {
    INFO(name);
    const auto share = (operations * percent + 99) / 100;
    const temporary_folder folder;
    const auto report = journal_lockstep(on_rocksdb(folder, index_events), {.seed = next_seed, .operations = share});
    show("  " + std::to_string(share) + " " + name + ", seed " + std::to_string(next_seed) + ": " + to_string(report));
    ++next_seed;  // so that no two do the same
    done += share;
  }
  show("lockstep: " + std::to_string(done) + " operations in all, seed " + std::to_string(seed));
}

}  // namespace cairn::tests
