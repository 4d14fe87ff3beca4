// Values as JSON text, for people to read: what a test expected, and what there was.
//
// The same bytes give the same text. A timestamp is its date and time. Bytes, and texts that are not UTF-8, are
// {"base64":"…"}; another extension is {"ext":TYPE,"base64":"…"}; a key that is no text is the text of its JSON.
#pragma once

#include <cairn/codec.hpp>

#include <string>
#include <string_view>

namespace cairn::inline v1::testkit::detail {

/// `text`, which is UTF-8, as a string of JSON.
std::string quoted_text(std::string_view text);

/// Any bytes as {"base64":"…"}.
std::string bytes_text(std::string_view bytes);

/// Exactly one value of msgpack as one line of JSON. Throws error(errc::corrupt_record) where the bytes are none.
std::string json_text(std::string_view msgpack_bytes);

/// Appends the msgpack of a value whose type is forgotten.
using pack_function = void (*)(std::string& bytes, const void* value);

template <class T>
void pack(std::string& bytes, const void* value) {
  cairn::detail::encode(bytes, *static_cast<const T*>(value));
}

/// The msgpack of a value. Throws what packing it throws.
std::string bytes_of(const void* value, pack_function pack);

/// The value as JSON, also where it cannot be packed.
std::string shown(const void* value, pack_function pack);

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
