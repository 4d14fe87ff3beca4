// A record as a document of an export, and back: the same bytes, or it is not the same record.
//
// docs/record_format.md, "Exports", is the grammar. Knows records and documents; knows nothing of files, chunks or RocksDB.
#pragma once

#include "value_document.hpp"

#include <cairn/maintenance.hpp>
#include <cairn/record.hpp>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::detail {

/// A record's document, with a result and a payload in it, each of them readable.
inline constexpr document_limits whole_document{readable_value.levels + 1, 2 * readable_value.values + 1024, true};

/// Builds a document of what nlohmann-json reads, within limits. Unlike that library's own builder it keeps an object's members
/// as they come, so that what goes out again is what came in, and takes no time for looking each of them up.
class document_builder : public nlohmann::json_sax<document> {
public:
  document_builder(document& root, document_limits limits) : root_(root), limits_(limits) {}

  /// Why the input could not be read, where it could not.
  const std::string& failure() const { return failure_; }

  bool null() override;
  bool boolean(bool value) override;
  bool number_integer(number_integer_t value) override;
  bool number_unsigned(number_unsigned_t value) override;
  bool number_float(number_float_t value, const string_t&) override;
  bool string(string_t& value) override;
  bool binary(binary_t& value) override;
  bool start_object(std::size_t size) override;
  bool key(string_t& name) override;
  bool end_object() override;
  bool start_array(std::size_t size) override;
  bool end_array() override;
  bool parse_error(std::size_t at, const std::string& last, const nlohmann::detail::exception& reason) override;

private:
  document* add(document value);
  bool open(document empty);
  bool close();
  bool fail(std::string why);

  document& root_;
  document_limits limits_;
  std::vector<document*> open_;
  document* member_ = nullptr;  // where the value of the latest key goes
  std::size_t values_ = 0;
  std::string failure_;
};

/// `text`, which may be anything, for an error: about 200 bytes of it, with what a terminal would obey or not show as \xNN.
std::string quotable(std::string_view text);

/// The document of a record in the chunk that begins at position `chunk`. From it body_of() gives the very bytes of the record's
/// body: what cannot be shown so that it does is shown as bytes, and in the end the whole body is.
document document_of(const record_view& record, position chunk, export_format format);
/// The same with nothing but the bytes of the body.
document bare_document_of(const record_view& record, position chunk, export_format format);

/// The body of the record that `shown` is the document of, in `frame`.
/// `notation` is that of the export that has the document.
/// Throws error(errc::corrupt_record) naming the field that is missing, superfluous or not what it must be.
std::string_view body_of(const document& shown, std::string& frame, value_notation notation);

/// A member of a document that must be there. They throw error(errc::corrupt_record) naming it.
std::uint64_t number_in(const document& shown, const char* field);
std::string text_in(const document& shown, const char* field);

}  // namespace cairn::detail
