// A user's first program, built against the installed package.
#include "box.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>

#include <iostream>

int main() {
  cairn::runtime runtime{{.journal = cairn::memory_journal()}};
  runtime.ask<Box>("a", Open{});
  runtime.ask<Box>("a", Add{3});
  const auto box = runtime.state<Box>("a");
  std::cout << "version " << box.version.value << ", count " << box.state.count << "\n";
}
