#include <cairn/msgpack.hpp>

#include <msgpack/null_visitor.hpp>
#include <msgpack/parse.hpp>
#include <msgpack/unpack.hpp>

#include <bit>
#include <cstring>
#include <memory>

namespace cairn::inline v1::detail {
namespace {

using packer = msgpack::packer<string_appender>;

template <class Pack>
void pack_to(std::string& out, Pack pack) {
  string_appender buffer{out};
  packer one(buffer);
  pack(one);
}

struct thread_zone {
  msgpack::zone zone;
  bool in_use = false;
};
thread_zone& shared_zone() {
  static thread_local thread_zone one;
  return one;
}

/// Takes one value, and says how many bytes it has. False if there is none.
bool skip_value(std::string_view bytes, std::size_t& used) {
  msgpack::null_visitor visitor;
  used = 0;
  try {
    return msgpack::parse(bytes.data(), bytes.size(), used, visitor);
  } catch (const std::exception&) { return false; }
}

/// Parsing makes room for what a container claims before it looks for it, some 24 bytes for each of its members and again for
/// each level of nesting. Up to here that is little; beyond, claims are checked first.
constexpr std::size_t bytes_trusted = 1024;
constexpr std::size_t nesting_max = 64;

msgpack::object parse(msgpack::zone& zone, std::string_view bytes, std::size_t& used) {
  // No container can be longer than its bytes: a damaged length must not ask for gigabytes.
  const msgpack::unpack_limit limit(bytes.size(), bytes.size(), bytes.size(), bytes.size(), bytes.size(), nesting_max);
  if (bytes.size() > bytes_trusted && !skip_value(bytes, used)) {
    throw error(errc::corrupt_record, "not msgpack: it is cut short, or no such value");
  }
  const auto in_place = [](msgpack::type::object_type, std::size_t, void*) { return true; };
  used = 0;
  try {
    return msgpack::unpack(zone, bytes.data(), bytes.size(), used, in_place, nullptr, limit);
  } catch (const std::exception& reason) { throw error(errc::corrupt_record, std::string("not msgpack: ") + reason.what()); }
}

}  // namespace

void write_number(std::string& out, std::int64_t value) {
  pack_to(out, [&](packer& to) { to.pack_int64(value); });
}
void write_number(std::string& out, std::uint64_t value) {
  pack_to(out, [&](packer& to) { to.pack_uint64(value); });
}
void write_value(std::string& out, bool value) { out.push_back(static_cast<char>(value ? 0xc3 : 0xc2)); }
void write_value(std::string& out, double value) {
  pack_to(out, [&](packer& to) { to.pack(value); });
}
void write_text(std::string& out, std::string_view text) {
  pack_to(out, [&](packer& to) { to.pack(text); });
}
void write_map_head(std::string& out, std::uint32_t fields) {
  pack_to(out, [&](packer& to) { to.pack_map(fields); });
}
void write_array_head(std::string& out, std::uint32_t fields) {
  pack_to(out, [&](packer& to) { to.pack_array(fields); });
}

bool byte_reader::take_byte(unsigned& byte) {
  if (left_.empty()) return false;
  byte = static_cast<unsigned char>(left_.front());
  left_.remove_prefix(1);
  return true;
}

template <class Width>
bool byte_reader::take_big_endian(std::uint64_t& value) {
  if (left_.size() < sizeof(Width)) return false;
  value = 0;
  for (std::size_t i = 0; i < sizeof(Width); ++i) value = value << 8 | static_cast<unsigned char>(left_[i]);
  left_.remove_prefix(sizeof(Width));
  return true;
}

bool byte_reader::take_head(unsigned fixed, unsigned sized, std::uint32_t members) {
  unsigned head = 0;
  if (!take_byte(head)) return false;
  if (members < 16) return head == (fixed | members);
  std::uint64_t claimed = 0;
  return head == sized ? take_big_endian<std::uint16_t>(claimed) && claimed == members
                       : head == sized + 1 && take_big_endian<std::uint32_t>(claimed) && claimed == members;
}

bool byte_reader::take_text(std::string_view& text) {
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

bool byte_reader::take_literal(std::string_view text) {
  constexpr std::size_t fixed_max = 31;
  if (text.size() <= fixed_max) {
    if (left_.size() <= text.size() || static_cast<unsigned char>(left_.front()) != (0xa0 | text.size()) ||
        std::memcmp(left_.data() + 1, text.data(), text.size()) != 0) {
      return false;
    }
    left_.remove_prefix(1 + text.size());
    return true;
  }
  std::string_view there;
  return take_text(there) && there == text;
}

bool byte_reader::take_value(std::string& value) {
  std::string_view text;
  if (!take_text(text)) return false;
  value.assign(text);
  return true;
}

bool byte_reader::take_value(bool& value) {
  unsigned head = 0;
  if (!take_byte(head)) return false;
  value = head == 0xc3;
  return value || head == 0xc2;
}

bool byte_reader::take_value(double& value) {
  unsigned head = 0;
  std::uint64_t bits = 0;
  if (!take_byte(head) || head != 0xcb || !take_big_endian<std::uint64_t>(bits)) return false;
  value = std::bit_cast<double>(bits);
  return true;
}

// The number as 64 bits, and whether these are those of a negative one.
bool byte_reader::take_bits(std::uint64_t& bits, bool& negative) {
  unsigned head = 0;
  if (!take_byte(head)) return false;
  const auto extend = [&]<class Narrow>(Narrow number) {
    bits = static_cast<std::uint64_t>(std::int64_t{number});
    negative = number < 0;
    return true;
  };
  bits = head;
  negative = false;
  if (head < 0x80) return true;
  if (head >= 0xe0) return extend(static_cast<std::int8_t>(head));
  switch (head) {
  case 0xcc: return take_big_endian<std::uint8_t>(bits);
  case 0xcd: return take_big_endian<std::uint16_t>(bits);
  case 0xce: return take_big_endian<std::uint32_t>(bits);
  case 0xcf: return take_big_endian<std::uint64_t>(bits);
  case 0xd0: return take_big_endian<std::uint8_t>(bits) && extend(static_cast<std::int8_t>(bits));
  case 0xd1: return take_big_endian<std::uint16_t>(bits) && extend(static_cast<std::int16_t>(bits));
  case 0xd2: return take_big_endian<std::uint32_t>(bits) && extend(static_cast<std::int32_t>(bits));
  case 0xd3: return take_big_endian<std::uint64_t>(bits) && extend(static_cast<std::int64_t>(bits));
  default: return false;
  }
}

bool byte_reader::take_number(std::int64_t& value, std::int64_t low, std::int64_t high) {
  std::uint64_t bits = 0;
  bool negative = false;
  if (!take_bits(bits, negative)) return false;
  value = static_cast<std::int64_t>(bits);
  return negative ? value >= low : value >= 0 && value <= high;
}

bool byte_reader::take_number(std::uint64_t& value, std::uint64_t high) {
  bool negative = false;
  return take_bits(value, negative) && !negative && value <= high;
}

bool byte_reader::take_any(std::string_view& bytes) {
  std::size_t used = 0;
  if (!skip_value(left_, used)) return false;
  bytes = left_.substr(0, used);
  left_.remove_prefix(used);
  return true;
}

parsed_value::parsed_value(std::string_view bytes) : shared_(!std::exchange(shared_zone().in_use, true)) {
  std::unique_ptr<msgpack::zone> fresh;
  if (shared_) {
    shared_zone().zone.clear();
  } else {
    fresh = std::make_unique<msgpack::zone>();
  }
  auto& zone = shared_ ? shared_zone().zone : *fresh;
  try {
    std::size_t used = 0;
    object_ = parse(zone, bytes, used);
    if (used != bytes.size()) throw error(errc::corrupt_record, "more bytes than one msgpack value");
  } catch (...) {
    if (shared_) shared_zone().in_use = false;
    throw;
  }
  zone_ = fresh.release();
}

parsed_value::~parsed_value() {
  if (shared_) {
    shared_zone().in_use = false;
  } else {
    delete static_cast<msgpack::zone*>(zone_);
  }
}

void throw_other_type(const char* reason) {
  throw error(errc::corrupt_record, std::string("msgpack of another type: ") + reason);
}

field_visitor& field_visitor::pack_map(std::uint32_t fields) {
  named_ = true;
  if (out_) {
    write_map_head(*out_, fields);
  } else if (bytes_) {
    good_ = bytes_->take_map_head(fields);
  } else {
    if (parsed_->type != msgpack::type::MAP) throw msgpack::type_error();
    const auto& map = parsed_->via.map;
    for (std::uint32_t entry = 0; entry < map.size; ++entry) {
      if (map.ptr[entry].key.type != msgpack::type::STR) throw msgpack::type_error();
    }
  }
  return *this;
}

field_visitor& field_visitor::pack_array(std::uint32_t fields) {
  if (out_) {
    write_array_head(*out_, fields);
  } else if (bytes_) {
    good_ = bytes_->take_array_head(fields);
  } else if (parsed_->type != msgpack::type::ARRAY) {
    throw msgpack::type_error();
  }
  return *this;
}

field_visitor& field_visitor::pack_characters(const char* field, std::size_t size) {
  name_next_ = true;
  if (out_) {
    write_text(*out_, std::string_view(field, ::strnlen(field, size)));
  } else if (!is_part(field) || bytes_) {
    good_ = false;
  } else if (const auto* const found = next_parsed()) {
    if (found->type != msgpack::type::STR && found->type != msgpack::type::BIN) throw msgpack::type_error();
    if (found->via.str.size > size) throw msgpack::type_error();
    auto* const into = const_cast<char*>(field);
    std::memcpy(into, found->via.str.ptr, found->via.str.size);
    if (found->type == msgpack::type::STR && found->via.str.size < size) into[found->via.str.size] = '\0';
  }
  return *this;
}

void field_visitor::visit_name(std::string_view name) {
  if (out_) {
    write_text(*out_, name);
  } else if (bytes_) {
    good_ = good_ && bytes_->take_literal(name);
  } else {
    found_ = nullptr;
    const auto& map = parsed_->via.map;
    for (std::uint32_t entry = 0; entry < map.size && !found_; ++entry) {
      const auto& [key, value] = map.ptr[entry];
      if (std::string_view(key.via.str.ptr, key.via.str.size) == name) found_ = &value;
    }
  }
}

const msgpack::object* field_visitor::next_parsed() noexcept {
  if (named_) return found_;
  const auto& array = parsed_->via.array;
  return index_ < array.size ? array.ptr + index_++ : nullptr;
}

void convert_fields(const msgpack::object& parsed, void* value, std::size_t size, visit_function visit) {
  field_visitor visitor(parsed, value, size);
  visit(value, visitor);
  if (visitor.good()) return;
  // A type's own msgpack_pack, made to look like a macro's, packs a value that is no field.
  throw error(errc::corrupt_record, "the type's msgpack_pack packs a value that is none of its fields; specialise cairn::codec");
}

void decode_by_name(std::string_view bytes, void* value, std::size_t size, visit_function visit) {
  const parsed_value parsed(bytes);
  try {
    convert_fields(parsed.object(), value, size, visit);
  } catch (const std::bad_cast& reason) { throw_other_type(reason.what()); }
}

}  // namespace cairn::detail
