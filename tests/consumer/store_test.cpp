// A user's test of a store, built against the installed package: here cairn's own on RocksDB stands for the user's.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <cairn/maintenance.hpp>
#include <cairn/store.hpp>
#include <cairn/testkit/journal_conformance.hpp>
#include <cairn/testkit/journal_lockstep.hpp>

#include <filesystem>
#include <unistd.h>

using cairn::testkit::journal_conformance;
using cairn::testkit::journal_lockstep;

/// A place of its own for each run of a test case, which doctest runs again for each of the suite's cases.
struct my_place {
  my_place() : folder(std::filesystem::temp_directory_path() / ("my-store-" + std::to_string(getpid()))) {}
  ~my_place() { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
};

std::unique_ptr<cairn::journal> my_store(const my_place& place) {
  return cairn::open_store(place.folder, {.durability = cairn::durability::buffered});
}

TEST_CASE("my store is a journal") {
  const my_place place;
  journal_conformance({.open = [&] { return my_store(place); }});
}

TEST_CASE("my store answers as the plain reference does") {
  const my_place place;
  journal_lockstep({.open = [&] { return my_store(place); }}, {.seed = 1, .operations = 2'000});
}

TEST_CASE("my store can be verified") {
  const my_place place;
  my_store(place);
  CHECK(cairn::verify_store(place.folder).records == 0);
}
