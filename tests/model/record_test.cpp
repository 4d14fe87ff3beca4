// The record codec: what goes in comes out, and nothing that is not a record is taken for one.
#include "../../model/varint.hpp"

#include <cairn/error.hpp>
#include <cairn/limits.hpp>
#include <cairn/record.hpp>

#include <doctest/doctest.h>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace cairn::tests {
namespace {

timestamp at(std::int64_t microseconds) { return timestamp{std::chrono::microseconds{microseconds}}; }

/// An event with every field set to something of its own. Made in place, for it points into itself.
struct full_event {
  full_event() {
    options.expected = expected_version::exactly(version{41});
    options.command_id = "command";
    options.correlation_id = "correlation";
    options.causation_id = "causation";
    options.principal = "somebody";
    options.occurred_at = at(-5);
    options.metadata = {{"tenant", "north"}, {"", ""}, {"tenant", std::string("\0\xff", 2)}};
    event.stream = {"product", id};
    event.version = version{42};
    event.type = "ADD";
    event.schema_version = 3;
    event.recorded_at = at(1'291'191'960'000'000);
    event.index = 1;
    event.count = 2;
    event.options = &options;
    event.result = "result";
    event.payload = payload;
  }
  full_event(const full_event&) = delete;

  std::string id = std::string("id\0\xfe", 4);
  std::string payload = std::string("\x81\xa5", 2) + std::string(300, '\0');
  command_options options;
  unrecorded_event event;
};

std::string frame_of(const unrecorded_event& event) {
  std::string frame;
  encode_frame(frame, event);
  return frame;
}

std::string body_of(const unrecorded_event& event) { return frame_of(event).substr(4); }

errc kind_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const error& failure) { return failure.kind(); }
  return errc{};
}

unrecorded_event plain_event() {
  unrecorded_event event;
  event.stream = {"product", "1"};
  event.version = version{1};
  event.type = "ADD";
  return event;
}

}  // namespace

TEST_CASE("every field of an event comes back from its record") {
  const full_event full;
  const auto body = body_of(full.event);
  const auto record = decode_record(position{7}, body);
  CHECK(record.position == position{7});
  CHECK(record.stream == full.event.stream);
  CHECK(record.version == version{42});
  CHECK(record.type == "ADD");
  CHECK(record.schema_version == 3);
  CHECK(record.recorded_at == full.event.recorded_at);
  CHECK(record.occurred_at == at(-5));
  CHECK(record.index == 1);
  CHECK(record.count == 2);
  CHECK(record.expected == version{41});
  CHECK(record.command_id == "command");
  CHECK(record.correlation_id == "correlation");
  CHECK(record.causation_id == "causation");
  CHECK(record.principal == "somebody");
  CHECK((metadata_of(record) == full.options.metadata));
  CHECK(record.result == "result");
  CHECK(record.payload == full.payload);
  CHECK(record.body == body);
}

TEST_CASE("what an event does not bring is not there afterwards") {
  const auto body = body_of(plain_event());
  const auto record = decode_record(position{1}, body);
  CHECK_FALSE(record.occurred_at);
  CHECK_FALSE(record.expected);
  CHECK(record.command_id.empty());
  CHECK(record.principal.empty());
  CHECK(metadata_of(record).empty());
  CHECK(record.result.empty());
  CHECK(record.payload.empty());
  CHECK(record.schema_version == 1);
  // Options that say nothing leave no trace.
  const command_options nothing;
  auto event = plain_event();
  event.options = &nothing;
  CHECK(body_of(event) == body);
}

TEST_CASE("each optional field can be the only one") {
  using text_of_options = std::string command_options::*;
  using text_of_record = std::string_view record_view::*;
  const std::string text = "t";
  auto event = plain_event();
  event.payload = "payload";
  const std::vector<std::pair<text_of_options, text_of_record>> texts{
      {&command_options::command_id, &record_view::command_id},
      {&command_options::correlation_id, &record_view::correlation_id},
      {&command_options::causation_id, &record_view::causation_id},
      {&command_options::principal, &record_view::principal},
  };
  for (const auto& [of_options, of_record] : texts) {
    command_options options;
    options.*of_options = text;
    event.options = &options;
    const auto body = body_of(event);
    const auto record = decode_record(position{1}, body);
    for (const auto& [ignored, any] : texts) CHECK(record.*any == (any == of_record ? "t" : ""));
    CHECK(record.payload == "payload");
    CHECK_FALSE(record.expected);
  }
  command_options options;
  event.options = &options;
  options.occurred_at = at(0);
  auto body = body_of(event);
  CHECK(decode_record(position{1}, body).occurred_at == at(0));
  options.occurred_at.reset();
  options.expected = expected_version::none_yet();
  body = body_of(event);
  CHECK(decode_record(position{1}, body).expected == version{0});
  options.expected = expected_version::any();
  options.metadata.emplace_back("key", "value");
  body = body_of(event);
  CHECK((metadata_of(decode_record(position{1}, body)) == options.metadata));
}

TEST_CASE("the bytes of a record are those of its grammar") {
  auto event = plain_event();
  event.version = version{300};
  event.recorded_at = at(2);
  event.payload = "!";
  const std::string expected("\x1d\0\0\0"                    // length of the body
                             "\0\xac\x02\x02\0\0\0\0\0\0\0"  // flags, version, recorded-at
                             "\0\x01\x01"                    // index, count, schema version
                             "\7product\1"
                             "1\3"
                             "ADD!",
                             4 + 11 + 3 + 8 + 2 + 4 + 1);
  CHECK(frame_of(event) == expected);
}

TEST_CASE("a body cut anywhere before its payload is a corrupt record that names its position") {
  const full_event full;
  const auto body = body_of(full.event);
  for (std::size_t length = 0; length < body.size() - full.payload.size(); ++length) {
    INFO("cut to ", length);
    try {
      decode_record(position{1234}, std::string_view(body).substr(0, length));
      FAIL("was read");
    } catch (const error& failure) {
      CHECK(failure.kind() == errc::corrupt_record);
      CHECK(failure.detail().find("1234") != std::string::npos);
    }
  }
}

TEST_CASE("no body of arbitrary bytes reads beyond its end") {
  const full_event full;
  const auto body = body_of(full.event);
  for (std::size_t byte = 0; byte < body.size() - full.payload.size(); ++byte) {
    for (int value = 0; value < 256; ++value) {
      auto damaged = body;
      damaged[byte] = static_cast<char>(value);
      try {
        const auto record = decode_record(position{1}, damaged);
        CHECK(record.payload.size() <= damaged.size());
        metadata_of(record);
      } catch (const error& failure) { CHECK(failure.kind() == errc::corrupt_record); }
    }
  }
}

TEST_CASE("frames come off one after another, and a frame that is cut short is corrupt") {
  std::string frames;
  auto event = plain_event();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    event.version = version{i};
    encode_frame(frames, event);
  }
  std::string_view left(frames);
  std::string_view body;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    REQUIRE(next_frame(left, body));
    CHECK(decode_record(position{i}, body).version == version{i});
  }
  CHECK_FALSE(next_frame(left, body));
  const auto one = frame_of(event);
  for (std::size_t length = 1; length < one.size(); ++length) {
    auto cut = std::string_view(one).substr(0, length);
    CHECK(kind_of([&] { next_frame(cut, body); }) == errc::corrupt_record);
  }
}

TEST_CASE("an event at each limit is taken, one beyond it is refused and leaves the buffer as it was") {
  using namespace limits;
  const std::string category(category_bytes_max + 1, 'c');
  const std::string id(id_bytes_max + 1, 'i');
  const std::string type(event_type_bytes_max + 1, 't');
  const std::string field(metadata_field_bytes_max + 1, 'f');
  const std::string payload(payload_bytes_max + 1, 'p');
  const auto one_less = [](const std::string& text) { return std::string_view(text).substr(1); };

  const auto taken = [](const unrecorded_event& event) {
    const auto body = body_of(event);
    const auto record = decode_record(position{1}, body);
    CHECK((record.stream == event.stream && record.type == event.type && record.payload == event.payload));
  };
  const auto refused = [](const unrecorded_event& event) {
    std::string out = "before";
    CHECK(kind_of([&] { encode_frame(out, event); }) == errc::invalid_argument);
    CHECK(out == "before");
  };
  auto event = plain_event();
  SUBCASE("category") {
    event.stream.category = one_less(category);
    taken(event);
    event.stream.category = category;
    refused(event);
    event.stream.category = "";
    refused(event);
  }
  SUBCASE("id") {
    event.stream.id = one_less(id);
    taken(event);
    event.stream.id = id;
    refused(event);
    event.stream.id = "";
    taken(event);
  }
  SUBCASE("type") {
    event.type = one_less(type);
    taken(event);
    event.type = type;
    refused(event);
    event.type = "";
    refused(event);
  }
  SUBCASE("payload") {
    event.payload = one_less(payload);
    taken(event);
    event.payload = payload;
    refused(event);
  }
  SUBCASE("result") {
    event.result = one_less(field);
    taken(event);
    event.result = field;
    refused(event);
  }
  SUBCASE("version, index and count") {
    event.version = version::max();
    event.index = 0xfffffffe;
    event.count = 0xffffffff;
    event.schema_version = 0xffffffff;
    taken(event);
    event.index = event.count;
    refused(event);
    event.index = 0;
    event.count = 0;
    refused(event);
    event.count = 1;
    event.version = version{0};
    refused(event);
  }
  SUBCASE("metadata") {
    command_options options;
    event.options = &options;
    for (auto* text : {&options.command_id, &options.correlation_id, &options.causation_id, &options.principal}) {
      *text = one_less(field);
      taken(event);
      *text = field;
      refused(event);
      text->clear();
    }
    options.metadata.assign(metadata_keys_max, {"k", "v"});
    taken(event);
    options.metadata.emplace_back("one", "more");
    refused(event);
    options.metadata = {{std::string(one_less(field)), std::string(one_less(field))}};
    taken(event);
    options.metadata[0].first += 'x';
    refused(event);
    options.metadata = {{"", field}};
    refused(event);
  }
}

/// `body` with extensions: the flag in its first byte, and the list before the payload.
std::string with_extensions(std::string body, std::size_t payload_bytes,
                            const std::vector<std::pair<std::uint64_t, std::string>>& extensions) {
  body[0] = static_cast<char>(body[0] | 16);
  std::string list;
  detail::append_varint(list, extensions.size());
  for (const auto& [tag, text] : extensions) {
    detail::append_varint(list, tag);
    detail::append_varint(list, text.size());
    list += text;
  }
  return body.insert(body.size() - payload_bytes, list);
}

TEST_CASE("an extension with an even tag is passed over, and one with an odd tag keeps the record from being handed out") {
  const full_event full;
  const auto body = body_of(full.event);
  const auto extended = [&](const std::vector<std::pair<std::uint64_t, std::string>>& extensions) {
    return with_extensions(body, full.payload.size(), extensions);
  };
  const auto ignorable = extended({{2, "trace"}, {4, ""}});
  const auto record = decode_record(position{7}, ignorable);
  CHECK(record.payload == full.payload);
  CHECK(record.result == "result");
  CHECK(record.body == ignorable);
  CHECK_NOTHROW(require_understood(record));

  const auto sealed = extended({{1, "key 17"}, {2, "trace"}});
  const auto unreadable = decode_record(position{7}, sealed);
  CHECK(unreadable.stream == full.event.stream);
  CHECK(unreadable.critical_extension == 1);
  CHECK(kind_of([&] { require_understood(unreadable); }) == errc::unknown_format);
}

TEST_CASE("a list of extensions that is empty, too long, out of order or cut is corrupt") {
  const full_event full;
  const auto body = body_of(full.event);
  const auto kind = [&](const std::vector<std::pair<std::uint64_t, std::string>>& extensions) {
    return kind_of([&] { decode_record(position{1}, with_extensions(body, full.payload.size(), extensions)); });
  };
  CHECK(kind({}) == errc::corrupt_record);
  CHECK(kind({{0, ""}}) == errc::corrupt_record);
  CHECK(kind({{4, ""}, {2, ""}}) == errc::corrupt_record);
  CHECK(kind({{2, ""}, {2, ""}}) == errc::corrupt_record);
  std::vector<std::pair<std::uint64_t, std::string>> many;
  for (std::uint64_t tag = 1; tag <= limits::record_extensions_max + 1; ++tag) many.emplace_back(2 * tag, "");
  CHECK(kind(many) == errc::corrupt_record);
  many.pop_back();
  CHECK(kind(many) == errc{});
  const auto whole = with_extensions(body, full.payload.size(), {{2, std::string(400, 'x')}});
  CHECK(kind_of([&] { decode_record(position{1}, whole.substr(0, whole.size() - full.payload.size() - 1)); }) ==
        errc::corrupt_record);
}

TEST_CASE("a number has one encoding: a longer one, one beyond 64 bits and one that is cut are refused") {
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127}, std::uint64_t{128},
                                     std::uint64_t{16'384}, ~std::uint64_t{0} >> 1, ~std::uint64_t{0}}) {
    std::string bytes;
    detail::append_varint(bytes, number);
    std::string_view left(bytes);
    std::uint64_t read = 0;
    REQUIRE(detail::take_varint(left, read));
    CHECK(read == number);
    CHECK(left.empty());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      auto cut = std::string_view(bytes).substr(0, length);
      CHECK_FALSE(detail::take_varint(cut, read));
    }
    auto longer = bytes;
    longer.back() = static_cast<char>(longer.back() | 0x80);
    longer.push_back(0);
    std::string_view refused(longer);
    CHECK_FALSE(detail::take_varint(refused, read));
  }
  for (const int last : {2, 0x7f, 0x81}) {
    const auto beyond = std::string(9, '\xff') + static_cast<char>(last) + '\0';
    std::string_view refused(beyond);
    std::uint64_t read = 0;
    CHECK_FALSE(detail::take_varint(refused, read));
  }
}

}  // namespace cairn::tests
