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
  const auto torn = detail::damage_like_a_torn_tail(folder);
  fuzz::require(!torn || torn->find("000001.log") != std::string::npos);
  detail::failed_checksum_in_write_ahead_logs(folder);
  return 0;
}
