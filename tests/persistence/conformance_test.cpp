// Every store of cairn passes the same suite: one line each.
#include "journal_conformance.hpp"
#include "temporary_folder.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/rocksdb_journal.hpp>

namespace cairn::tests {
namespace {

store_under_test in_memory() {
  return {.open = [] { return memory_journal(); }, .persists = false};
}

store_under_test on_rocksdb(const temporary_folder& folder,
                            std::uint64_t index_events = rocksdb_options{}.index_events_in_memory_max) {
  const rocksdb_options options{
      .durability = durability::buffered, .block_cache_mib = 8, .index_events_in_memory_max = index_events};
  return {.open = [&folder, options] { return rocksdb_journal(folder.path() / "store", options); }};
}

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
  const temporary_folder folder;
  journal_lockstep(on_rocksdb(folder), 1, 20'000);
}

TEST_CASE("the journal on RocksDB and the plain reference cannot be told apart while the index is written behind") {
  for (const std::uint32_t seed : {2, 3}) {
    const temporary_folder folder;
    journal_lockstep(on_rocksdb(folder, seed == 2 ? 7 : 200), seed, seed == 2 ? 5'000 : 20'000);
  }
}

}  // namespace cairn::tests
