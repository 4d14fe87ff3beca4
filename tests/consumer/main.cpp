// A user's first program, built against the installed package. It fails if package, headers and library differ in version.
#include "box.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>
#include <cairn/version.hpp>

#include <iostream>

#if defined(CAF_VERSION) || defined(CAF_IN_COMPILE_LINE)
#error "a program that links cairn::runtime is compiled with CAF"
#endif

int main() {
  if (CAIRN_VERSION != cairn::library_version() || CAIRN_VERSION_STRING != cairn::library_version_string() ||
      CAIRN_VERSION_STRING != std::string_view(PACKAGE_VERSION)) {
    std::cerr << "headers " << CAIRN_VERSION_STRING << ", library " << cairn::library_version_string() << ", package "
              << PACKAGE_VERSION << "\n";
    return 1;
  }
  cairn::runtime runtime{{.journal = cairn::memory_journal()}};
  runtime.ask<Box>("a", Open{}, cairn::blocking).value();
  runtime.ask<Box>("a", Add{3}, cairn::blocking).value();
  const auto box = runtime.state<Box>("a", cairn::blocking);
  std::cout << "version " << box.version.value << ", count " << box.state.count << "\n";
}
