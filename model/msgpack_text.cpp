#include "msgpack_text.hpp"

#include <cstddef>

namespace cairn::inline v1::detail {

std::string to_base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve(4 * ((bytes.size() + 2) / 3));
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    unsigned group = 0;
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0);
    const auto rest = bytes.size() - at;
    text += digits[group >> 18];
    text += digits[group >> 12 & 63];
    text += rest > 1 ? digits[group >> 6 & 63] : '=';
    text += rest > 2 ? digits[group & 63] : '=';
  }
  return text;
}

std::optional<msgpack_moment> msgpack_moment_in(std::string_view body) {
  switch (body.size()) {
  case 4: return msgpack_moment{big_endian<std::uint32_t>(body), 0};
  case 8: {
    const auto both = big_endian<std::uint64_t>(body);
    return msgpack_moment{static_cast<std::int64_t>(both & 0x3ffffffff), static_cast<std::uint32_t>(both >> 34)};
  }
  case 12: return msgpack_moment{big_endian<std::int64_t>(body.substr(4)), big_endian<std::uint32_t>(body.substr(0, 4))};
  default: return std::nullopt;
  }
}

std::optional<std::string> text_of_moment(const msgpack_moment& when) {
  using namespace std::chrono;
  constexpr std::uint32_t nanoseconds_of_second = 1'000'000'000;
  constexpr auto least = duration_cast<seconds>(first_readable_date.time_since_epoch()).count();
  constexpr auto beyond = duration_cast<seconds>(first_date_beyond.time_since_epoch()).count();
  if (when.nanoseconds >= nanoseconds_of_second || when.seconds < least || when.seconds >= beyond) return std::nullopt;
  auto text = to_string(timestamp{seconds{when.seconds}} + microseconds{when.nanoseconds / 1000});
  if (const auto rest = when.nanoseconds % 1000; rest != 0) text.insert(text.size() - 1, std::to_string(1000 + rest).substr(1));
  return text;
}

}  // namespace cairn::detail
