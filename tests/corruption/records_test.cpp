// Damage of a few records of a large store: readers of other records do not notice it.
#include "../settings.hpp"
#include "store_image.hpp"

#include <random>
#include <set>

namespace cairn::tests {

TEST_CASE("bits flipped all over a large store fail the reads of their records, and no others") {
  const temporary_folder folder;
  constexpr std::uint64_t products = 1'000;
  constexpr std::uint64_t rounds = 100;
  constexpr std::size_t flips = 300;
  {
    const auto opened = open_store(folder.path(), small_options(durability::buffered));
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      std::vector<std::vector<draft>> appends;
      for (std::uint64_t product = 0; product < products; ++product) {
        const auto id = std::to_string(product);
        appends.push_back({draft({"product", id}, round - 1, {id + ":" + std::to_string(round)})});
      }
      append(*opened, appends);
    }
  }
  const auto seed = setting("CAIRN_TEST_SEED", 7);
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  const auto commits = commits_in(folder.path());
  REQUIRE(commits.size() == rounds);
  std::map<std::string, std::string> files;
  std::set<std::pair<std::string, std::uint64_t>> flipped;
  while (flipped.size() < flips) {
    // Not in the last commit, which opening reads. The store is larger than what is flipped, so most records
    // stay sound.
    const auto& commit = commits[random() % (commits.size() - 1)];
    const auto bit = 8 * commit.offset + random() % (8 * commit.bytes);
    if (!flipped.emplace(commit.file, bit).second) continue;
    if (!files.contains(commit.file)) files[commit.file] = contents(folder.path() / commit.file);
    flip(files.at(commit.file), bit);
  }
  for (const auto& [name, bytes] : files) overwrite(folder.path() / name, bytes);
  const auto opened = open_store(folder.path(), small_options());
  std::uint64_t refused = 0;
  for (std::uint64_t product = 0; product < products; ++product) {
    const auto id = std::to_string(product);
    REQUIRE(opened->highest({"product", id}) == version{rounds});
    for (std::uint64_t number = 1; number <= rounds; ++number) {
      std::vector<seen> found;
      const auto [kind, detail] = failure_of([&] {
        found = read(*opened, {"product", id}, {.from = version{number}, .to = version{number}});
      });
      if (kind) {
        ++refused;
        REQUIRE(kind == errc::corrupt_record);
        REQUIRE(mentions(detail, "version " + std::to_string(number) + " of product/" + id));
        continue;
      }
      REQUIRE(found.size() == 1);
      REQUIRE(found.front().payload == id + ":" + std::to_string(number));
    }
  }
  CHECK(refused > flips / 2);
  CHECK(refused < products * rounds / 2);
  CHECK(failure_of([&] { read_all(*opened); }).first == errc::corrupt_record);
  CHECK(failure_of([&] { verify_store(folder.path()); }).first == errc::corrupt_record);
  show("corruption: " + std::to_string(flips) + " bits flipped in a store of " + std::to_string(products * rounds) +
       " records: " + std::to_string(refused) + " records refused, all others right, seed " + std::to_string(seed));
}

}  // namespace cairn::tests
