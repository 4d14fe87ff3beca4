// Writes random histories of the stock product, sound ones and faulty ones, with the verdict of cairn's own checker on each.
//
//     write_histories FOLDER COUNT SEED
//
// Makes COUNT files N.jsonl in FOLDER, each a history of one to three products, and prints a line "N.jsonl linearizable" or
// "N.jsonl not linearizable" for each.
#include "testkit/product_histories.hpp"

#include <cairn/testkit/history.hpp>

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

int write_histories(const std::filesystem::path& folder, std::uint64_t count, std::uint64_t seed) {
  for (std::uint64_t number = 0; number < count; ++number) {
    const auto [lines, linearizable] = make_history(number, seed);
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
  if (count != 4) {
    std::cerr << "Usage: write_histories FOLDER COUNT SEED\n";
    return 2;
  }
  try {
    return write_histories(arguments[1], std::stoull(arguments[2]), std::stoull(arguments[3]));
  } catch (const std::exception& failure) {
    std::cerr << "write_histories: " << failure.what() << "\n";
    return EXIT_FAILURE;
  }
}
