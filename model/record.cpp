// The record codec. The grammar is docs/record_format.md, "The body of a record"; change both or neither.
#include "varint.hpp"

#include <cairn/error.hpp>
#include <cairn/limits.hpp>
#include <cairn/record.hpp>

#include <bit>
#include <cstring>

namespace cairn::inline v1 {
namespace {

static_assert(std::endian::native == std::endian::little, "the record codec copies little-endian integers as they stand");

enum flag : std::uint8_t {
  has_occurred_at = 1,
  has_expected = 2,
  has_metadata = 4,
  has_result = 8,
  has_extensions = 16,
  has_fingerprint = 32,
  all_flags = 63,
};

class writer {
public:
  explicit writer(std::string& out) : out_(out) {}

  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }

  void fixed(std::int64_t value) {
    char bytes[8];
    std::memcpy(bytes, &value, 8);
    out_.append(bytes, 8);
  }

  void varint(std::uint64_t value) { detail::append_varint(out_, value); }

  void text(std::string_view value) {
    varint(value.size());
    out_.append(value);
  }

private:
  std::string& out_;
};

class reader {
public:
  reader(position where, std::string_view body) : where_(where), left_(body) {}

  [[noreturn]] void fail(std::string_view what) const {
    throw error(errc::corrupt_record,
                "the record at position " + std::to_string(where_.value) + " has no readable " + std::string(what));
  }

  std::string_view take(std::uint64_t size, std::string_view what) {
    if (size > left_.size()) fail(what);
    const auto taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }

  std::uint8_t byte(std::string_view what) { return static_cast<std::uint8_t>(take(1, what)[0]); }

  std::int64_t fixed(std::string_view what) {
    std::int64_t value = 0;
    std::memcpy(&value, take(8, what).data(), 8);
    return value;
  }

  std::uint64_t varint(std::string_view what) {
    std::uint64_t value = 0;
    if (!detail::take_varint(left_, value)) fail(what);
    return value;
  }

  std::uint32_t number(std::string_view what) {
    const auto value = varint(what);
    if (value > 0xffffffffU) fail(what);
    return static_cast<std::uint32_t>(value);
  }

  std::string_view text(std::string_view what, std::size_t bytes_max) {
    const auto size = varint(what);
    if (size > bytes_max) fail(what);
    return take(size, what);
  }

  std::string_view rest() const { return left_; }

private:
  position where_;
  std::string_view left_;
};

timestamp moment(std::int64_t microseconds) { return timestamp{std::chrono::microseconds{microseconds}}; }

void require(bool holds, const unrecorded_event& event, std::string_view what) {
  if (holds) return;
  throw error(errc::invalid_argument, "event " + std::string(event.type.substr(0, 64)) + " of category " +
                                          std::string(event.stream.category.substr(0, 64)) + ": " + std::string(what));
}

void check(const unrecorded_event& event) {
  using namespace limits;
  require(!event.stream.category.empty() && event.stream.category.size() <= category_bytes_max, event,
          "the category must have 1 to 255 bytes");
  require(event.stream.id.size() <= id_bytes_max, event, "the aggregate id must have at most 2^20 bytes");
  require(!event.type.empty() && event.type.size() <= event_type_bytes_max, event, "the event type must have 1 to 255 bytes");
  require(event.version.value > 0, event, "versions start at 1");
  require(event.count > 0 && event.index < event.count, event, "the index must be below the count of its decision");
  require(event.payload.size() <= payload_bytes_max, event, "the payload must have at most 16 MiB");
  require(event.result.size() <= metadata_field_bytes_max, event, "the command's result must have at most 64 KiB");
  if (!event.options) return;
  const auto& options = *event.options;
  for (const auto& field : {&options.command_id, &options.correlation_id, &options.causation_id, &options.principal}) {
    require(field->size() <= metadata_field_bytes_max, event, "each field of the metadata must have at most 64 KiB");
  }
  require(options.metadata.size() <= metadata_keys_max, event, "there must be at most 64 keys of your own");
  for (const auto& [key, value] : options.metadata) {
    require(key.size() <= metadata_field_bytes_max && value.size() <= metadata_field_bytes_max, event,
            "each key and value of your own must have at most 64 KiB");
  }
}

bool brings_metadata(const command_options* options) {
  return options && !(options->command_id.empty() && options->correlation_id.empty() && options->causation_id.empty() &&
                      options->principal.empty() && options->metadata.empty());
}

}  // namespace

void encode_frame(std::string& out, const unrecorded_event& event) {
  check(event);
  const auto* options = event.options;
  const auto expected = options ? options->expected.required() : std::nullopt;
  const bool with_metadata = brings_metadata(options);
  const std::size_t start = out.size();
  // Room for a record of the usual kind at once, instead of growing towards it.
  constexpr std::size_t usual_overhead = 48;
  out.reserve(start + usual_overhead + event.stream.category.size() + event.stream.id.size() + event.type.size() +
              event.result.size() + event.payload.size());
  out.append(4, '\0');

  writer write(out);
  std::uint8_t flags = 0;
  if (options && options->occurred_at) flags |= has_occurred_at;
  if (expected) flags |= has_expected;
  if (with_metadata) flags |= has_metadata;
  if (!event.result.empty()) flags |= has_result;
  if (event.fingerprint != 0) flags |= has_fingerprint;
  write.byte(flags);
  write.varint(event.version.value);
  write.fixed(event.recorded_at.time_since_epoch().count());
  if (flags & has_occurred_at) write.fixed(options->occurred_at->time_since_epoch().count());
  write.varint(event.index);
  write.varint(event.count);
  write.varint(event.schema_version);
  write.text(event.stream.category);
  write.text(event.stream.id);
  write.text(event.type);
  if (expected) write.varint(expected->value);
  if (with_metadata) {
    write.text(options->command_id);
    write.text(options->correlation_id);
    write.text(options->causation_id);
    write.text(options->principal);
    write.varint(options->metadata.size());
    for (const auto& [key, value] : options->metadata) {
      write.text(key);
      write.text(value);
    }
  }
  if (flags & has_result) write.text(event.result);
  if (flags & has_fingerprint) write.fixed(static_cast<std::int64_t>(event.fingerprint));
  out.append(event.payload);

  const std::size_t size = out.size() - start - 4;
  if (size > limits::record_bytes_max) {
    out.resize(start);
    require(false, event, "the whole record must have at most 32 MiB");
  }
  const auto length = static_cast<std::uint32_t>(size);
  std::memcpy(out.data() + start, &length, 4);
}

bool next_frame(std::string_view& frames, std::string_view& body) {
  if (frames.empty()) return false;
  std::uint32_t length = 0;
  if (frames.size() >= 4) std::memcpy(&length, frames.data(), 4);
  if (frames.size() < 4 || length > frames.size() - 4) throw error(errc::corrupt_record, "a frame is cut short");
  body = frames.substr(4, length);
  frames.remove_prefix(4 + std::size_t{length});
  return true;
}

namespace {

/// Passes over what a newer program added. Returns the first tag that may not be ignored; 0 if there is none.
std::uint64_t read_extensions(reader& read) {
  std::uint64_t critical = 0;
  std::uint64_t before = 0;
  const auto count = read.varint("number of extensions");
  if (count == 0 || count > limits::record_extensions_max) read.fail("number of extensions");
  for (std::uint64_t number = 0; number < count; ++number) {
    const auto tag = read.varint("extension");
    if (tag <= before) read.fail("extension");
    before = tag;
    read.text("extension", limits::metadata_field_bytes_max);
    if (tag % 2 == 1 && critical == 0) critical = tag;
  }
  return critical;
}

}  // namespace

record_view decode_record(position where, std::string_view body) {
  reader read(where, body);
  record_view record;
  record.position = where;
  record.body = body;
  const auto flags = read.byte("flags");
  if (flags & ~all_flags) read.fail("flags");
  record.version = version{read.varint("version")};
  record.recorded_at = moment(read.fixed("recorded-at"));
  if (flags & has_occurred_at) record.occurred_at = moment(read.fixed("occurred-at"));
  record.index = read.number("index");
  record.count = read.number("count");
  record.schema_version = read.number("schema version");
  record.stream.category = read.text("category", limits::category_bytes_max);
  record.stream.id = read.text("aggregate id", limits::id_bytes_max);
  record.type = read.text("event type", limits::event_type_bytes_max);
  if (flags & has_expected) record.expected = version{read.varint("expected version")};
  if (flags & has_metadata) {
    record.command_id = read.text("command id", limits::metadata_field_bytes_max);
    record.correlation_id = read.text("correlation id", limits::metadata_field_bytes_max);
    record.causation_id = read.text("causation id", limits::metadata_field_bytes_max);
    record.principal = read.text("who", limits::metadata_field_bytes_max);
    const auto before = read.rest();
    const auto keys = read.varint("number of keys");
    if (keys > limits::metadata_keys_max) read.fail("number of keys");
    for (std::uint64_t key = 0; key < 2 * keys; ++key) read.text("key", limits::metadata_field_bytes_max);
    record.encoded_metadata = before.substr(0, before.size() - read.rest().size());
  }
  if (flags & has_result) record.result = read.text("result", limits::metadata_field_bytes_max);
  if (flags & has_fingerprint) {
    record.fingerprint = static_cast<std::uint64_t>(read.fixed("fingerprint"));
    if (record.fingerprint == 0) read.fail("fingerprint");
  }
  if (flags & has_extensions) record.critical_extension = read_extensions(read);
  record.payload = read.rest();
  if (record.version.value == 0) read.fail("version");
  if (record.index >= record.count) read.fail("index");
  if (record.stream.category.empty() || record.type.empty()) read.fail("names");
  return record;
}

void require_understood(const record_view& record) {
  if (record.critical_extension == 0) return;
  throw error(errc::unknown_format, "the record at position " + std::to_string(record.position.value) + " has the extension " +
                                        std::to_string(record.critical_extension) +
                                        ", which this program does not know; read it with a newer version of cairn");
}

std::vector<std::pair<std::string, std::string>> metadata_of(const record_view& record) {
  std::vector<std::pair<std::string, std::string>> keys;
  if (record.encoded_metadata.empty()) return keys;
  reader read(record.position, record.encoded_metadata);
  const auto count = read.varint("number of keys");
  if (count > limits::metadata_keys_max) read.fail("number of keys");
  keys.resize(count);
  for (auto& [key, value] : keys) {
    key = read.text("key", limits::metadata_field_bytes_max);
    value = read.text("value", limits::metadata_field_bytes_max);
  }
  return keys;
}

}  // namespace cairn
