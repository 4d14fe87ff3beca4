#include <cairn/identity.hpp>
#include <cairn/limits.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>

namespace cairn::inline v1::testkit::detail {
namespace {

std::string packed(const any_event& event) { return bytes_of(event.event, event.pack); }

}  // namespace

std::string shown_event(const any_event& event) { return std::string(event.name) + " " + shown(event.event, event.pack); }

lines differences_of_events(const any_event& expected, const any_event& actual) {
  if (expected.name != actual.name) return {"expected " + shown_event(expected), "actual " + shown_event(actual)};
  return differences_of(*expected.type, packed(expected), packed(actual));
}

std::string flaw_between(const std::type_info& type, std::string_view bytes, std::string_view bytes_of_back) {
  const auto headline = name_of_type(type) + " comes back from its bytes as another value";
  const auto changed = differences(bytes, bytes_of_back);
  if (!changed.empty()) return listed(headline, changed);
  const auto names = field_names(bytes);
  return headline + ": is a field missing in its MSGPACK_DEFINE_MAP" + (names.empty() ? "?" : ", which has " + names + "?");
}

std::string flaw_between(const any_event& event, const any_event& back) {
  return flaw_between(*event.type, packed(event), packed(back));
}

std::string flaw_of_reading(const std::type_info& type, const std::exception& reason) {
  return name_of_type(type) + " does not come back from its bytes: " + reason.what();
}

std::string codec_flaw(const void* value, const comparable_codec& of) {
  try {
    const auto bytes = bytes_of(value, of.pack);
    std::string other;
    return of.comes_back(value, bytes, other) ? std::string() : flaw_between(*of.type, bytes, other);
  } catch (const std::exception& reason) { return flaw_of_reading(*of.type, reason); }
}

std::string flaw_of_result_size(std::size_t bytes) {
  if (bytes <= limits::metadata_field_bytes_max) return {};
  return "the result takes " + std::to_string(bytes) + " bytes, and may take " + std::to_string(limits::metadata_field_bytes_max);
}

std::string frame_of(std::string_view category, std::uint64_t version, const any_event& event) {
  const auto payload = packed(event);
  unrecorded_event written;
  written.stream = {category, "1"};
  written.version = cairn::version{version};
  written.type = event.name;
  written.schema_version = event.schema_version;
  written.payload = payload;
  std::string frame;
  encode_frame(frame, written);
  return frame;
}

record_view record_in(std::string_view frame) {
  std::string_view body;
  next_frame(frame, body);
  return decode_record(position{1}, body);
}

}  // namespace cairn::testkit::detail
