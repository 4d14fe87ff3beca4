// CRC-32C, which RocksDB guards its logs with: by the processor's own instruction where cairn knows it, which is on x86-64.
//
// Distributions build RocksDB for any x86-64 processor, so its own CRC-32C goes through tables, at 1.5 GB/s: a tenth of what the
// journal's thread does. cairn has to know the checksum anyway, to read a log's end after a crash. There the linker hands
// RocksDB's calls to the same function (`--wrap`, CMakeLists.txt), if it links RocksDB's static library; a shared one keeps its
// own.
#pragma once

#include <cstdint>
#include <string_view>

namespace cairn::detail {

/// Of what `before` is the checksum of, with `bytes` behind it. Any thread.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0) noexcept;

/// The same through tables, on any processor.
std::uint32_t crc32c_by_tables(std::string_view bytes, std::uint32_t before = 0) noexcept;

}  // namespace cairn::detail
