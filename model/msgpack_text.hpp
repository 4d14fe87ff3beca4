// Bytes and timestamps of msgpack as text, for exports and for reports of tests.
#pragma once

#include <cairn/time.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace cairn::inline v1::detail {

/// Returns the bytes as base64, with padding.
std::string to_base64(std::string_view bytes);

/// Returns `bytes` as a number, with the highest byte first. Of more bytes than a `Number` has, the last ones count.
template <class Number>
Number big_endian(std::string_view bytes) {
  std::make_unsigned_t<Number> number = 0;
  for (const char byte : bytes)
    number = static_cast<std::make_unsigned_t<Number>>(number << 8 | static_cast<unsigned char>(byte));
  return static_cast<Number>(number);
}

/// The type of the extension that is a timestamp.
inline constexpr std::int8_t msgpack_timestamp_type = -1;

// People write years with four digits.
inline constexpr timestamp first_readable_date = std::chrono::sys_days{std::chrono::year{1} / 1 / 1};
inline constexpr timestamp first_date_beyond = std::chrono::sys_days{std::chrono::year{10000} / 1 / 1};

/// A timestamp of msgpack.
struct msgpack_moment {
  std::int64_t seconds = 0;       ///< since 1970; may be negative
  std::uint32_t nanoseconds = 0;  ///< forwards from there
};

/// Reads the body of a timestamp; nullopt if no timestamp has so many bytes.
std::optional<msgpack_moment> msgpack_moment_in(std::string_view body);

/// Returns date and time, with microseconds or with nanoseconds; nullopt if the moment has none that people write.
std::optional<std::string> text_of_moment(const msgpack_moment& when);

}  // namespace cairn::detail
