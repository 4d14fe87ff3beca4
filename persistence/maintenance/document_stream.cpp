#include "document_stream.hpp"

#include <cairn/error.hpp>

#include <iterator>

namespace cairn::inline v1::detail {
namespace {

using traits = std::char_traits<char>;

/// Goes through one document byte by byte: to the end of the line where that is its end, and never further than a document may.
class byte_iterator {
public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  byte_iterator() = default;
  byte_iterator(std::streambuf& bytes, std::size_t& left, bool one_line) : bytes_(&bytes), left_(&left), one_line_(one_line) {}

  char operator*() const { return traits::to_char_type(bytes_->sgetc()); }
  byte_iterator& operator++() {
    bytes_->sbumpc();
    --*left_;
    return *this;
  }
  /// Only ever compared with the end, which is made by default.
  bool operator!=(const byte_iterator&) const {
    const auto byte = bytes_->sgetc();
    return *left_ > 0 && byte != traits::eof() && !(one_line_ && byte == '\n');
  }
  bool operator==(const byte_iterator& end) const { return !(*this != end); }

private:
  std::streambuf* bytes_ = nullptr;
  std::size_t* left_ = nullptr;
  bool one_line_ = false;
};

bool begins_map(int byte) { return (byte >= 0x80 && byte <= 0x8f) || byte == 0xde || byte == 0xdf; }

}  // namespace

std::optional<value_notation> notation_of(std::uint64_t version) {
  switch (version) {
  case 1: return value_notation::plain;
  case export_version: return value_notation::tagged;
  default: return std::nullopt;
  }
}

void append_document(std::string& out, const document& shown, export_format format) {
  if (format == export_format::msgpack) return append_msgpack(out, shown);
  out += shown.dump();
  out += '\n';
}

document_reader::document_reader(std::istream& in) : in_(in) {
  const auto first = in.peek();
  if (in.bad()) throw error(errc::journal_unavailable, "the input cannot be read");
  if (first != '{' && !begins_map(first)) {
    throw error(errc::unknown_format, first == traits::eof() ? "there is nothing to import; the input is empty"
                                                             : "the input is no export of cairn: it begins neither with a JSON "
                                                               "object nor with a map of msgpack");
  }
  format_ = first == '{' ? export_format::ndjson : export_format::msgpack;
}

bool document_reader::next(document& shown) {
  ++number_;
  if (in_.peek() == traits::eof()) {
    if (in_.bad()) throw error(errc::journal_unavailable, "the input cannot be read any further");
    return false;
  }
  const bool json = format_ == export_format::ndjson;
  auto left = document_bytes_max;
  document_builder builder(shown, whole_document);
  const auto format = json ? document::input_format_t::json : document::input_format_t::msgpack;
  bool whole = false;
  try {
    whole = document::sax_parse(byte_iterator(*in_.rdbuf(), left, json), byte_iterator(), &builder, format, /* strict */ json);
  } catch (const std::ios_base::failure& failure) {
    throw error(errc::journal_unavailable, std::string("the input cannot be read any further: ") + failure.what());
  }
  if (left == 0) throw error(errc::corrupt_record, "goes on for more than " + std::to_string(document_bytes_max) + " bytes");
  if (!whole) throw error(errc::corrupt_record, builder.failure());
  if (json) in_.rdbuf()->sbumpc();  // the end of the line
  return true;
}

}  // namespace cairn::detail
