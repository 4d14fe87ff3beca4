// Values to msgpack bytes and back. The only place that knows how msgpack is driven.
#pragma once

#include <cairn/detail/field_reader.hpp>
#include <cairn/detail/msgpack_parse.hpp>
#include <cairn/error.hpp>

#include <msgpack.hpp>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cairn::codec {

/// Appends `value` to `out`; a type without fields is an empty map. Throws what the type's own packing throws.
template <class T>
void encode(std::string& out, const T& value) {
  struct appender {
    std::string& bytes;
    void write(const char* data, std::size_t size) { bytes.append(data, size); }
  } buffer{out};
  if constexpr (std::is_empty_v<T>) {
    msgpack::packer<appender>(buffer).pack_map(0);
  } else {
    msgpack::packer<appender>(buffer).pack(value);
  }
}

/// Parses exactly `bytes` and hands the object to `use`; the object lives until `use` returns.
/// Throws error(errc::corrupt_record) where the bytes are not exactly one msgpack value.
template <class Use>
auto with_object(std::string_view bytes, Use&& use) {
  detail::arena arena;
  std::size_t used = 0;
  const auto parsed = detail::parse_first(arena.zone(), bytes, used);
  if (used != bytes.size()) throw error(errc::corrupt_record, "more bytes than one msgpack value");
  return use(parsed);
}

/// Reads one value from exactly `bytes`. Throws error(errc::corrupt_record) where they are not a `T`.
template <class T>
T decode(std::string_view bytes) {
  if constexpr (detail::HasDefinedFields<T>) {
    T value{};
    detail::byte_reader reader(bytes);
    if (reader.take(value) && reader.at_end()) return value;
  }
  return with_object(bytes, [](const msgpack::object& parsed) {
    try {
      T value{};
      if constexpr (!std::is_empty_v<T>) parsed.convert(value);
      return value;
    } catch (const std::bad_cast& reason) {
      throw error(errc::corrupt_record, std::string("msgpack of another type: ") + reason.what());
    }
  });
}

}  // namespace cairn::codec
