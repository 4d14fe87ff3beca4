// A msgpack value as a JSON value, and back to the same bytes.
//
// docs/record_format.md, "Values", is the grammar. Knows msgpack and JSON; knows nothing of records.
#pragma once

#include <cairn/maintenance.hpp>
#include <cairn/time.hpp>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::inline v1::detail {

using document = nlohmann::ordered_json;

/// Limits of a parser, whatever the input claims.
struct document_limits {
  std::size_t levels;  ///< of arrays and objects within each other
  std::size_t values;
  bool binary;  ///< whether bytes are accepted; JSON has none
};

/// Limits of a payload or result that an export shows as a value; a larger one is shown as bytes.
inline constexpr document_limits readable_value{64, std::size_t{1} << 20, false};

/// The meaning of an object with one name that begins with "$".
enum class value_notation {
  plain,   ///< a map like any other: exports of version 1
  tagged,  ///< a value that JSON does not have: exports of version 2
};

/// Returns the document of `bytes`: a `bin` in an export of msgpack, else base64.
document as_bytes(std::string_view bytes, export_format format);

/// Returns the bytes that `shown` stands for; nullopt if it stands for something else.
std::optional<std::string> bytes_of(const document& shown);

/// Returns whether `shown` is an object with the one name `base64` and a text, readable or not.
bool is_base64(const document& shown);

/// Returns the moment that to_string() writes as `text`; nullopt if there is none.
std::optional<timestamp> moment_in(std::string_view text);

/// Returns whether `moment` has a date of four digits, which to_string() and moment_in() can express.
bool has_readable_date(timestamp moment);

/// Appends `value` as msgpack. Each number takes its shortest form, but a fraction always takes eight bytes.
void append_msgpack(std::string& out, const document& value);

/// Returns the tagged document of `msgpack`, which may be any bytes. msgpack_of() makes the same bytes of it.
document document_of_value(std::string_view msgpack, export_format format);

/// Returns the msgpack bytes that `shown` is the document of.
/// Throws error(errc::corrupt_record) naming `field` if it is no document of a value.
std::string msgpack_of(const document& shown, std::string_view field, value_notation notation);

/// Throws error(errc::corrupt_record) naming the field.
[[noreturn]] void fail_at(std::string_view field, const std::string& what);

}  // namespace cairn::detail
