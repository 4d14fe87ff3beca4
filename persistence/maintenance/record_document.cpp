#include "record_document.hpp"

#include <cairn/command_options.hpp>
#include <cairn/error.hpp>
#include <cairn/limits.hpp>
#include <cairn/utf8.hpp>

#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

namespace cairn::inline v1::detail {
namespace {

/// More than a document of a record ever has.
constexpr std::size_t fields_usual = 20;

[[noreturn]] void fail(const std::string& what) { throw error(errc::corrupt_record, what); }

[[noreturn]] void fail(std::string_view field, const std::string& what) { fail_at(field, what); }

// --- text and bytes ---

void add(document& to, std::string_view field, document value) {
  // Not by the member function that looks for the field first.
  to.get_ref<document::object_t&>().emplace_back(std::string(field), std::move(value));
}

document object_with_room() {
  document empty = document::object();
  empty.get_ref<document::object_t&>().reserve(fields_usual);
  return empty;
}

document as_text(std::string_view text, export_format format) { return is_utf8(text) ? document(text) : as_bytes(text, format); }

std::string text_of(const document& shown, std::string_view field) {
  if (shown.is_string()) return shown.get_ref<const std::string&>();
  if (auto bytes = bytes_of(shown)) return *std::move(bytes);
  fail(field, "is neither a text nor bytes");
}

/// 16 digits: JSON's readers do not keep a number of 64 bits.
std::string as_hex(std::uint64_t number) {
  std::string digits(16, '0');
  for (auto at = digits.rbegin(); at != digits.rend(); ++at, number >>= 4) *at = "0123456789abcdef"[number & 15];
  return digits;
}

std::uint64_t from_hex(const document& shown, std::string_view field) {
  std::uint64_t number = 0;
  if (shown.is_string()) {
    const auto& digits = shown.get_ref<const std::string&>();
    std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    if (number != 0 && as_hex(number) == digits) return number;
  }
  fail(field, "is not a number other than 0 in 16 hexadecimal digits");
}

// --- moments ---

document as_moment(timestamp moment) {
  if (!has_readable_date(moment)) return moment.time_since_epoch().count();
  return to_string(moment);
}

timestamp moment_of(const document& shown, std::string_view field) {
  if (shown.is_number_integer() && (!shown.is_number_unsigned() || shown.get<std::uint64_t>() <= INT64_MAX)) {
    return timestamp{std::chrono::microseconds{shown.get<std::int64_t>()}};
  }
  if (shown.is_string()) {
    if (const auto moment = moment_in(shown.get_ref<const std::string&>())) return *moment;
  }
  fail(field, "is not a moment such as \"2026-11-24T09:30:00.000000Z\", nor a number of microseconds");
}

// --- fields ---

/// Hands out the members of a document by name, and knows whether any is left over.
class fields {
public:
  explicit fields(const document& shown) {
    if (!shown.is_object()) fail("is not an object");
    members_ = &shown.get_ref<const document::object_t&>();
  }

  const document* find(std::string_view name) {
    // They come in the order in which they are asked for, unless another program has been at them.
    for (std::size_t i = 0; i < members_->size(); ++i) {
      const auto at = (next_ + i) % members_->size();
      const auto& member = members_->begin()[static_cast<std::ptrdiff_t>(at)];
      if (member.first != name) continue;
      next_ = at + 1;
      ++taken_;
      return &member.second;
    }
    return nullptr;
  }

  const document& get(std::string_view name) {
    const auto* const found = find(name);
    if (!found) fail(name, "is missing");
    return *found;
  }

  std::uint64_t number(std::string_view name) { return whole(get(name), name); }

  std::uint32_t small(std::string_view name) {
    const auto value = number(name);
    if (value > UINT32_MAX) fail(name, "is larger than 4294967295");
    return static_cast<std::uint32_t>(value);
  }

  std::string text(std::string_view name) { return text_of(get(name), name); }
  void text(std::string_view name, std::string& into) {
    if (const auto* const found = find(name)) into = text_of(*found, name);
  }

  static std::uint64_t whole(const document& shown, std::string_view name) {
    if (!shown.is_number_unsigned()) fail(name, "is not a whole number");
    return shown.get<std::uint64_t>();
  }

  void require_no_more() const {
    if (taken_ == members_->size()) return;
    fail("has fields that no record has, or one of them twice");
  }

private:
  const document::object_t* members_;
  std::size_t next_ = 0;
  std::size_t taken_ = 0;
};

std::vector<std::pair<std::string, std::string>> keys_of(const document& shown) {
  std::vector<std::pair<std::string, std::string>> keys;
  const auto sound = [](const document& pair) { return pair.is_array() && pair.size() == 2; };
  if (!shown.is_array()) fail("keys", "is not an array");
  for (const auto& pair : shown) {
    if (!sound(pair)) fail("keys", "has something else in it than pairs");
    keys.emplace_back(text_of(pair[0], "keys"), text_of(pair[1], "keys"));
  }
  return keys;
}

document readable_document_of(const record_view& record, position chunk, export_format format) {
  auto shown = object_with_room();
  const auto optional = [&](std::string_view field, std::string_view text) {
    if (!text.empty()) add(shown, field, as_text(text, format));
  };
  add(shown, "position", record.position.value);
  add(shown, "chunk", chunk.value);
  add(shown, "category", as_text(record.stream.category, format));
  add(shown, "id", as_text(record.stream.id, format));
  add(shown, "version", record.version.value);
  add(shown, "type", as_text(record.type, format));
  add(shown, "schema_version", record.schema_version);
  add(shown, "recorded_at", as_moment(record.recorded_at));
  if (record.occurred_at) add(shown, "occurred_at", as_moment(*record.occurred_at));
  add(shown, "index", record.index);
  add(shown, "count", record.count);
  if (record.expected) add(shown, "expected", record.expected->value);
  optional("command_id", record.command_id);
  optional("correlation_id", record.correlation_id);
  optional("causation_id", record.causation_id);
  optional("who", record.principal);
  if (const auto keys = metadata_of(record); !keys.empty()) {
    auto pairs = document::array();
    for (const auto& [key, value] : keys) pairs.push_back({as_text(key, format), as_text(value, format)});
    add(shown, "keys", std::move(pairs));
  }
  if (!record.result.empty()) add(shown, "result", document_of_value(record.result, format));
  if (record.fingerprint != 0) add(shown, "fingerprint", as_hex(record.fingerprint));
  add(shown, "data", document_of_value(record.payload, format));
  return shown;
}

bool gives_back(const document& shown, std::string_view body) {
  std::string frame;
  try {
    return body_of(shown, frame, value_notation::tagged) == body;
  } catch (const error&) { return false; }  // beyond a limit that only the writing of records has
}

}  // namespace

// --- documents ---

std::string quotable(std::string_view text) {
  static constexpr std::size_t bytes_max = 200;
  std::string quoted;
  const bool readable = is_utf8(text);
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool begins_character = !readable || (byte & 0xc0) != 0x80;
    if (begins_character && quoted.size() >= bytes_max) break;
    // Those of Unicode that begin with 0xc2 are as bad for a terminal as those of ASCII.
    const auto next = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0;
    const bool control = byte < 0x20 || byte == 0x7f || (readable && byte == 0xc2 && next < 0xa0);
    if (!control && (readable || byte < 0x80)) {
      quoted += text[at];
      continue;
    }
    for (auto escaped = byte == 0xc2 && control ? 2 : 1; escaped > 0; --escaped) {
      static constexpr std::string_view digits = "0123456789abcdef";
      const auto value = static_cast<unsigned char>(text[at]);
      quoted.append("\\x").append(1, digits[value >> 4]).append(1, digits[value & 15]);
      if (escaped > 1) ++at;
    }
  }
  return at < text.size() ? quoted + "…" : quoted;
}

bool document_builder::null() { return add(nullptr); }
bool document_builder::boolean(bool value) { return add(value); }
bool document_builder::number_integer(number_integer_t value) { return add(value); }
bool document_builder::number_unsigned(number_unsigned_t value) { return add(value); }

bool document_builder::number_float(number_float_t value, const string_t&) {
  return std::isfinite(value) ? add(value) != nullptr : fail("has a number that JSON does not have");
}

bool document_builder::string(string_t& value) {
  return is_utf8(value) ? add(std::move(value)) != nullptr : fail("has a text that is not UTF-8");
}

bool document_builder::binary(binary_t& value) {
  return limits_.binary ? add(std::move(value)) != nullptr : fail("has bytes where only values are allowed");
}

bool document_builder::start_object(std::size_t) { return open(open_.empty() ? object_with_room() : document::object()); }
bool document_builder::end_object() { return close(); }
bool document_builder::start_array(std::size_t) { return open(document::array()); }
bool document_builder::end_array() { return close(); }

bool document_builder::key(string_t& name) {
  if (!is_utf8(name)) return fail("has a name that is not UTF-8");
  auto& members = open_.back()->get_ref<document::object_t&>();
  members.emplace_back(std::move(name), nullptr);
  member_ = &members.back().second;
  return true;
}

bool document_builder::parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& reason) {
  // "[json.exception.parse_error.101] parse error at line 1, column 2: …": the tag is for programs, and the line is the
  // document's own, not the export's.
  std::string_view why = reason.what();
  if (const auto tag = why.find("] "); why.starts_with('[') && tag != why.npos) why.remove_prefix(tag + 2);
  std::string told(why);
  if (const auto line = told.find("line 1, "); line != told.npos) told.erase(line, 8);
  return fail("cannot be read: " + quotable(told));
}

document* document_builder::add(document value) {
  if (++values_ > limits_.values) {
    fail("has more than " + std::to_string(limits_.values) + " values");
    return nullptr;
  }
  if (open_.empty()) {
    root_ = std::move(value);
    return &root_;
  }
  auto& parent = *open_.back();
  if (!parent.is_array()) {
    *member_ = std::move(value);
    return member_;
  }
  auto& items = parent.get_ref<document::array_t&>();
  items.push_back(std::move(value));
  return &items.back();
}

bool document_builder::open(document empty) {
  if (open_.size() == limits_.levels) return fail("is nested deeper than " + std::to_string(limits_.levels) + " levels");
  auto* const opened = add(std::move(empty));
  if (!opened) return false;
  open_.push_back(opened);
  return true;
}

bool document_builder::close() {
  open_.pop_back();
  return true;
}

bool document_builder::fail(std::string why) {
  failure_ = std::move(why);
  return false;
}

document document_of(const record_view& record, position chunk, export_format format) {
  auto shown = readable_document_of(record, chunk, format);
  return gives_back(shown, record.body) ? shown : bare_document_of(record, chunk, format);
}

document bare_document_of(const record_view& record, position chunk, export_format format) {
  auto shown = object_with_room();
  add(shown, "position", record.position.value);
  add(shown, "chunk", chunk.value);
  add(shown, "body", as_bytes(record.body, format));
  return shown;
}

std::string_view body_of(const document& shown, std::string& frame, value_notation notation) {
  fields in(shown);
  const position where{in.number("position")};
  in.number("chunk");
  frame.clear();
  if (const auto* const body = in.find("body")) {
    in.require_no_more();
    frame = text_of(*body, "body");
    return decode_record(where, frame).body;
  }
  unrecorded_event event;
  command_options options;
  const auto category = in.text("category");
  const auto id = in.text("id");
  event.stream = {category, id};
  event.version = version{in.number("version")};
  const auto type = in.text("type");
  event.type = type;
  event.schema_version = in.small("schema_version");
  event.recorded_at = moment_of(in.get("recorded_at"), "recorded_at");
  if (const auto* const moment = in.find("occurred_at")) options.occurred_at = moment_of(*moment, "occurred_at");
  event.index = in.small("index");
  event.count = in.small("count");
  if (const auto* const expected = in.find("expected")) {
    options.expected = expected_version::exactly(version{fields::whole(*expected, "expected")});
  }
  in.text("command_id", options.command_id);
  in.text("correlation_id", options.correlation_id);
  in.text("causation_id", options.causation_id);
  in.text("who", options.principal);
  if (const auto* const keys = in.find("keys")) options.metadata = keys_of(*keys);
  std::string result;
  if (const auto* const found = in.find("result")) result = msgpack_of(*found, "result", notation);
  event.result = result;
  if (const auto* const found = in.find("fingerprint")) event.fingerprint = from_hex(*found, "fingerprint");
  const auto payload = msgpack_of(in.get("data"), "data", notation);
  event.payload = payload;
  event.options = &options;
  in.require_no_more();
  try {
    encode_frame(frame, event);
  } catch (const error& beyond) { fail(beyond.detail()); }
  return std::string_view(frame).substr(4);
}

std::uint64_t number_in(const document& shown, const char* field) { return fields(shown).number(field); }
std::string text_in(const document& shown, const char* field) { return fields(shown).text(field); }

}  // namespace cairn::detail
