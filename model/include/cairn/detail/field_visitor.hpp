// How the fields that msgpack-c's macros define become bytes and back.
//
// MSGPACK_DEFINE_MAP and its like generate a template that hands a packer the name and the value of each field in turn.
// field_visitor is such a packer. It writes the fields; or it fills them from bytes, in the order in which they were
// written; or it fills them from a parsed msgpack map, by name: fields may then be missing, added or in another order.
//
// Why not msgpack-c's own unpacking: it parses the bytes into objects and builds a std::map of names for each struct, which
// costs ten times as much, and every event is read back before it is stored. And one visitor is instantiated once per type.
// The bytes are those of https://github.com/msgpack/msgpack/blob/master/spec.md.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <msgpack/object.hpp>
#include <msgpack/pack.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace cairn::inline v1::detail {

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
/// hand, as the same templates, is taken for one of the macros' making, and must pack its fields themselves.)
class field_visitor;
template <class T>
concept HasDefinedFields = std::is_class_v<T> && !msgpack::has_as<T>::value && requires {
  requires std::same_as<class_of<decltype(&T::msgpack_unpack)>, class_of<decltype(&T::template msgpack_pack<field_visitor>)>>;
  requires std::same_as<class_of<decltype(&T::msgpack_unpack)>, class_of<decltype(&T::template msgpack_object<msgpack::object>)>>;
};

/// Integers that msgpack-c packs as numbers, by value: the width of the type does not show in the bytes.
template <class T>
concept PlainInteger = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
                       !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

struct string_appender {
  std::string& bytes;
  void write(const char* data, std::size_t size) { bytes.append(data, size); }
};

// Values as msgpack-c packs them.
void write_number(std::string& out, std::int64_t value);
void write_number(std::string& out, std::uint64_t value);
void write_value(std::string& out, bool value);
void write_value(std::string& out, double value);
void write_text(std::string& out, std::string_view text);
void write_map_head(std::string& out, std::uint32_t fields);
void write_array_head(std::string& out, std::uint32_t fields);

/// The rest of some bytes. Each function takes a value from their front, or returns false.
class byte_reader {
public:
  explicit byte_reader(std::string_view bytes) : left_(bytes) {}

  bool at_end() const { return left_.empty(); }

  bool take_map_head(std::uint32_t fields) { return take_head(0x80, 0xde, fields); }
  bool take_array_head(std::uint32_t fields) { return take_head(0x90, 0xdc, fields); }
  bool take_text(std::string_view& text);
  /// Takes this very text.
  bool take_literal(std::string_view text);
  bool take_value(std::string& value);
  bool take_value(bool& value);
  bool take_value(double& value);
  /// The value is in `low` to `high`.
  bool take_number(std::int64_t& value, std::int64_t low, std::int64_t high);
  bool take_number(std::uint64_t& value, std::uint64_t high);
  /// Takes any one value, as bytes.
  bool take_any(std::string_view& bytes);

private:
  bool take_head(unsigned fixed, unsigned sized, std::uint32_t members);
  bool take_byte(unsigned& byte);
  template <class Width>
  bool take_big_endian(std::uint64_t& value);
  bool take_bits(std::uint64_t& bits, bool& negative);

  std::string_view left_;
};

/// The one msgpack value in some bytes, parsed. The object lives as long as this and the bytes.
/// Throws error(errc::corrupt_record) if the bytes are not exactly one msgpack value.
class parsed_value {
public:
  explicit parsed_value(std::string_view bytes);
  ~parsed_value();
  parsed_value(const parsed_value&) = delete;
  parsed_value& operator=(const parsed_value&) = delete;

  const msgpack::object& object() const noexcept { return object_; }

private:
  void* zone_;  // the thread's own, emptied, so that parsing a small value allocates nothing; else a fresh one
  bool shared_;
  msgpack::object object_;
};

[[noreturn]] void throw_other_type(const char* reason);

class field_visitor {
public:
  /// Writes.
  explicit field_visitor(std::string& out) : out_(&out) {}
  /// Fills the fields of a value that is at `begin` and has `size` bytes, from bytes.
  field_visitor(byte_reader& bytes, const void* begin, std::size_t size)
      : bytes_(&bytes), begin_(static_cast<const char*>(begin)), end_(begin_ + size) {}
  /// The same, from a parsed value.
  field_visitor(const msgpack::object& parsed, const void* begin, std::size_t size)
      : parsed_(&parsed), begin_(static_cast<const char*>(begin)), end_(begin_ + size) {}

  /// Whether all fields were filled from bytes.
  bool good() const { return good_; }

  // Called by what the macros generate. A parsed value of another type throws msgpack::type_error.
  field_visitor& pack_map(std::uint32_t fields);
  field_visitor& pack_array(std::uint32_t fields);
  template <class Field>
  field_visitor& pack(const Field& field) {
    if constexpr (std::is_array_v<Field> && std::convertible_to<const Field&, std::string_view>) {
      if (!named_ || !name_next_) return pack_characters(field, std::size(field));
      name_next_ = false;
      visit_name(std::string_view(field, std::size(field) - 1));
      return *this;
    } else {
      name_next_ = true;
      if (out_) {
        write(field);
      } else if (!is_part(reinterpret_cast<const char*>(&field))) {
        good_ = false;  // a value made on the way, as const as it says
      } else if (bytes_) {
        good_ = good_ && read(const_cast<Field&>(field));
      } else if (const auto* const found = next_parsed()) {
        convert(*found, const_cast<Field&>(field));
      }
      return *this;
    }
  }

private:
  bool is_part(const char* field) const noexcept { return field >= begin_ && field < end_; }
  field_visitor& pack_characters(const char* field, std::size_t size);
  void visit_name(std::string_view name);
  const msgpack::object* next_parsed() noexcept;

  template <class Field>
  void write(const Field& field);
  template <class Field>
  bool read(Field& field);
  template <class Field>
  static void convert(const msgpack::object& from, Field& field);

  std::string* out_ = nullptr;
  byte_reader* bytes_ = nullptr;
  const msgpack::object* parsed_ = nullptr;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  const msgpack::object* found_ = nullptr;  // the parsed value of the next field
  std::uint32_t index_ = 0;                 // of the next field of an array
  bool good_ = true;
  bool named_ = false;
  bool name_next_ = true;
};

/// Hands each field of a value to the visitor. The only code for the fields of a type.
using visit_function = void (*)(const void* value, field_visitor& visitor);
template <class T>
void visit_fields(const void* value, field_visitor& visitor) {
  static_cast<const T*>(value)->msgpack_pack(visitor);
}

template <class T>
void encode_fields(std::string& out, const T& value) {
  field_visitor visitor(out);
  visit_fields<T>(&value, visitor);
}
/// Fills the fields of a value from the front of `bytes`, in the order in which they were written; returns whether they were.
template <class T>
bool read_fields(byte_reader& bytes, T& value) {
  field_visitor visitor(bytes, &value, sizeof value);
  visit_fields<T>(&value, visitor);
  return visitor.good();
}

/// Fills the fields that a parsed value has, by name.
void convert_fields(const msgpack::object& parsed, void* value, std::size_t size, visit_function visit);
/// The same for exactly `bytes`. Throws error(errc::corrupt_record).
void decode_by_name(std::string_view bytes, void* value, std::size_t size, visit_function visit);

template <class Field>
void field_visitor::write(const Field& field) {
  if constexpr (HasDefinedFields<Field>) {
    encode_fields(*out_, field);
  } else if constexpr (PlainInteger<Field>) {
    write_number(*out_, static_cast<std::conditional_t<std::is_signed_v<Field>, std::int64_t, std::uint64_t>>(field));
  } else if constexpr (std::is_same_v<Field, bool> || std::is_same_v<Field, double>) {
    write_value(*out_, field);
  } else if constexpr (std::is_same_v<Field, std::string>) {
    write_text(*out_, field);
  } else {
    string_appender buffer{*out_};
    msgpack::packer<string_appender>(buffer).pack(field);
  }
}

template <class Field>
bool field_visitor::read(Field& field) {
  if constexpr (HasDefinedFields<Field>) {
    return read_fields(*bytes_, field);
  } else if constexpr (PlainInteger<Field>) {
    using bounds = std::numeric_limits<Field>;
    std::conditional_t<std::is_signed_v<Field>, std::int64_t, std::uint64_t> number = 0;
    bool taken = false;
    if constexpr (std::is_signed_v<Field>) {
      taken = bytes_->take_number(number, bounds::min(), bounds::max());
    } else {
      taken = bytes_->take_number(number, bounds::max());
    }
    field = static_cast<Field>(number);
    return taken;
  } else if constexpr (std::is_same_v<Field, bool> || std::is_same_v<Field, double> || std::is_same_v<Field, std::string>) {
    return bytes_->take_value(field);
  } else if constexpr (std::is_array_v<Field>) {
    return false;
  } else {
    std::string_view one;
    if (!bytes_->take_any(one)) return false;
    try {
      const parsed_value parsed(one);
      convert(parsed.object(), field);
      return true;
    } catch (const std::exception&) { return false; }
  }
}

template <class Field>
void field_visitor::convert(const msgpack::object& from, Field& field) {
  if constexpr (HasDefinedFields<Field>) {
    convert_fields(from, &field, sizeof field, visit_fields<Field>);
  } else if constexpr (msgpack::has_as<Field>::value) {
    field = from.template as<Field>();
  } else {
    from.convert(field);
  }
}

}  // namespace cairn::detail
