// Values as JSON text, for people to read: what a test expected, and what there was.
//
// The same bytes give the same text. A timestamp is its date and time. Bytes, and texts that are not UTF-8, are
// {"base64":"…"}; another extension is {"ext":TYPE,"base64":"…"}; a key that is no text is the text of its JSON.
#pragma once

#include <cairn/codec.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/time.hpp>
#include <cairn/utf8.hpp>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace cairn::inline v1::testkit::detail {

inline std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
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

inline std::string quoted_text(std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string all = "\"";
  for (const char c : text) {
    switch (c) {
    case '"': all += "\\\""; break;
    case '\\': all += "\\\\"; break;
    case '\n': all += "\\n"; break;
    case '\r': all += "\\r"; break;
    case '\t': all += "\\t"; break;
    default:
      if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) {
        all += "\\u00";
        all += hex[byte >> 4];
        all += hex[byte & 15];
      } else {
        all += c;
      }
    }
  }
  return all + '"';
}

inline std::string bytes_text(std::string_view bytes) { return "{\"base64\":\"" + base64(bytes) + "\"}"; }

/// The shortest text that reads back as the same number, and always as one with a fraction.
template <class Float>
std::string float_text(Float number) {
  if (std::isnan(number)) return "\"NaN\"";
  if (std::isinf(number)) return number < 0 ? "\"-Infinity\"" : "\"Infinity\"";
  char digits[32];
  std::string text(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

/// Returns `bytes` as a number, with the highest byte first.
inline std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

/// Returns date and time of a msgpack timestamp, with microseconds or with nanoseconds; empty if it has none that people write.
inline std::string timestamp_text(std::string_view body) {
  namespace time = std::chrono;
  std::int64_t count = 0;
  std::uint64_t below = 0;
  switch (body.size()) {
  case 4: count = static_cast<std::int64_t>(big_endian(body)); break;
  case 8:
    count = static_cast<std::int64_t>(big_endian(body) & 0x3ffffffff);
    below = big_endian(body) >> 34;
    break;
  case 12:
    count = static_cast<std::int64_t>(big_endian(body.substr(4)));
    below = big_endian(body.substr(0, 4));
    break;
  default: return {};
  }
  constexpr time::sys_seconds first = time::sys_days{time::year{1} / 1 / 1};
  constexpr time::sys_seconds beyond = time::sys_days{time::year{10000} / 1 / 1};
  const time::sys_seconds whole{time::seconds{count}};
  if (whole < first || whole >= beyond || below >= 1'000'000'000) return {};
  auto text = cairn::to_string(whole + time::microseconds{below / 1000});
  if (below % 1000 != 0) text.insert(text.size() - 1, std::to_string(1000 + below % 1000).substr(1));
  return text;
}

inline std::string ext_text(const msgpack::object_ext& ext) {
  const std::string_view body(ext.data(), ext.size);
  const auto moment = ext.type() == -1 ? timestamp_text(body) : std::string();
  if (!moment.empty()) return quoted_text(moment);
  return "{\"ext\":" + std::to_string(ext.type()) + ",\"base64\":\"" + base64(body) + "\"}";
}

inline std::string json_text(const msgpack::object& value);

/// `value` as the name of a member.
inline std::string key_text(const msgpack::object& key) {
  const auto text = json_text(key);
  return text.starts_with('"') ? text : quoted_text(text);
}

inline std::string array_text(const msgpack::object_array& array) {
  std::string all = "[";
  for (std::uint32_t i = 0; i < array.size; ++i) all += (i ? "," : "") + json_text(array.ptr[i]);
  return all + "]";
}

inline std::string map_text(const msgpack::object_map& map) {
  std::string all = "{";
  for (std::uint32_t i = 0; i < map.size; ++i) all += (i ? "," : "") + key_text(map.ptr[i].key) + ":" + json_text(map.ptr[i].val);
  return all + "}";
}

inline std::string json_text(const msgpack::object& value) {
  const auto& via = value.via;
  switch (value.type) {
  case msgpack::type::NIL: return "null";
  case msgpack::type::BOOLEAN: return via.boolean ? "true" : "false";
  case msgpack::type::POSITIVE_INTEGER: return std::to_string(via.u64);
  case msgpack::type::NEGATIVE_INTEGER: return std::to_string(via.i64);
  case msgpack::type::FLOAT32: return float_text(static_cast<float>(via.f64));
  case msgpack::type::FLOAT64: return float_text(via.f64);
  case msgpack::type::STR: {
    const std::string_view text(via.str.ptr, via.str.size);
    return is_utf8(text) ? quoted_text(text) : bytes_text(text);
  }
  case msgpack::type::BIN: return bytes_text({via.bin.ptr, via.bin.size});
  case msgpack::type::EXT: return ext_text(via.ext);
  case msgpack::type::ARRAY: return array_text(via.array);
  case msgpack::type::MAP: return map_text(via.map);
  }
  return {};
}

/// Exactly one value of msgpack as one line of JSON. Throws error(errc::corrupt_record) where the bytes are none.
inline std::string json_text(std::string_view msgpack_bytes) {
  return cairn::detail::with_object(msgpack_bytes, [](const msgpack::object& value) { return json_text(value); });
}

/// The msgpack of a value.
template <class T>
std::string bytes_of(const T& value) {
  std::string bytes;
  cairn::detail::encode(bytes, value);
  return bytes;
}

/// Any value that is known to msgpack as one line of JSON.
template <class T>
std::string json_of(const T& value) {
  return json_text(std::string_view(bytes_of(value)));
}

}  // namespace cairn::testkit::detail
