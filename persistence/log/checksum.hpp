// XXH3-64, which guards everything in the log against accidents. The chain of SHA-256 guards it against people.
#pragma once

#include <cstdint>
#include <string_view>

namespace cairn::inline v1::detail {

/// Thread safety: any thread.
std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) noexcept;

}  // namespace cairn::detail
