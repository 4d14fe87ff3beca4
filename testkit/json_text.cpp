#include "../model/msgpack_text.hpp"
#include "object_text.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/utf8.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <exception>

namespace cairn::inline v1::testkit::detail {
namespace {

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

std::string ext_text(const msgpack::object_ext& ext) {
  const std::string_view body(ext.data(), ext.size);
  if (ext.type() == cairn::detail::msgpack_timestamp_type) {
    const auto moment = cairn::detail::msgpack_moment_in(body);
    if (const auto text = moment ? cairn::detail::text_of_moment(*moment) : std::nullopt) return quoted_text(*text);
  }
  return "{\"ext\":" + std::to_string(ext.type()) + ",\"base64\":\"" + cairn::detail::to_base64(body) + "\"}";
}

/// `value` as the name of a member.
std::string key_text(const msgpack::object& key) {
  const auto text = json_text(key);
  return text.starts_with('"') ? text : quoted_text(text);
}

std::string array_text(const msgpack::object_array& array) {
  std::string all = "[";
  for (std::uint32_t i = 0; i < array.size; ++i) all += (i ? "," : "") + json_text(array.ptr[i]);
  return all + "]";
}

std::string map_text(const msgpack::object_map& map) {
  std::string all = "{";
  for (std::uint32_t i = 0; i < map.size; ++i) all += (i ? "," : "") + key_text(map.ptr[i].key) + ":" + json_text(map.ptr[i].val);
  return all + "}";
}

}  // namespace

std::string json_text(const msgpack::object& value) {
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

std::string quoted_text(std::string_view text) {
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

std::string bytes_text(std::string_view bytes) { return "{\"base64\":\"" + cairn::detail::to_base64(bytes) + "\"}"; }

std::string json_text(std::string_view msgpack_bytes) {
  return cairn::detail::with_object(msgpack_bytes, [](const msgpack::object& value) { return json_text(value); });
}

std::string bytes_of(const void* value, pack_function pack) {
  std::string bytes;
  pack(bytes, value);
  return bytes;
}

std::string shown(const void* value, pack_function pack) {
  try {
    return json_text(std::string_view(bytes_of(value, pack)));
  } catch (const std::exception& reason) { return std::string("(") + reason.what() + ")"; }
}

}  // namespace cairn::testkit::detail
