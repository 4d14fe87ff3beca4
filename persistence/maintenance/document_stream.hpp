// The documents of an export, one after another: how they are written to a stream and read from one, in either format.
//
// Knows documents and bytes; what they say is the affair of record_document.hpp and of the export and import themselves.
#pragma once

#include "record_document.hpp"

#include <cairn/limits.hpp>

#include <istream>
#include <optional>
#include <ostream>
#include <string>

namespace cairn::inline v1::detail {

/// No document is longer, in either format; a reader gives up where one goes on beyond.
inline constexpr std::size_t document_bytes_max = 2 * limits::record_bytes_max;

/// The first document of an export names them.
inline constexpr const char* export_name = "cairn export";
inline constexpr std::uint64_t export_version = 2;

/// Returns the notation of values in an export of `version`; nullopt if this program does not know that version.
std::optional<value_notation> notation_of(std::uint64_t version);

/// Appends `shown` to `out` as an export has it.
void append_document(std::string& out, const document& shown, export_format format);

/// Thread safety: one thread at a time.
class document_reader {
public:
  /// Recognises the format from the first byte. Throws error(errc::unknown_format) where it is the beginning of neither, and
  /// error(errc::journal_unavailable) where the stream cannot be read.
  explicit document_reader(std::istream& in);

  /// Reads the next document into `shown`; false at the end. Throws error(errc::corrupt_record) where there is something else,
  /// and error(errc::journal_unavailable) where the stream cannot be read.
  bool next(document& shown);

  /// Where the latest document stood: "line 17", "object 17".
  std::string where() const { return (format_ == export_format::ndjson ? "line " : "object ") + std::to_string(number_); }

private:
  std::istream& in_;
  export_format format_;
  std::uint64_t number_ = 0;
};

}  // namespace cairn::detail
