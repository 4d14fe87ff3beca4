// The short way from msgpack bytes into a struct whose fields msgpack-c's macros define: field by field, in the order in which
// they were written. What stands otherwise in the bytes (fields missing, added, in another order, of another type) is not for
// this reader, and msgpack-c takes it.
//
// Why: msgpack-c parses the bytes into objects, and builds a std::map of names for each struct. That costs ten times as much, and
// every event is read back before it is stored. The bytes are those of https://github.com/msgpack/msgpack/blob/master/spec.md.
#pragma once

#include <cairn/detail/msgpack_parse.hpp>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <msgpack.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace cairn::codec::detail {

/// The class that a pointer to a member function is of.
template <class Member>
struct class_of_member;
template <class Result, class Class, class... Parameters>
struct class_of_member<Result (Class::*)(Parameters...)> {
  using type = Class;
};
template <class Result, class Class, class... Parameters>
struct class_of_member<Result (Class::*)(Parameters...) const> {
  using type = Class;
};
template <class Member>
using class_of = typename class_of_member<Member>::type;

/// Whether msgpack-c's macros define the fields of a `T`. They make three functions of one class, two of them templates; a class
/// that says itself how it is unpacked lacks one of them, or has it in another class than the others. (One that has all three by
/// hand, as the same templates, is taken for one of the macros' making, and must unpack what it packs.)
template <class T>
concept HasDefinedFields = std::is_class_v<T> && !msgpack::has_as<T>::value && requires {
  requires std::same_as<class_of<decltype(&T::msgpack_unpack)>,
                        class_of<decltype(&T::template msgpack_pack<msgpack::packer<msgpack::sbuffer>>)>>;
  requires std::same_as<class_of<decltype(&T::msgpack_unpack)>, class_of<decltype(&T::template msgpack_object<msgpack::object>)>>;
};

template <class T>
concept ReadInteger = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
                      !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

/// What is left of some bytes. Each function takes the value that it is asked for, or returns false.
class byte_reader {
public:
  explicit byte_reader(std::string_view bytes) : left_(bytes) {}

  bool at_end() const { return left_.empty(); }

  /// Takes the head of a map (`fixed` 0x80, `sized` 0xde) or an array (0x90, 0xdc) of exactly so many members.
  bool take_head(unsigned fixed, unsigned sized, std::uint32_t members) {
    unsigned head = 0;
    if (!take_byte(head)) return false;
    if (members < 16) return head == (fixed | members);
    std::uint64_t claimed = 0;
    return head == sized ? take_big_endian<std::uint16_t>(claimed) && claimed == members
                         : head == sized + 1 && take_big_endian<std::uint32_t>(claimed) && claimed == members;
  }

  bool take_text(std::string_view& text) {
    unsigned head = 0;
    if (!take_byte(head)) return false;
    std::uint64_t size = head & 0x1f;
    const bool sized = (head & 0xe0) == 0xa0 || (head == 0xd9 && take_big_endian<std::uint8_t>(size)) ||
                       (head == 0xda && take_big_endian<std::uint16_t>(size)) ||
                       (head == 0xdb && take_big_endian<std::uint32_t>(size));
    if (!sized || size > left_.size()) return false;
    text = left_.substr(0, size);
    left_.remove_prefix(size);
    return true;
  }

  /// Takes this very text, a literal.
  template <std::size_t Size>
  bool take_literal(const char (&text)[Size]) {
    constexpr std::size_t length = Size - 1;
    if constexpr (length < 32) {
      if (left_.size() <= length || static_cast<unsigned char>(left_.front()) != (0xa0 | length) ||
          std::memcmp(left_.data() + 1, text, length) != 0) {
        return false;
      }
      left_.remove_prefix(1 + length);
      return true;
    } else {
      std::string_view there;
      return take_text(there) && there == std::string_view(text, length);
    }
  }

  bool take(std::string& value) {
    std::string_view text;
    if (!take_text(text)) return false;
    value.assign(text);
    return true;
  }

  bool take(bool& value) {
    unsigned head = 0;
    if (!take_byte(head)) return false;
    value = head == 0xc3;
    return value || head == 0xc2;
  }

  template <ReadInteger T>
  bool take(T& value) {
    unsigned head = 0;
    if (!take_byte(head)) return false;
    std::uint64_t bits = head;
    if (head < 0x80) return fits(bits, value);
    if (head >= 0xe0) return fits(std::int64_t{static_cast<std::int8_t>(head)}, value);
    switch (head) {
    case 0xcc: return take_big_endian<std::uint8_t>(bits) && fits(bits, value);
    case 0xcd: return take_big_endian<std::uint16_t>(bits) && fits(bits, value);
    case 0xce: return take_big_endian<std::uint32_t>(bits) && fits(bits, value);
    case 0xcf: return take_big_endian<std::uint64_t>(bits) && fits(bits, value);
    case 0xd0: return take_big_endian<std::uint8_t>(bits) && fits(std::int64_t{static_cast<std::int8_t>(bits)}, value);
    case 0xd1: return take_big_endian<std::uint16_t>(bits) && fits(std::int64_t{static_cast<std::int16_t>(bits)}, value);
    case 0xd2: return take_big_endian<std::uint32_t>(bits) && fits(std::int64_t{static_cast<std::int32_t>(bits)}, value);
    case 0xd3: return take_big_endian<std::uint64_t>(bits) && fits(static_cast<std::int64_t>(bits), value);
    default: return false;
    }
  }

  bool take(double& value) {
    unsigned head = 0;
    std::uint64_t bits = 0;
    if (!take_byte(head) || head != 0xcb || !take_big_endian<std::uint64_t>(bits)) return false;
    value = std::bit_cast<double>(bits);
    return true;
  }

  template <HasDefinedFields T>
  bool take(T& value);

  /// Anything else, as msgpack-c reads it.
  template <class T>
  bool take(T& value) {
    try {
      arena arena;
      std::size_t used = 0;
      const auto parsed = parse_first(arena.zone(), left_, used);
      if constexpr (msgpack::has_as<T>::value) {
        value = parsed.template as<T>();
      } else {
        parsed.convert(value);
      }
      left_.remove_prefix(used);
      return true;
    } catch (const error&) { return false; } catch (const std::bad_cast&) {
      return false;
    }
  }

private:
  bool take_byte(unsigned& byte) {
    if (left_.empty()) return false;
    byte = static_cast<unsigned char>(left_.front());
    left_.remove_prefix(1);
    return true;
  }

  template <class Width>
  bool take_big_endian(std::uint64_t& value) {
    if (left_.size() < sizeof(Width)) return false;
    value = 0;
    for (std::size_t i = 0; i < sizeof(Width); ++i) value = value << 8 | static_cast<unsigned char>(left_[i]);
    left_.remove_prefix(sizeof(Width));
    return true;
  }

  template <class T>
  static bool fits(auto number, T& value) {
    value = static_cast<T>(number);
    return std::in_range<T>(number);
  }

  std::string_view left_;
};

/// Stands where a packer would. What MSGPACK_DEFINE_MAP and its like generate hands a packer the name and the field of each
/// member in turn; this one fills the field instead of writing it. The generated functions take a value as const, but this one is
/// not, and what is no part of it, as a value made on the way, is not touched.
class field_filler {
public:
  template <class T>
  field_filler(byte_reader& bytes, T& value)
      : bytes_(bytes), begin_(reinterpret_cast<const char*>(&value)), end_(begin_ + sizeof value) {}

  bool good() const { return good_; }

  // Called by what the macros generate.
  field_filler& pack_map(std::uint32_t fields) {
    named_ = true;
    good_ = bytes_.take_head(0x80, 0xde, fields);
    return *this;
  }
  field_filler& pack_array(std::uint32_t fields) {
    good_ = bytes_.take_head(0x90, 0xdc, fields);
    return *this;
  }
  template <class Field>
  field_filler& pack(const Field& field) {
    const bool is_name = named_ && std::exchange(name_next_, !name_next_);
    good_ = good_ && (is_name ? take_name(field) : take_field(field));
    return *this;
  }

private:
  template <class Name>
  bool take_name(const Name& name) {
    if constexpr (std::is_array_v<Name> && std::convertible_to<const Name&, std::string_view>) {
      return bytes_.take_literal(name);
    } else {
      return false;
    }
  }

  template <class Field>
  bool take_field(const Field& field) {
    const auto* const here = reinterpret_cast<const char*>(&field);
    if (here < begin_ || here >= end_) return false;
    if constexpr (std::is_array_v<Field>) {
      return false;
    } else {
      return bytes_.take(const_cast<Field&>(field));
    }
  }

  byte_reader& bytes_;
  const char* const begin_;
  const char* const end_;
  bool good_ = false;
  bool named_ = false;
  bool name_next_ = true;
};

template <HasDefinedFields T>
bool byte_reader::take(T& value) {
  field_filler filler(*this, value);
  std::as_const(value).msgpack_pack(filler);
  return filler.good();
}

}  // namespace cairn::codec::detail
