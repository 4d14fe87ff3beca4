// Seven months of a real shop's sales through the embedded store, and each closing count against totals that the project did not
// make. CAIRN_REAL_DATA names the folder with both; where it is not there, there is nothing to test.
#include "load_simulation/driver.hpp"
#include "load_simulation/movements.hpp"
#include "temporary_folder.hpp"

#include <cairn/store.hpp>
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace simulation {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t opening = 1'000'000;  // more than is ever sold of one product
const stop_flag never{false};

std::map<std::string, std::int64_t> read_totals(const fs::path& file) {
  std::map<std::string, std::int64_t> totals;
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    const auto first = line.find('\t');
    totals[line.substr(0, first)] = std::stoll(line.substr(first + 1));
  }
  return totals;
}

cairn::runtime_options over(const fs::path& folder) {
  cairn::runtime_options options;
  options.journal = cairn::open_store(folder);
  return options;
}

TEST_CASE("a real shop's sales: every closing count is the opening stock less the quantities of the independent totals") {
  const auto* named = std::getenv("CAIRN_REAL_DATA");
  const fs::path data = named ? named : "";
  if (!named || !fs::exists(data / "totals.tsv")) {
    MESSAGE("skipped: CAIRN_REAL_DATA names no folder with totals.tsv");
    return;
  }
  const auto totals = read_totals(data / "totals.tsv");
  auto sales = read_movements(data / "online_retail_2010-12_to_2011-06.csv.zst");
  const auto lines = sales.movements.size() + sales.skipped;
  CHECK(lines == 245'903);
  REQUIRE(sales.products.size() == totals.size());
  sales.open_with(std::vector<std::int64_t>(sales.products.size(), opening), sales.movements.front().occurred_at);

  const cairn::tests::temporary_folder folder;
  std::vector<standing> books(sales.products.size());
  {
    cairn::runtime runtime(over(folder.path() / "stock"));
    driver clients(runtime, sales, books, {8, 4'000, {}}, never);
    clients.start();
    while (!clients.finished_within(std::chrono::seconds(10))) {}
    const auto result = clients.result();
    CHECK(result.accepted == sales.movements.size());
    CHECK(result.faults.empty());
  }

  cairn::runtime again(over(folder.path() / "stock"));
  const auto found = recover_all(again, sales.products, never);
  CHECK(found.faults.empty());
  CHECK(differences(sales.products, "books", books, "recovered", found.products).empty());
  std::size_t wrong = 0;
  for (std::size_t product = 0; product < sales.products.size(); ++product) {
    const auto& id = sales.products[product];
    REQUIRE(totals.contains(id));
    if (found.products[product].count == opening - totals.at(id)) continue;
    if (++wrong <= 10) MESSAGE(id << " has " << found.products[product].count << " and should have " << opening - totals.at(id));
  }
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace simulation
