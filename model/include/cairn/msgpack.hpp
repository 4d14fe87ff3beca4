// The codec of types with MSGPACK_DEFINE_MAP. Include it where events and states are defined.
//
// Brings the fields' types below. For others include their adaptor (<msgpack/adaptor/...>) or all of <msgpack.hpp>.
#pragma once

#include <cairn/codec.hpp>
#include <cairn/detail/field_visitor.hpp>
#include <cairn/error.hpp>

#include <msgpack/adaptor/bool.hpp>
#include <msgpack/adaptor/carray.hpp>
#include <msgpack/adaptor/char_ptr.hpp>
#include <msgpack/adaptor/cpp11/array.hpp>
#include <msgpack/adaptor/cpp11/chrono.hpp>
#include <msgpack/adaptor/cpp11/unordered_map.hpp>
#include <msgpack/adaptor/cpp17/optional.hpp>
#include <msgpack/adaptor/cpp17/string_view.hpp>
#include <msgpack/adaptor/define.hpp>
#include <msgpack/adaptor/float.hpp>
#include <msgpack/adaptor/int.hpp>
#include <msgpack/adaptor/map.hpp>
#include <msgpack/adaptor/nil.hpp>
#include <msgpack/adaptor/pair.hpp>
#include <msgpack/adaptor/set.hpp>
#include <msgpack/adaptor/string.hpp>
#include <msgpack/adaptor/vector.hpp>
#include <msgpack/adaptor/vector_bool.hpp>
#include <msgpack/adaptor/vector_char.hpp>
#include <msgpack/pack.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace cairn::inline v1 {
namespace detail {

/// Parses exactly `bytes` and hands the object to `use`; the object lives until `use` returns.
/// Throws error(errc::corrupt_record) if the bytes are not exactly one msgpack value.
template <class Use>
auto with_object(std::string_view bytes, Use&& use) {
  const parsed_value parsed(bytes);
  return use(parsed.object());
}

/// Reads a value as msgpack-c does, from exactly `bytes`.
template <class T>
T decode_parsed(std::string_view bytes) {
  const parsed_value parsed(bytes);
  try {
    T value{};
    if constexpr (!std::is_empty_v<T>) parsed.object().convert(value);
    return value;
  } catch (const std::bad_cast& reason) { throw_other_type(reason.what()); }
}

template <class T>
concept HasUpcast = requires(std::uint32_t from, const msgpack::object& old) {
  { T::upcast(from, old) } -> std::same_as<T>;
};

}  // namespace detail

template <class T>
struct codec {
  /// Appends `value` to `out`; a type without fields is an empty map. Throws what the type's own packing throws.
  static void encode(std::string& out, const T& value) {
    if constexpr (std::is_empty_v<T>) {
      detail::write_map_head(out, 0);
    } else if constexpr (detail::HasDefinedFields<T>) {
      detail::encode_fields(out, value);
    } else {
      detail::string_appender buffer{out};
      msgpack::packer<detail::string_appender>(buffer).pack(value);
    }
  }

  /// Reads one value from exactly `bytes`. Throws error(errc::corrupt_record) if they are not a `T`.
  static T decode(std::string_view bytes) {
    if constexpr (detail::HasDefinedFields<T>) {
      T value{};
      detail::byte_reader reader(bytes);
      if (!detail::read_fields(reader, value) || !reader.at_end()) {
        value = T{};
        detail::decode_by_name(bytes, &value, sizeof value, detail::visit_fields<T>);
      }
      return value;
    } else {
      return detail::decode_parsed<T>(bytes);
    }
  }

  /// Reads an older schema version by the type's `static T upcast(std::uint32_t from, const msgpack::object& old)`.
  static T upcast(std::uint32_t from, std::string_view bytes) requires detail::HasUpcast<T> {
    const detail::parsed_value old(bytes);
    return T::upcast(from, old.object());
  }

  /// Whether msgpack can know the fields: false for a struct that has some and does not name them.
  static constexpr bool names_its_fields =
      !std::is_class_v<T> || std::is_empty_v<T> || requires(const T& value, msgpack::packer<detail::string_appender>& packer) {
    value.msgpack_pack(packer);
  };
};

}  // namespace cairn

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  // An enum without MSGPACK_ADD_ENUM is stored as its number, as that macro does.
  template <class E>
  struct pack<E, std::enable_if_t<std::is_enum_v<E>>> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& out, const E& value) const {
      return out << static_cast<std::underlying_type_t<E>>(value);
    }
  };
  template <class E>
  struct convert<E, std::enable_if_t<std::is_enum_v<E>>> {
    const msgpack::object& operator()(const msgpack::object& from, E& value) const {
      std::underlying_type_t<E> number;
      from >> number;
      value = static_cast<E>(number);
      return from;
    }
  };
  template <class E>
  struct object<E, std::enable_if_t<std::is_enum_v<E>>> {
    void operator()(msgpack::object& into, const E& value) const { into << static_cast<std::underlying_type_t<E>>(value); }
  };
  template <class E>
  struct object_with_zone<E, std::enable_if_t<std::is_enum_v<E>>> {
    void operator()(msgpack::object::with_zone& into, const E& value) const {
      into << static_cast<std::underlying_type_t<E>>(value);
    }
  };

  }  // namespace adaptor
}
}  // namespace msgpack
