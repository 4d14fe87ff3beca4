// A program that needs all of cairn's libraries, to be linked by what pkg-config says.
#include <cairn/maintenance.hpp>
#include <cairn/store.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <cstdlib>
#include <filesystem>

int main(int, char** arguments) {
  const std::filesystem::path folder = arguments[1];
  std::filesystem::remove_all(folder);
  cairn::testkit::test_runtime world;
  world.run();
  cairn::open_store(folder);
  return cairn::verify_store(folder).records == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
