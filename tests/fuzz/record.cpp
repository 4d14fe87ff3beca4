// The record decoder: any bytes at all as a body, and as frames. What it takes, the encoder makes again.
#include "harness.hpp"

#include <cairn/record.hpp>

using namespace cairn;

namespace {

void look_into(std::string_view body) {
  const auto record = decode_record(position{7}, body);
  for (const auto part : {record.stream.category, record.stream.id, record.type, record.command_id, record.correlation_id,
                          record.causation_id, record.principal, record.encoded_metadata, record.result, record.payload}) {
    fuzz::require(fuzz::within(part, body));
  }
  fuzz::require(record.version.value > 0 && record.index < record.count);

  command_options options;
  options.occurred_at = record.occurred_at;
  if (record.expected) {
    options.expected = record.expected->value == 0 ? expected_version::none_yet() : expected_version::exactly(*record.expected);
  }
  options.command_id = record.command_id;
  options.correlation_id = record.correlation_id;
  options.causation_id = record.causation_id;
  options.principal = record.principal;
  options.metadata = metadata_of(record);
  unrecorded_event event;
  event.stream = record.stream;
  event.version = record.version;
  event.type = record.type;
  event.schema_version = record.schema_version;
  event.recorded_at = record.recorded_at;
  event.index = record.index;
  event.count = record.count;
  event.result = record.result;
  event.payload = record.payload;
  event.options = &options;
  std::string frame;
  // The decoder takes what is a little beyond the encoder's limits nowhere; what it takes comes back the same.
  if (!fuzz::decodes([&] { encode_frame(frame, event); })) return;
  auto frames = std::string_view(frame);
  std::string_view again;
  fuzz::require(next_frame(frames, again) && frames.empty());
  const auto second = decode_record(position{7}, again);
  fuzz::require(second.stream == record.stream && second.version == record.version && second.type == record.type &&
                second.schema_version == record.schema_version && second.recorded_at == record.recorded_at &&
                second.occurred_at == record.occurred_at && second.index == record.index && second.count == record.count &&
                second.expected == record.expected && second.command_id == record.command_id &&
                second.principal == record.principal && metadata_of(second) == options.metadata &&
                second.result == record.result && second.payload == record.payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::text(data, size);
  fuzz::decodes([&] { look_into(input); });
  fuzz::decodes([&] {
    auto frames = input;
    for (std::string_view body; next_frame(frames, body);) {
      fuzz::require(fuzz::within(body, input));
      fuzz::decodes([&] { look_into(body); });
    }
  });
  return 0;
}
