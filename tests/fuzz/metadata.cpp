// The metadata decoder: any bytes as a record's metadata, and by themselves as the user's keys.
#include "harness.hpp"

#include <cairn/limits.hpp>
#include <cairn/record.hpp>

#include <string>

using namespace cairn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::text(data, size);
  unrecorded_event event;
  event.stream = {"product", "1"};
  event.version = version{1};
  event.type = "ADD";
  std::string frame;
  encode_frame(frame, event);
  // The body without metadata, its flag set, and the input where the metadata begins.
  auto body = frame.substr(4);
  body[0] = 4;
  body += input;
  fuzz::decodes([&] {
    const auto record = decode_record(position{1}, body);
    for (const auto part :
         {record.command_id, record.correlation_id, record.causation_id, record.principal, record.encoded_metadata}) {
      fuzz::require(fuzz::within(part, body));
    }
    const auto keys = metadata_of(record);
    fuzz::require(keys.size() <= limits::metadata_keys_max);
  });
  fuzz::decodes([&] {
    record_view record;
    record.encoded_metadata = input;
    fuzz::require(metadata_of(record).size() <= limits::metadata_keys_max);
  });
  return 0;
}
