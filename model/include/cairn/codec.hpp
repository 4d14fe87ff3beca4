// How a value becomes bytes and back. <cairn/msgpack.hpp> is the usual way; another format is a specialisation.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace cairn::inline v1 {

/// Encodes and decodes `T`: an event, a state, or the typed result of a command. <cairn/msgpack.hpp> defines it for
/// types with MSGPACK_DEFINE_MAP. Specialise it for a type of another format:
///
///     template <>
///     struct cairn::codec<Opened> {
///       static void encode(std::string& out, const Opened& value);  // appends to `out`
///       static Opened decode(std::string_view bytes);               // throws error(errc::corrupt_record)
///     };
///
/// Optional: `static T upcast(std::uint32_t from, std::string_view bytes)` reads an older schema version of an event.
/// Thread safety: both are called from several threads at once.
template <class T>
struct codec;

/// A type with a codec.
template <class T>
concept Encodable = requires(std::string& out, const T& value, std::string_view bytes) {
  codec<T>::encode(out, value);
  { codec<T>::decode(bytes) } -> std::same_as<T>;
};

namespace detail {

template <class T>
void encode(std::string& out, const T& value) {
  codec<T>::encode(out, value);
}

/// Whether the codec of `T` knows fields of it: the bytes tell one value from another.
template <class T>
inline constexpr bool has_fields = [] {
  if constexpr (!Encodable<T> || std::is_empty_v<T>) {
    return false;
  } else if constexpr (requires { codec<T>::names_its_fields; }) {
    return codec<T>::names_its_fields;
  } else {
    return true;
  }
}();

}  // namespace detail
}  // namespace cairn
