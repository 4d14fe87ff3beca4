// Writes histories of the stock product: random ones, sound and faulty, and those of simulated runs; with the verdict of cairn's
// own checker on each.
//
//     write_histories FOLDER RANDOM SIMULATED SEED
//
// Makes RANDOM + SIMULATED files N.jsonl in FOLDER, a random one of one to three products, and prints a line "N.jsonl
// linearizable" or "N.jsonl not linearizable" for each.
#include "simulation/workload.hpp"
#include "testkit/product_histories.hpp"

#include <cairn/testkit/history.hpp>
#include <cairn/testkit/simulate.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace {

using namespace cairn::tests;
using cairn::testkit::linearizability;

/// The lines of a history, and whether it is linearizable.
std::pair<std::string, bool> make_history(std::uint64_t number, std::uint64_t seed) {
  const auto wanted = number % 2 == 0 ? fault::none : faults[number / 2 % faults.size()];
  product_maker maker({.operations = 30, .clients = 5, .unknown = 6}, random_product_command);
  const auto products = 1 + number % 3;
  std::pair<std::string, bool> made{"", true};
  for (std::uint64_t product = 0; product < products; ++product) {
    // The fault is in the last product: a checker must look at all of them.
    const auto history = maker.make((seed * 1'000'003 + number) * 3 + product, product + 1 == products ? wanted : fault::none);
    const auto found = product_maker::check(history);
    if (found.verdict == linearizability::undecided) throw std::runtime_error("a history could not be decided");
    made.second = made.second && found.verdict == linearizability::linearizable;
    made.first += cairn::testkit::json_lines(std::to_string(product), history, product_format{});
  }
  return made;
}

std::pair<std::string, bool> simulate_history(std::uint64_t seed) {
  const stock::ProductWorkload workload;
  // Each of these faults leaves many commands with an unknown outcome. Porcupine tries each of them with and without its effect,
  // and does not come to an end with many.
  cairn::testkit::faults rates;
  rates.failed_sync = rates.failed_write = rates.full_disk = rates.failed_open = rates.torn_write = rates.power_cut = 0;
  const auto report = cairn::testkit::simulate<stock::Product>(workload, rates, {seed, 1});
  return {cairn::testkit::simulated_history<stock::Product>(workload, seed, rates), report.passed()};
}

int write_histories(const std::filesystem::path& folder, std::uint64_t made, std::uint64_t simulated, std::uint64_t seed) {
  for (std::uint64_t number = 0; number < made + simulated; ++number) {
    const auto [lines, linearizable] = number < made ? make_history(number, seed) : simulate_history(seed + number);
    const auto name = std::to_string(number) + ".jsonl";
    std::ofstream file(folder / name, std::ios::binary);
    file << lines;
    if (!file.flush()) throw std::runtime_error("cannot write " + (folder / name).string());
    std::cout << name << (linearizable ? " linearizable\n" : " not linearizable\n");
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::cerr << "Usage: write_histories FOLDER RANDOM SIMULATED SEED\n";
    return 2;
  }
  try {
    return write_histories(arguments[1], std::stoull(arguments[2]), std::stoull(arguments[3]), std::stoull(arguments[4]));
  } catch (const std::exception& failure) {
    std::cerr << "write_histories: " << failure.what() << "\n";
    return EXIT_FAILURE;
  }
}
