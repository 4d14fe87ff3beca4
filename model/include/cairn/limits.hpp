// The hard limits of a record. Checked when an event is encoded, and again when bytes are read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn::inline v1::limits {

inline constexpr std::size_t category_bytes_max = 255;
inline constexpr std::size_t id_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t event_type_bytes_max = 255;
/// Each of command id, correlation id, causation id, who, and each key and value of the user's own.
inline constexpr std::size_t metadata_field_bytes_max = std::size_t{1} << 16;
inline constexpr std::size_t metadata_keys_max = 64;
/// What newer programs add to a record; docs/record_format.md, "What is reserved".
inline constexpr std::size_t record_extensions_max = 64;
inline constexpr std::size_t payload_bytes_max = std::size_t{16} << 20;
/// One record: all of the above with room to spare.
inline constexpr std::size_t record_bytes_max = std::size_t{32} << 20;
/// Events of one decision, and their records together.
inline constexpr std::size_t events_per_decision_max = 10'000;
inline constexpr std::size_t decision_bytes_max = std::size_t{64} << 20;

}  // namespace cairn::limits
