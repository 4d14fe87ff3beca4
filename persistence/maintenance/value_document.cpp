#include "value_document.hpp"

#include "../../model/msgpack_text.hpp"

#include <cairn/detail/field_visitor.hpp>
#include <cairn/error.hpp>
#include <cairn/limits.hpp>
#include <cairn/utf8.hpp>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <msgpack.hpp>
#include <openssl/evp.h>
#include <type_traits>
#include <utility>
#include <vector>

namespace cairn::inline v1::detail {
namespace {

constexpr const char* base64_field = "base64";

// The names that stand for a value that JSON does not have.
constexpr std::string_view timestamp_tag = "$timestamp";
constexpr std::string_view bin_tag = "$bin";
constexpr std::string_view str_tag = "$str";
constexpr std::string_view ext_tag = "$ext";
constexpr std::string_view float32_tag = "$float32";
constexpr std::string_view float64_tag = "$float64";
constexpr std::string_view map_tag = "$map";
constexpr std::string_view msgpack_tag = "$msgpack";

const unsigned char* octets(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// --- bytes ---

std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty()) return std::string();
  if (text.size() % 4 != 0 || text.size() > 2 * limits::record_bytes_max) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const auto decoded =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), octets(text), static_cast<int>(text.size()));
  if (decoded != static_cast<int>(bytes.size())) return std::nullopt;
  bytes.resize(bytes.size() - (text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0));
  return bytes;
}

/// Returns bytes below a name that says that they are bytes.
document bytes_below_tag(std::string_view bytes, export_format format) {
  if (format == export_format::msgpack) return document::binary({octets(bytes), octets(bytes) + bytes.size()});
  return to_base64(bytes);
}

std::optional<std::string> from_binary(const document& shown) {
  const auto& bytes = shown.get_binary();
  if (bytes.has_subtype()) return std::nullopt;
  return std::string(bytes.begin(), bytes.end());
}

document tagged(std::string_view tag, document value) {
  document shown = document::object();
  shown.get_ref<document::object_t&>().emplace_back(std::string(tag), std::move(value));
  return shown;
}

template <class Number>
void append_big_endian(std::string& out, Number number) {
  for (int shift = 8 * (static_cast<int>(sizeof number) - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(number >> shift & 0xff));
  }
}

std::uint32_t size_of(std::string_view bytes) { return static_cast<std::uint32_t>(bytes.size()); }

void append_bin(std::string& out, std::string_view bytes) {
  string_appender buffer{out};
  msgpack::packer<string_appender>(buffer).pack_bin(size_of(bytes)).pack_bin_body(bytes.data(), size_of(bytes));
}

void append_ext(std::string& out, std::int8_t type, std::string_view bytes) {
  string_appender buffer{out};
  msgpack::packer<string_appender>(buffer).pack_ext(bytes.size(), type).pack_ext_body(bytes.data(), size_of(bytes));
}

void append_array_header(std::string& out, std::size_t size) { write_array_head(out, static_cast<std::uint32_t>(size)); }
void append_map_header(std::string& out, std::size_t size) { write_map_head(out, static_cast<std::uint32_t>(size)); }

void append_float64(std::string& out, double number) {
  // msgpack-c would make an integer of 2.0.
  out.push_back('\xcb');
  append_big_endian(out, std::bit_cast<std::uint64_t>(number));
}

// --- fractions that JSON does not have ---

template <class Float>
using bits_of = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;

template <class Float>
struct named_float {
  std::string_view name;
  Float number;
};

template <class Float>
constexpr std::array<named_float<Float>, 4> named_floats{{{"NaN", std::numeric_limits<Float>::quiet_NaN()},
                                                          {"-NaN", -std::numeric_limits<Float>::quiet_NaN()},
                                                          {"Infinity", std::numeric_limits<Float>::infinity()},
                                                          {"-Infinity", -std::numeric_limits<Float>::infinity()}}};

/// Returns the name of a number that is not finite; nullopt for a NaN with other bits.
template <class Float>
std::optional<std::string_view> name_of(Float number) {
  for (const auto& one : named_floats<Float>) {
    if (std::bit_cast<bits_of<Float>>(one.number) == std::bit_cast<bits_of<Float>>(number)) return one.name;
  }
  return std::nullopt;
}

template <class Float>
std::optional<Float> number_named(const document& shown) {
  for (const auto& one : named_floats<Float>) {
    if (shown.is_string() && shown.get_ref<const std::string&>() == one.name) return one.number;
  }
  return std::nullopt;
}

/// Returns a number that reads back as `number`: 0.1 if possible, rather than 0.10000000149011612.
double readable(float number) {
  char digits[32];
  double shortest = 0;
  std::from_chars(digits, std::to_chars(digits, digits + sizeof digits, number).ptr, shortest);
  const bool same = std::bit_cast<std::uint32_t>(static_cast<float>(shortest)) == std::bit_cast<std::uint32_t>(number);
  return same ? shortest : static_cast<double>(number);
}

// --- timestamps of msgpack ---

/// Returns the shortest form, as msgpack's specification and msgpack-c have it.
std::string body_of(const msgpack_moment& when) {
  std::string body;
  if (when.seconds >> 34 != 0) {
    append_big_endian(body, when.nanoseconds);
    append_big_endian(body, static_cast<std::uint64_t>(when.seconds));
  } else if (when.nanoseconds == 0 && when.seconds >> 32 == 0) {
    append_big_endian(body, static_cast<std::uint32_t>(when.seconds));
  } else {
    append_big_endian(body, std::uint64_t{when.nanoseconds} << 34 | static_cast<std::uint64_t>(when.seconds));
  }
  return body;
}

constexpr std::size_t microseconds_text = std::string_view("2026-11-24T09:30:00.000000").size();

/// Returns the date and time; nullopt unless text_of() and moment_of_text() keep every byte of `body`.
std::optional<std::string> text_of_timestamp(std::string_view body) {
  const auto when = msgpack_moment_in(body);
  if (!when || body_of(*when) != body) return std::nullopt;
  return text_of_moment(*when);
}

/// Returns the shortest form of the timestamp that `text` shows; nullopt if it shows none.
std::optional<std::string> timestamp_of_text(std::string_view text) {
  using namespace std::chrono;
  if (text.size() < microseconds_text) return std::nullopt;
  const auto rest = text.substr(microseconds_text);
  const auto to_microseconds = moment_in(std::string(text.substr(0, microseconds_text)) + 'Z');
  if (!to_microseconds) return std::nullopt;
  unsigned below = 0;
  if (rest.size() == 4) {
    if (std::from_chars(rest.data(), rest.data() + 3, below).ptr != rest.data() + 3) return std::nullopt;
  } else if (rest.size() != 1) {
    return std::nullopt;
  }
  if (!rest.ends_with('Z')) return std::nullopt;
  const auto whole = floor<seconds>(*to_microseconds);
  const auto micros = (*to_microseconds - whole).count();
  return body_of({whole.time_since_epoch().count(), static_cast<std::uint32_t>(micros * 1000) + below});
}

// --- reading msgpack ---

/// A part of a value as it is shown, with its share of the limits.
struct shown_part {
  document value;
  std::size_t levels = 0;
  std::size_t values = 1;
};

class value_reader {
public:
  value_reader(std::string_view bytes, export_format format) : bytes_(bytes), format_(format) {}

  /// Returns the only value; nullopt if there is not exactly one, or if it is beyond a limit.
  std::optional<document> only_value() {
    auto all = next(0);
    if (!all || at_ != bytes_.size()) return std::nullopt;
    if (all->levels > readable_value.levels || all->values > readable_value.values) return std::nullopt;
    return std::move(all->value);
  }

private:
  using part = std::optional<shown_part>;

  static shown_part plain(document value) { return {std::move(value)}; }
  static shown_part with_tag(std::string_view tag, document value) { return {tagged(tag, std::move(value)), 1, 2}; }

  /// Shows the bytes from `begin` on as they are: their form is not the shortest, or JSON cannot express them.
  shown_part as_is(std::size_t begin) const {
    return with_tag(msgpack_tag, bytes_below_tag(bytes_.substr(begin, at_ - begin), format_));
  }

  std::optional<std::string_view> take(std::size_t size) {
    if (size > bytes_.size() - at_) return std::nullopt;
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

  template <class Number>
  std::optional<Number> number() {
    const auto bytes = take(sizeof(Number));
    return bytes ? std::optional(big_endian<Number>(*bytes)) : std::nullopt;
  }

  /// Takes a length of `size` bytes.
  std::optional<std::size_t> length(std::size_t size) {
    const auto bytes = take(size);
    return bytes ? std::optional(static_cast<std::size_t>(big_endian<std::uint64_t>(*bytes))) : std::nullopt;
  }

  part next(std::size_t nesting) {
    const auto begin = at_;
    const auto first = take(1);
    if (!first || nesting > readable_value.levels || ++taken_ > 2 * readable_value.values) return std::nullopt;
    const auto tag = static_cast<unsigned char>(first->front());
    if (tag < 0x80) return plain(std::uint64_t{tag});
    if (tag >= 0xe0) return plain(std::int64_t{static_cast<signed char>(tag)});
    if (tag < 0x90) return map(tag & 0x0f, nesting);
    if (tag < 0xa0) return array(tag & 0x0f, nesting);
    if (tag < 0xc0) return str(tag & 0x1f);
    switch (tag) {
    case 0xc0: return plain(nullptr);
    case 0xc2: return plain(false);
    case 0xc3: return plain(true);
    case 0xca: return float32(begin);
    case 0xcb: return float64(begin);
    case 0xcc: return whole<std::uint8_t>(begin, 0x7f);
    case 0xcd: return whole<std::uint16_t>(begin, UINT8_MAX);
    case 0xce: return whole<std::uint32_t>(begin, UINT16_MAX);
    case 0xcf: return whole<std::uint64_t>(begin, UINT32_MAX);
    case 0xd0: return negative<std::int8_t>(begin, -32);
    case 0xd1: return negative<std::int16_t>(begin, INT8_MIN);
    case 0xd2: return negative<std::int32_t>(begin, INT16_MIN);
    case 0xd3: return negative<std::int64_t>(begin, INT32_MIN);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return ext(std::size_t{1} << (tag - 0xd4));
    default: return with_length(tag, begin, nesting);
    }
  }

  /// Reads what has its length behind the tag, in one byte, two or four.
  part with_length(unsigned char tag, std::size_t begin, std::size_t nesting) {
    // The tag of the form with the fewest bytes of length, and the least length that needs that form.
    struct form {
      unsigned char tag;
      std::size_t length_bytes;
      std::size_t least;
    };
    static constexpr form forms[] = {{0xc4, 1, 0},       {0xc5, 2, 1 << 8},  {0xc6, 4, 1 << 16}, {0xc7, 1, 0},
                                     {0xc8, 2, 1 << 8},  {0xc9, 4, 1 << 16}, {0xd9, 1, 1 << 5},  {0xda, 2, 1 << 8},
                                     {0xdb, 4, 1 << 16}, {0xdc, 2, 1 << 4},  {0xdd, 4, 1 << 16}, {0xde, 2, 1 << 4},
                                     {0xdf, 4, 1 << 16}};
    for (const auto& one : forms) {
      if (one.tag != tag) continue;
      const auto size = length(one.length_bytes);
      if (!size) return std::nullopt;
      auto found = tag < 0xc7   ? bin(*size)
                   : tag < 0xca ? ext(*size)
                   : tag < 0xdc ? str(*size)
                   : tag < 0xde ? array(*size, nesting)
                                : map(*size, nesting);
      const bool fixed_ext = tag == 0xc7 && *size <= 16 && std::has_single_bit(*size);
      if (found && (*size < one.least || fixed_ext)) return as_is(begin);
      return found;
    }
    return std::nullopt;  // 0xc1, which msgpack never uses
  }

  template <class Number>
  part whole(std::size_t begin, std::uint64_t shorter_max) {
    const auto found = number<Number>();
    if (!found) return std::nullopt;
    return *found > shorter_max ? plain(std::uint64_t{*found}) : as_is(begin);
  }

  template <class Number>
  part negative(std::size_t begin, std::int64_t shorter_min) {
    const auto found = number<Number>();
    if (!found) return std::nullopt;
    return *found < shorter_min ? plain(std::int64_t{*found}) : as_is(begin);
  }

  part float32(std::size_t begin) {
    const auto bits = number<std::uint32_t>();
    if (!bits) return std::nullopt;
    const auto found = std::bit_cast<float>(*bits);
    if (std::isfinite(found)) return with_tag(float32_tag, readable(found));
    const auto name = name_of(found);
    return name ? with_tag(float32_tag, *name) : as_is(begin);
  }

  part float64(std::size_t begin) {
    const auto bits = number<std::uint64_t>();
    if (!bits) return std::nullopt;
    const auto found = std::bit_cast<double>(*bits);
    if (std::isfinite(found)) return plain(found);
    const auto name = name_of(found);
    return name ? with_tag(float64_tag, *name) : as_is(begin);
  }

  part str(std::size_t size) {
    const auto text = take(size);
    if (!text) return std::nullopt;
    return is_utf8(*text) ? plain(*text) : with_tag(str_tag, bytes_below_tag(*text, format_));
  }

  part bin(std::size_t size) {
    const auto bytes = take(size);
    if (!bytes) return std::nullopt;
    return with_tag(bin_tag, bytes_below_tag(*bytes, format_));
  }

  part ext(std::size_t size) {
    const auto type = number<std::int8_t>();
    const auto body = take(size);
    if (!type || !body) return std::nullopt;
    if (*type == msgpack_timestamp_type) {
      if (auto text = text_of_timestamp(*body)) return with_tag(timestamp_tag, *std::move(text));
    }
    auto pair = document::array({std::int64_t{*type}, bytes_below_tag(*body, format_)});
    return shown_part{tagged(ext_tag, std::move(pair)), 2, 4};
  }

  part array(std::size_t size, std::size_t nesting) {
    shown_part all{document::array()};
    auto& items = all.value.get_ref<document::array_t&>();
    for (std::size_t i = 0; i < size; ++i) {
      auto item = next(nesting + 1);
      if (!item) return std::nullopt;
      include(all, *item);
      items.push_back(std::move(item->value));
    }
    ++all.levels;
    return all;
  }

  part map(std::size_t size, std::size_t nesting) {
    std::vector<std::pair<shown_part, shown_part>> members;
    bool names = true;
    for (std::size_t i = 0; i < size; ++i) {
      auto key = next(nesting + 1);
      if (!key) return std::nullopt;
      auto value = next(nesting + 1);
      if (!value) return std::nullopt;
      names = names && key->value.is_string();
      members.emplace_back(*std::move(key), *std::move(value));
    }
    if (names && size == 1) names = !is_reserved(members.front().first.value.get_ref<const std::string&>(), nesting);
    return names ? object(members) : pairs(members);
  }

  static bool is_reserved(std::string_view name, std::size_t nesting) {
    return name.starts_with('$') || (nesting == 0 && name == base64_field);
  }

  static part object(std::vector<std::pair<shown_part, shown_part>>& members) {
    shown_part all{document::object()};
    auto& object = all.value.get_ref<document::object_t&>();
    object.reserve(members.size());
    for (auto& [key, value] : members) {
      include(all, value);
      object.emplace_back(std::move(key.value.get_ref<std::string&>()), std::move(value.value));
    }
    ++all.levels;
    return all;
  }

  static part pairs(std::vector<std::pair<shown_part, shown_part>>& members) {
    shown_part all{document::array()};
    for (auto& [key, value] : members) {
      include(all, key);
      include(all, value);
      auto pair = document::array();
      pair.push_back(std::move(key.value));
      pair.push_back(std::move(value.value));
      all.value.push_back(std::move(pair));
    }
    return shown_part{tagged(map_tag, std::move(all.value)), all.levels + 3, all.values + members.size() + 1};
  }

  static void include(shown_part& all, const shown_part& one) {
    all.levels = std::max(all.levels, one.levels);
    all.values += one.values;
  }

  std::string_view bytes_;
  export_format format_;
  std::size_t at_ = 0;
  std::size_t taken_ = 0;  // values so far
};

// --- writing msgpack ---

/// Appends the msgpack of tagged documents. Every failure names the field of the record.
class value_writer {
public:
  value_writer(std::string& out, std::string_view field) : out_(out), field_(field) {}

  void append(const document& shown) {
    if (shown.is_array()) {
      append_array_header(out_, shown.size());
      for (const auto& item : shown) append(item);
    } else if (shown.is_object()) {
      const auto& members = shown.get_ref<const document::object_t&>();
      if (members.size() == 1 && members.begin()->first.starts_with('$')) {
        return append_tagged(members.begin()->first, members.begin()->second);
      }
      append_map_header(out_, members.size());
      for (const auto& [name, value] : members) {
        write_text(out_, name);
        append(value);
      }
    } else if (shown.is_binary()) {
      fail_at(field_, "has bytes without a name that says what they are");
    } else {
      append_msgpack(out_, shown);
    }
  }

private:
  void append_tagged(const std::string& tag, const document& value) {
    if (tag == timestamp_tag) return append_ext(out_, msgpack_timestamp_type, timestamp_in(value));
    if (tag == bin_tag) return append_bin(out_, bytes_in(value, tag));
    if (tag == str_tag) return write_text(out_, bytes_in(value, tag));
    if (tag == ext_tag) return append_ext_of(value);
    if (tag == float32_tag) return append_float32(value);
    if (tag == float64_tag) return append_named_float64(value);
    if (tag == map_tag) return append_pairs(value);
    if (tag != msgpack_tag) fail_at(field_, "has an object with a name that begins with $ and that this program does not know");
    out_ += bytes_in(value, tag);
  }

  [[noreturn]] void refuse(std::string_view tag) const { fail_at(field_, "has an unreadable \"" + std::string(tag) + '"'); }

  std::string bytes_in(const document& value, std::string_view tag) const {
    auto bytes = value.is_binary()   ? from_binary(value)
                 : value.is_string() ? from_base64(value.get_ref<const std::string&>())
                                     : std::nullopt;
    if (!bytes) refuse(tag);
    return *std::move(bytes);
  }

  std::string timestamp_in(const document& value) const {
    auto body = value.is_string() ? timestamp_of_text(value.get_ref<const std::string&>()) : std::nullopt;
    if (!body) refuse(timestamp_tag);
    return *std::move(body);
  }

  void append_ext_of(const document& value) {
    if (!value.is_array() || value.size() != 2 || !value[0].is_number_integer()) refuse(ext_tag);
    const auto type = value[0].get<std::int64_t>();
    const bool beyond = value[0].is_number_unsigned() && value[0].get<std::uint64_t>() > INT8_MAX;
    if (beyond || type < INT8_MIN || type > INT8_MAX) refuse(ext_tag);
    append_ext(out_, static_cast<std::int8_t>(type), bytes_in(value[1], ext_tag));
  }

  void append_float32(const document& value) {
    auto number = number_named<float>(value);
    if (value.is_number() && std::abs(value.get<double>()) <= std::numeric_limits<float>::max()) number = value.get<float>();
    if (!number) refuse(float32_tag);
    out_.push_back('\xca');
    append_big_endian(out_, std::bit_cast<std::uint32_t>(*number));
  }

  void append_named_float64(const document& value) {
    const auto number = number_named<double>(value);
    if (!number) refuse(float64_tag);
    append_float64(out_, *number);
  }

  void append_pairs(const document& value) {
    if (!value.is_array()) refuse(map_tag);
    append_map_header(out_, value.size());
    for (const auto& pair : value) {
      if (!pair.is_array() || pair.size() != 2) refuse(map_tag);
      append(pair[0]);
      append(pair[1]);
    }
  }

  std::string& out_;
  std::string_view field_;
};

}  // namespace

void fail_at(std::string_view field, const std::string& what) {
  throw error(errc::corrupt_record, "the field \"" + std::string(field) + "\" " + what);
}

document as_bytes(std::string_view bytes, export_format format) {
  auto shown = bytes_below_tag(bytes, format);
  return format == export_format::msgpack ? shown : tagged(base64_field, std::move(shown));
}

bool is_base64(const document& shown) {
  return shown.is_object() && shown.size() == 1 && shown.begin().key() == base64_field && shown.begin().value().is_string();
}

std::optional<std::string> bytes_of(const document& shown) {
  if (shown.is_binary()) return from_binary(shown);
  return is_base64(shown) ? from_base64(shown.begin().value().get_ref<const std::string&>()) : std::nullopt;
}

bool has_readable_date(timestamp moment) { return moment >= first_readable_date && moment < first_date_beyond; }

std::optional<timestamp> moment_in(std::string_view text) {
  const auto number = [&](std::size_t at, std::size_t digits) {
    unsigned value = 0;
    if (at + digits <= text.size()) std::from_chars(text.data() + at, text.data() + at + digits, value);
    return value;
  };
  using namespace std::chrono;
  const auto date = year{static_cast<int>(number(0, 4))} / month{number(5, 2)} / day{number(8, 2)};
  if (!date.ok()) return std::nullopt;
  const timestamp moment =
      sys_days{date} + hours{number(11, 2)} + minutes{number(14, 2)} + seconds{number(17, 2)} + microseconds{number(20, 6)};
  // If the text is not as to_string() would write it, the lines above read it wrongly.
  return to_string(moment) == text ? std::optional(moment) : std::nullopt;
}

void append_msgpack(std::string& out, const document& value) {
  switch (value.type()) {
  case document::value_t::number_float: return append_float64(out, value.get<double>());
  case document::value_t::string: return write_text(out, value.get_ref<const std::string&>());
  case document::value_t::binary: {
    const auto& bytes = value.get_binary();
    return append_bin(out, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  case document::value_t::array:
    append_array_header(out, value.size());
    for (const auto& item : value) append_msgpack(out, item);
    return;
  case document::value_t::object:
    append_map_header(out, value.size());
    for (const auto& [name, member] : value.get_ref<const document::object_t&>()) {
      write_text(out, name);
      append_msgpack(out, member);
    }
    return;
  case document::value_t::boolean: return write_value(out, value.get<bool>());
  case document::value_t::number_integer: return write_number(out, value.get<std::int64_t>());
  case document::value_t::number_unsigned: return write_number(out, value.get<std::uint64_t>());
  default: out.push_back('\xc0');  // nil
  }
}

document document_of_value(std::string_view msgpack, export_format format) {
  auto value = value_reader(msgpack, format).only_value();
  return value ? *std::move(value) : as_bytes(msgpack, format);
}

std::string msgpack_of(const document& shown, std::string_view field, value_notation notation) {
  if (auto bytes = bytes_of(shown)) return *std::move(bytes);
  if (is_base64(shown) || shown.is_binary()) fail_at(field, "is not readable base64");
  std::string bytes;
  if (notation == value_notation::plain) {
    append_msgpack(bytes, shown);
  } else {
    value_writer(bytes, field).append(shown);
  }
  return bytes;
}

}  // namespace cairn::detail
