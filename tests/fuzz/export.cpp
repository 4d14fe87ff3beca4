// What an import reads: any bytes as an export, and any record through an export and back.
#include "harness.hpp"

#include "../../persistence/maintenance/document_stream.hpp"

#include <cairn/record.hpp>

#include <sstream>
#include <string>

using namespace cairn;

namespace {

/// A record that is exported comes back as the bytes that it was.
void there_and_back(std::string_view body) {
  const auto record = decode_record(position{7}, body);
  for (const auto format : {export_format::ndjson, export_format::msgpack}) {
    std::string written, frame;
    detail::append_document(written, detail::document_of(record, position{5}, format), format);
    std::istringstream stream(written);
    detail::document_reader reader(stream);
    detail::document shown;
    fuzz::require(reader.next(shown));
    fuzz::require(detail::body_of(shown, frame, detail::value_notation::tagged) == body);
    fuzz::require(!reader.next(shown));
  }
}

void import(std::string_view input, detail::value_notation notation) {
  std::istringstream stream{std::string(input)};
  detail::document_reader reader(stream);
  for (detail::document shown; reader.next(shown);) {
    std::string frame;
    fuzz::decodes([&] { there_and_back(detail::body_of(shown, frame, notation)); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::text(data, size);
  for (const auto notation : {detail::value_notation::plain, detail::value_notation::tagged}) {
    fuzz::decodes([&] { import(input, notation); });
  }
  // A body that decodes must also make the journey.
  record_view record;
  if (fuzz::decodes([&] { record = decode_record(position{7}, input); })) there_and_back(input);
  return 0;
}
