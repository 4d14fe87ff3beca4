// What every fuzzer shares: bytes as text, and the rule that a decoder refuses with cairn's own error or not at all.
#pragma once

#include <cairn/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace cairn::fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

/// Ends the process, as a fuzzer's finding, where a property does not hold.
inline void require(bool holds) {
  if (!holds) std::abort();
}

/// Runs a decoder. Whatever else it throws is a finding. Says whether it took its input.
template <class Decode>
bool decodes(Decode decode) {
  try {
    decode();
    return true;
  } catch (const error& refused) {
    require(refused.kind() == errc::corrupt_record || refused.kind() == errc::invalid_argument ||
            refused.kind() == errc::unknown_format);
    require(!refused.detail().empty());
    return false;
  }
}

/// Whether a view lies within the input, as everything that owns nothing must.
inline bool within(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace cairn::fuzz
