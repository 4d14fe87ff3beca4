// What is read of RocksDB's write-ahead log before RocksDB reads it: any bytes as a file.
#include "harness.hpp"

#include "../../persistence/wal_check.hpp"

#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace cairn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto folder = std::filesystem::temp_directory_path() / ("cairn-fuzz-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "000001.log", std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  const auto found = detail::check_write_ahead_logs(folder);
  fuzz::require(!found.damage || found.damage->find("000001.log") != std::string::npos);
  fuzz::require(!found.damage || found.torn.empty());
  for (const auto& tail : found.torn) {
    fuzz::require(tail.sound_bytes < size);
    // What is left when it is cut off is sound.
    std::filesystem::resize_file(tail.file, tail.sound_bytes);
    const auto again = detail::check_write_ahead_logs(folder);
    fuzz::require(!again.damage && again.torn.empty());
  }
  return 0;
}
