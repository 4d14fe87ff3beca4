// An export holds all of a store, and nothing else than that store comes of importing it.
#include "../settings.hpp"
#include "stores.hpp"

#include <cairn/codec.hpp>
#include <cairn/msgpack.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace cairn::tests {
namespace {

using doctest::Contains;

constexpr auto both_formats = {export_format::ndjson, export_format::msgpack};

/// Exports the store in `folder`, which is open, in either format, imports it, and checks that the two cannot be told apart and
/// that the copy goes on.
void check_round_trip(const cairn::store& store, const fs::path& store_folder) {
  const auto head = store.head();
  const auto expected = bodies(store);
  for (const auto format : both_formats) {
    const temporary_folder folder;
    const auto copy_folder = folder.path() / "copy";
    std::ostringstream exported;
    CHECK(export_store(store_folder, exported, {.format = format, .progress = {}}) == head);
    CHECK(import(exported.str(), copy_folder) == head);
    CHECK(entries_of(folder.path()) == 1);
    const auto checked = verify_store(copy_folder, {.noted = head, .progress = {}});
    CHECK(checked.records == expected.size());
    CHECK(checked.indexed.value_or(0) == expected.size());
    const auto copy = open_store(copy_folder);
    CHECK(copy->head() == head);
    CHECK(bodies(*copy) == expected);
    for (const auto other : both_formats) CHECK(export_of(copy_folder, other) == export_of(store_folder, other));
    append(*copy, {event{.stream = {"product", "of the copy only"}}});
    CHECK(verify_store(copy_folder, {.noted = head, .progress = {}}).records == expected.size() + 1);
  }
}

/// A store in which each of `events` is there.
void check_round_trip_of(const std::vector<event>& events) {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append(*store, events);
  check_round_trip(*store, folder.path() / "store");
}

std::string line_with(const std::string& payload) {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append(*store, {event{.payload = payload}});
  return lines_of(export_of(folder.path() / "store")).at(1);
}

/// Refused with these words, and nothing is left behind.
void check_refused(const std::string& exported, const std::string& words = {}) {
  const temporary_folder folder;
  CAPTURE(exported.substr(0, 2000));
  CHECK_THROWS_WITH_AS(import(exported, folder.path() / "copy"), Contains(words.c_str()), error);
  CHECK(entries_of(folder.path()) == 0);
}

std::string few_exported(export_format format = export_format::ndjson) {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append_few(*store);
  return export_of(folder.path() / "store", format);
}

// --- round trips ---

TEST_CASE("a store without records comes back with its identity") {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  CHECK(lines_of(export_of(folder.path() / "store")).size() == 2);
  check_round_trip(*store, folder.path() / "store");
}

TEST_CASE("every optional field of a record comes back, and one that is absent stays absent") {
  std::vector<event> events(9);
  events[0].options.command_id = "order 77/1";
  events[1].options.correlation_id = "order 77";
  events[2].options.causation_id = "command 1";
  events[3].options.principal = "Zoë";
  events[4].options.metadata = {{"shop", "north"}, {"shop", "again"}, {"", ""}, {std::string("\xff\0", 2), "\x80"}};
  events[5].options.occurred_at = timestamp{std::chrono::microseconds{1}};
  events[6].options.expected = expected_version::exactly(version{6});
  events[7].result = "\xa3yes";
  events[8] = events[4];
  events[8].options.command_id = "all";
  events[8].options.principal = "\xc0";
  events[8].options.occurred_at = timestamp{};
  events[8].options.expected = expected_version::exactly(version{8});
  events[8].result = "no msgpack";
  events[8].schema_version = 4'294'967'295;
  check_round_trip_of(events);
}

TEST_CASE("names of any bytes come back") {
  check_round_trip_of({event{.stream = {"product", ""}}, event{.stream = {"product", std::string(3, '\0')}},
                       event{.stream = {std::string("\xff\xfe\0", 3), std::string(1000, '\xed')}, .type = "\x80"},
                       event{.stream = {"\"\\/", "\u2028\x7f\x1f\n"}}, event{.stream = {"product", R"({"base64":"QQ=="})"}}});
}

TEST_CASE("moments come back exactly, also those that have no date that people write") {
  constexpr std::int64_t first_of_year_1 = -62'135'596'800'000'000;
  constexpr std::int64_t end_of_year_9999 = 253'402'300'799'999'999;
  std::vector<event> events;
  for (const auto moment :
       {std::int64_t{0}, std::int64_t{-1}, first_of_year_1, first_of_year_1 - 1, end_of_year_9999, end_of_year_9999 + 1,
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    events.emplace_back().recorded_at = timestamp{std::chrono::microseconds{moment}};
    events.back().options.occurred_at = events.back().recorded_at;
  }
  check_round_trip_of(events);
}

TEST_CASE("payloads of every kind come back byte for byte") {
  const auto nested = [](std::size_t levels) { return std::string(levels, '\x91') + '\xc0'; };
  std::string floats(1, '\xdc');
  floats += {'\x27', '\x10'};  // 10,000 of them
  std::mt19937_64 random(setting("CAIRN_TEST_SEED", 1));
  for (int n = 0; n < 10'000; ++n) {
    auto bits = random();
    while (!std::isfinite(std::bit_cast<double>(bits))) bits = random();
    floats += '\xcb';
    for (int byte = 7; byte >= 0; --byte) floats += static_cast<char>(bits >> 8 * byte);
  }
  const auto large = std::string("\xdb\x00\x10\x00\x00", 5) + std::string(std::size_t{1} << 20, '\0');
  std::vector<event> events;
  for (const auto& payload : {std::string(),  // no msgpack at all
                              std::string("\x82\xa1"
                                          "a\x81\xa1"
                                          "b\x93\x01\xff\xc3\xa1"
                                          "c\xa2hi",
                                          15),
                              std::string("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),  // the largest and the least integer
                              std::string("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9),
                              std::string("\xcb\x40\x00\x00\x00\x00\x00\x00\x00", 9),  // 2.0
                              std::string("\xcb\x80\x00\x00\x00\x00\x00\x00\x00", 9),  // -0.0
                              std::string("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 9),  // not a number
                              std::string("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", 9),  // minus infinity
                              std::string("\xca\x3f\x80\x00\x00", 5),                  // a float of four bytes
                              std::string("\xd4\x05x"),                                // an extension
                              std::string("\xc4\x02\x00\xff", 4),                      // bytes
                              std::string("\x81\xa1k\xc4\x01x"),                       // bytes within
                              std::string("\xcc\x05"),                                 // longer than it needs to be
                              std::string("\xd9\x01x"),
                              std::string("\x81\x01\x02"),            // a key that is no text
                              std::string("\x82\xa1k\x01\xa1k\x02"),  // a key twice
                              std::string("\xa1\xff"),                // a text that is not UTF-8
                              std::string("\x81\xa1\xff\x01"),        // a name that is not
                              std::string("\xa3\xed\xa0\x80"),        // half of a surrogate pair
                              std::string("\x81\xa6"
                                          "base64\xa4QUJD"),  // what bytes look like
                              std::string("\x81\xa6"
                                          "base64\x01"),
                              std::string("\xa8\u2028\"\\\n\x00", 9),
                              std::string("\x01\x02"),                  // more than one value
                              std::string("\xdd\xff\xff\xff\xff\x01"),  // cut short
                              nested(64),
                              nested(65),
                              nested(100'000),
                              floats,
                              large,
                              std::string(std::size_t{1} << 20, '\xc1')}) {
    events.emplace_back().payload = payload;
    events.back().result = payload.size() < 1000 ? payload : std::string();
  }
  check_round_trip_of(events);
}

TEST_CASE("payloads are readable where they can be, and bytes are never taken for a value") {
  CHECK(line_with("\x81\xa5"
                  "count\x03")
            .ends_with(R"("data":{"count":3}})"));
  CHECK(line_with(std::string("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 9)).ends_with(R"("data":1.5})"));
  CHECK(line_with("\xc0").ends_with(R"("data":null})"));
  CHECK(line_with("\xc1").ends_with(R"("data":{"base64":"wQ=="}})"));
  CHECK(line_with("\x81\xa6"
                  "base64\xa4QUJD")
            .ends_with(R"("data":{"$map":[["base64","QUJD"]]}})"));
  CHECK(line_with("\x81\xa1"
                  "a\x81\xa6"
                  "base64\x01")
            .ends_with(R"("data":{"a":{"base64":1}}})"));
}

// --- values that JSON does not have ---

using namespace std::string_literals;

struct Dispatched {
  std::string carrier;
  timestamp at;
  std::vector<char> label;
  float kilograms = 0;
  std::map<int, std::string> parcels;
  MSGPACK_DEFINE_MAP(carrier, at, label, kilograms, parcels)
};

std::string payload_of(const Dispatched& event) {
  std::string payload;
  cairn::detail::encode(payload, event);
  return payload;
}

TEST_CASE("an event with a timestamp, bytes, a float and keys of numbers stays readable") {
  const auto at = timestamp{std::chrono::microseconds{1'795'512'600'000'000}};
  const auto payload = payload_of({"Zoë", at, {'A', 'B'}, 0.1F, {{7, "small"}}});
  CHECK(
      line_with(payload).ends_with(R"("data":{"carrier":"Zoë","at":{"$timestamp":"2026-11-24T09:30:00.000000Z"},)"
                                   R"("label":{"$bin":"QUI="},"kilograms":{"$float32":0.1},"parcels":{"$map":[[7,"small"]]}}})"));
  check_round_trip_of({event{.payload = payload}, event{.result = payload}});
}

TEST_CASE("a value that JSON does not have spoils only itself") {
  struct example {
    std::string msgpack;
    std::string shown;
  };
  const std::vector<example> examples{
      {"\xd6\xff\x00\x00\x00\x01"s, R"({"$timestamp":"1970-01-01T00:00:01.000000Z"})"},
      {"\xd7\xff\x00\x00\x00\x04\x00\x00\x00\x00"s, R"({"$timestamp":"1970-01-01T00:00:00.000000001Z"})"},
      {"\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01"s, R"({"$ext":[-1,"AAAAAAAAAAE="]})"},  // not the shortest form
      {"\xd7\xff\xff\xff\xff\xfc\x00\x00\x00\x00"s, R"({"$ext":[-1,"/////AAAAAA="]})"},  // more than a second of nanoseconds
      {"\xc7\x0c\xff\x3b\x9a\xc6\x18\xff\xff\xff\xff\xff\xff\xff\xff"s, R"({"$timestamp":"1969-12-31T23:59:59.999999Z"})"},
      {"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"s, R"({"$ext":[-1,"AAAAAH//////////"]})"},  // no such year
      {"\xd5\xff\x00\x00"s, R"({"$ext":[-1,"AAA="]})"},                                                          // no timestamp
      {"\xd4\x05x"s, R"({"$ext":[5,"eA=="]})"},
      {"\xc7\x00\x80"s, R"({"$ext":[-128,""]})"},
      {"\xc7\x01\x05x"s, R"({"$msgpack":"xwEFeA=="})"},
      {"\xc4\x02\x00\xff"s, R"({"$bin":"AP8="})"},
      {"\xc5\x00\x01\xff"s, R"({"$msgpack":"xQAB/w=="})"},
      {"\xa1\xff"s, R"({"$str":"/w=="})"},
      {"\xd9\x01x"s, R"({"$msgpack":"2QF4"})"},
      {"\xca\x3f\x80\x00\x00"s, R"({"$float32":1.0})"},
      {"\xca\x80\x00\x00\x00"s, R"({"$float32":-0.0})"},
      {"\xca\xff\x80\x00\x00"s, R"({"$float32":"-Infinity"})"},
      {"\xca\x7f\xc0\x00\x00"s, R"({"$float32":"NaN"})"},
      {"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"s, R"({"$float64":"NaN"})"},
      {"\xcb\xff\xf8\x00\x00\x00\x00\x00\x00"s, R"({"$float64":"-NaN"})"},
      {"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"s, R"({"$float64":"Infinity"})"},
      {"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01"s, R"({"$msgpack":"y3/4AAAAAAAB"})"},
      {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"s, "18446744073709551615"},
      {"\xcc\x05"s, R"({"$msgpack":"zAU="})"},
      {"\xd1\xff\xff"s, R"({"$msgpack":"0f//"})"},
      {"\x82\xa1k\x01\x02\x03"s, R"({"$map":[["k",1],[2,3]]})"},
      {"\x81\xa1\xff\x01"s, R"({"$map":[[{"$str":"/w=="},1]]})"},
      {"\x81\xa4$bin\x01"s, R"({"$map":[["$bin",1]]})"},
      {"\x82\xa4$bin\x01\xa1k\x02"s, R"({"$bin":1,"k":2})"},
      {"\x82\xa1k\x01\xa1k\x02"s, R"({"k":1,"k":2})"},
      {"\xdc\x00\x01\xc4\x01x"s, R"({"$msgpack":"3AABxAF4"})"},
      {"\xde\x00\x00"s, R"({"$msgpack":"3gAA"})"},
  };
  std::vector<event> events;
  for (const auto& [msgpack, shown] : examples) {
    CAPTURE(shown);
    CHECK(line_with(msgpack).ends_with("\"data\":" + shown + "}"));
    CHECK(line_with("\x82\xa1"
                    "a" +
                    msgpack +
                    "\xa1"
                    "b\x07")
              .ends_with("\"data\":{\"a\":" + shown + ",\"b\":7}}"));
    events.push_back(event{.payload = msgpack});
    events.push_back(event{.payload = "\x92" + msgpack + "\x07", .result = "\x81\xa1v" + msgpack});
  }
  check_round_trip_of(events);
}

TEST_CASE("a value of too many levels or parts is shown as bytes, however its levels and parts are written") {
  std::string maps;  // each of them takes three levels of JSON
  for (int level = 0; level < 22; ++level) maps += "\x81\x01";
  std::string parts = "\xdd\x00\x09\x27\xc0"s;  // 600,000 of two values each
  for (int part = 0; part < 600'000; ++part) parts += "\xc4\x00"s;
  CHECK(line_with(maps + "\xc0").find("\"data\":{\"base64\":") != std::string::npos);
  CHECK(line_with(maps.substr(2) + "\xc0").find("\"data\":{\"$map\":") != std::string::npos);
  CHECK(line_with(parts).find("\"data\":{\"base64\":") != std::string::npos);
  check_round_trip_of({event{.payload = maps + "\xc0"}, event{.payload = maps.substr(2) + "\xc0"}, event{.payload = parts}});
}

/// Appends a random value, of any type and form of msgpack.
void append_random(std::string& out, std::mt19937_64& random, int levels) {
  const auto bytes = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out += static_cast<char>(random());
  };
  const auto length = [&](int size, std::size_t value) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  };
  const auto values = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) append_random(out, random, levels - 1);
  };
  auto tag = static_cast<unsigned char>(random() % 3 == 0 ? 0xc0 + random() % 32 : random());
  const bool container = (tag >= 0x80 && tag < 0xa0) || tag >= 0xdc;
  if (tag == 0xc1 || (container && tag < 0xe0 && levels == 0)) tag = 0xc0;
  const std::size_t size = random() % (levels > 0 ? 20 : 40);
  out += static_cast<char>(tag);
  if (tag >= 0xa0 && tag < 0xc0) return bytes(tag & 0x1f);
  if (tag >= 0x80 && tag < 0x90) return values(2 * (tag & 0x0f));
  if (tag >= 0x90 && tag < 0xa0) return values(tag & 0x0f);
  if (tag >= 0xc4 && tag <= 0xc6) return length(1 << (tag - 0xc4), size), bytes(size);
  if (tag >= 0xc7 && tag <= 0xc9) return length(1 << (tag - 0xc7), size), bytes(1 + size);
  if (tag == 0xca || tag == 0xcb) return bytes(tag == 0xca ? 4 : 8);
  if (tag >= 0xcc && tag <= 0xcf) return bytes(std::size_t{1} << (tag - 0xcc));
  if (tag >= 0xd0 && tag <= 0xd3) return bytes(std::size_t{1} << (tag - 0xd0));
  if (tag >= 0xd4 && tag <= 0xd8) return bytes(1 + (std::size_t{1} << (tag - 0xd4)));
  if (tag >= 0xd9 && tag <= 0xdb) return length(1 << (tag - 0xd9), size), bytes(size);
  if (tag == 0xdc || tag == 0xdd) return length(tag == 0xdc ? 2 : 4, size), values(size);
  if (tag == 0xde || tag == 0xdf) return length(tag == 0xde ? 2 : 4, size), values(2 * size);
}

TEST_CASE("random values of every type and form come back byte for byte, and none is shown as bytes altogether") {
  std::mt19937_64 random(setting("CAIRN_TEST_SEED", 1));
  std::vector<event> events(5'000);
  for (auto& one : events) {
    one.payload.clear();
    append_random(one.payload, random, 3);
  }
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append(*store, events);
  CHECK(export_of(folder.path() / "store").find("\"data\":{\"base64\":") == std::string::npos);
  check_round_trip(*store, folder.path() / "store");
}

TEST_CASE("a timestamp of random seconds comes back byte for byte") {
  std::mt19937_64 random(setting("CAIRN_TEST_SEED", 1));
  std::vector<event> events(5'000);
  for (auto& one : events) {
    const auto bits = static_cast<int>(random() % 63) + 1;
    const auto microseconds = static_cast<std::int64_t>(random() >> (64 - bits)) * (random() % 2 == 0 ? 1 : -1);
    one.payload =
        payload_of({.carrier = {}, .at = timestamp{std::chrono::microseconds{microseconds}}, .label = {}, .parcels = {}});
  }
  check_round_trip_of(events);
}

TEST_CASE("an export of version 1, in which a name with a dollar is a name like any other, is imported") {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append(*store, {event{.payload = "\x81\xa1"
                                   "a\x81\xa4$bin\xa4QUI="},
                  event{.payload = "\x81\xa1"
                                   "a\xc4\x02"
                                   "AB"},
                  event{.payload = "\x81\xa4$map\x90"},
                  event{.payload = "\x81\xa6"
                                   "base64\xa4QUJD"},
                  event{.payload = "\x81\xa5"
                                   "count\x03"}});
  auto lines = lines_of(export_of(folder.path() / "store"));
  const auto replace = [&](std::size_t line, const std::string& part, const std::string& other) {
    const auto at = lines.at(line - 1).find(part);
    REQUIRE(at != std::string::npos);
    lines[line - 1].replace(at, part.size(), other);
  };
  replace(1, R"("version":2)", R"("version":1)");
  replace(2, R"({"$map":[["$bin","QUI="]]})", R"({"$bin":"QUI="})");
  replace(3, R"({"a":{"$bin":"QUI="}})", R"({"base64":"gaFhxAJBQg=="})");
  replace(4, R"({"$map":[["$map",[]]]})", R"({"$map":[]})");
  replace(5, R"({"$map":[["base64","QUJD"]]})", R"({"base64":"gaZiYXNlNjSkUVVKRA=="})");
  CHECK(import(text_of(lines), folder.path() / "copy") == store->head());
  CHECK(bodies(*open_store(folder.path() / "copy")) == bodies(*store));
}

TEST_CASE("a notation of a value that is not as it must be is refused") {
  const auto lines = lines_of(few_exported());
  for (const std::string wrong : {R"({"$new":1})",
                                  R"({"$bin":1})",
                                  R"({"$bin":"QUI"})",
                                  R"({"$str":null})",
                                  R"({"$ext":[128,""]})",
                                  R"({"$ext":[-129,""]})",
                                  R"({"$ext":[18446744073709551615,""]})",
                                  R"({"$ext":[1.0,""]})",
                                  R"({"$ext":[1]})",
                                  R"({"$ext":"QUI="})",
                                  R"({"$float32":1e300})",
                                  R"({"$float32":"nan"})",
                                  R"({"$float64":1.5})",
                                  R"({"$map":{}})",
                                  R"({"$map":[[1]]})",
                                  R"({"$map":[1]})",
                                  R"({"$msgpack":[]})",
                                  R"({"$timestamp":0})",
                                  R"({"$timestamp":"2026-02-30T00:00:00.000000Z"})",
                                  R"({"$timestamp":"2026-11-24T09:30:00.00000Z"})",
                                  R"({"$timestamp":"2026-11-24T09:30:00.000000x01Z"})",
                                  R"({"$timestamp":"2026-11-24T09:30:00.000000001"})",
                                  R"({"$timestamp":"2026-11-24T09:30:00.0000000001Z"})"}) {
    auto altered = lines;
    const auto at = altered.at(1).find("\"data\":");
    REQUIRE(at != std::string::npos);
    altered[1] = altered[1].substr(0, at) + "\"data\":[" + wrong + "]}";
    check_refused(text_of(altered), "line 2 the field \"data\" has an ");
  }
}

TEST_CASE("a record with an extension that this program does not know comes back as it was") {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  const event usual;
  auto body = frame_of(usual, version{1}).substr(4);
  body[0] = static_cast<char>(body[0] | 16);
  body.insert(body.size() - usual.payload.size(), "\x01\x02\x03new");  // one extension, which may be ignored
  const auto length = static_cast<std::uint32_t>(body.size());
  append_frames(*store, usual.stream, 1, std::string(reinterpret_cast<const char*>(&length), 4) + body);
  CHECK(lines_of(export_of(folder.path() / "store")).at(1).find(R"("body":{"base64":")") != std::string::npos);
  check_round_trip(*store, folder.path() / "store");
}

TEST_CASE("many chunks, decisions of many events and records larger than a chunk come back") {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append_many(*store, 5'000);
  event large;
  large.payload = std::string(100'000, 'x');
  append(*store, {large, {}, large});
  check_round_trip(*store, folder.path() / "store");
}

TEST_CASE("snapshots stay behind") {
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append_few(*store);
  store->snapshots().save({"product", "1"}, version{1}, "state");
  import(export_of(folder.path() / "store"), folder.path() / "copy");
  CHECK_FALSE(open_store(folder.path() / "copy")->snapshots().latest({"product", "1"}, version::max()).has_value());
}

TEST_CASE("while appends run, an export ends with a head that the store went through, and a verification too") {
  const temporary_folder folder;
  const auto place = folder.path() / "store";
  const auto store = open_with_small_segments(place, 16 << 10);
  for (std::uint64_t from = 0; from < 5'000; from += 1'000) {
    std::thread writer([&] { append_many(*store, from + 1'000); });
    while (store->last().value <= from) std::this_thread::yield();
    const auto before = store->last();
    std::ostringstream out;
    const auto exported = export_store(place, out);
    const auto verified = verify_store(place, {.noted = exported, .progress = {}}).head;
    std::ostringstream saved;
    const auto salvaged = salvage_store(place, saved);
    writer.join();
    CHECK(exported.through >= before);
    CHECK(verified.through >= exported.through);
    CHECK(salvaged.head.through >= verified.through);
    CHECK(salvaged.damage.empty());
    CHECK(import(out.str(), folder.path() / "copy") == exported);
    for (const auto& noted : {exported, verified, salvaged.head}) {
      CHECK(verify_store(place, {.noted = noted, .progress = {}}).head == store->head());
    }
    fs::remove_all(folder.path() / "copy");
  }
  CHECK(entries_of(place / "log") > 20);
}

// --- refusals ---

TEST_CASE("an export with a line altered, left out, doubled or moved is refused, whichever line it is") {
  const auto lines = lines_of(few_exported());
  REQUIRE(lines.size() == 6);
  for (std::size_t n = 0; n < lines.size(); ++n) {
    auto removed = lines;
    removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(n));
    check_refused(text_of(removed));
    auto doubled = lines;
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(n), lines[n]);
    check_refused(text_of(doubled));
    for (std::size_t m = n + 1; m < lines.size(); ++m) {
      auto swapped = lines;
      std::swap(swapped[n], swapped[m]);
      check_refused(text_of(swapped));
    }
    // Each letter and digit of a value, of which some are left out to save time.
    for (std::size_t at = lines[n].find(':'); at < lines[n].size(); at += 7) {
      if (!std::isalnum(static_cast<unsigned char>(lines[n][at]))) continue;
      auto altered = lines;
      altered[n][at] = lines[n][at] == '3' ? '4' : '3';
      check_refused(text_of(altered));
    }
  }
}

TEST_CASE("an export that is cut short is refused, wherever the cut is") {
  for (const auto format : both_formats) {
    const auto whole = few_exported(format);
    for (std::size_t length = 0; length + 1 < whole.size(); length += 19) check_refused(whole.substr(0, length));
    check_refused(whole + whole);
    check_refused(whole + "x");
  }
}

TEST_CASE("an export with any byte altered is refused or gives the same store") {
  std::mt19937_64 random(setting("CAIRN_TEST_SEED", 1));
  for (const auto format : both_formats) {
    const auto whole = few_exported(format);
    const temporary_folder folder;
    const auto head = import(whole, folder.path() / "whole");
    for (std::size_t at = random() % 13; at < whole.size(); at += 13) {
      auto altered = whole;
      altered[at] = static_cast<char>(altered[at] ^ (1 << random() % 8));
      CAPTURE(at);
      const auto copy = folder.path() / "copy";
      std::optional<chain_head> imported;
      try {
        imported = import(altered, copy);
      } catch (const error&) { CHECK_FALSE(fs::exists(copy)); }
      CHECK(imported.value_or(head) == head);
      fs::remove_all(copy);
    }
  }
}

TEST_CASE("a refusal names the line or the object, and what is wrong") {
  const auto lines = lines_of(few_exported());
  const auto with = [&](std::size_t line, const std::string& part, const std::string& other) {
    auto altered = lines;
    const auto at = altered.at(line - 1).find(part);
    REQUIRE(at != std::string::npos);
    altered[line - 1].replace(at, part.size(), other);
    return text_of(altered);
  };
  check_refused("", "there is nothing to import");
  check_refused("id,version\n", "the input is no export of cairn");
  check_refused("{}\n", "line 1 does not say that this is an export of cairn");
  check_refused("\x80", "object 1 does not say that this is an export of cairn");
  check_refused(with(1, "\"version\":2", "\"version\":3"), "line 1 says that the export has version 3");
  check_refused(with(1, "\"store\":\"", "\"store\":\"x"), "line 1 has no store id");
  check_refused(with(2, "\"type\"", "\"typ\""), "line 2 the field \"type\" is missing");
  check_refused(with(2, "{", "{\"note\":1,"), "line 2 has fields that no record has");
  check_refused(with(3, "\"version\":2", "\"version\":\"2\""), "line 3 the field \"version\" is not a whole number");
  check_refused(with(3, "\"version\":2", "\"version\":-2"), "line 3 the field \"version\" is not a whole number");
  check_refused(with(3, "\"schema_version\":1", "\"schema_version\":4294967296"),
                "line 3 the field \"schema_version\" is larger");
  check_refused(with(3, "T", "t"), "line 3 the field \"recorded_at\" is not a moment");
  check_refused(with(3, "\"chunk\":2", "\"chunk\":1"),
                "line 4 is of the chunk at position 2, which is neither the one before nor a new one");
  check_refused(with(4, "\"chunk\":2", "\"chunk\":3"), "line 6 tells the head");
  check_refused(with(5, "\"data\":{", "\"data\":{\"x\":0,"), "line 6 tells the head");
  check_refused(with(5, "\"base64\":\"Mv8=", "\"base64\":\"Mv8"), "line 5 the field \"id\" is neither a text nor bytes");
  check_refused(with(6, "\"records\":4", "\"records\":5"), "line 6 says that there are 5 records, and 4 came before it");
  check_refused(with(1, "{", "{\"note\":1,"), "line 1 has fields that the beginning of an export does not have");
  check_refused(with(6, "{", "{\"note\":1,"), "line 6 has fields that the end of an export does not have");
  auto gap = lines;
  gap.erase(gap.begin() + 2);
  check_refused(text_of(gap), "line 3 has the record of position 3 where that of position 2 must come");
  auto cut = lines;
  cut.pop_back();
  check_refused(text_of(cut), "the export does not end: it is cut short before line 6");
  check_refused(text_of(lines) + "{}\n", "line 7 comes after the end");
}

TEST_CASE("a refusal quotes little of the input, and nothing that a terminal would obey") {
  const auto header = lines_of(few_exported()).at(0);
  const auto refusal_of = [](const std::string& exported) {
    const temporary_folder folder;
    try {
      import(exported, folder.path() / "copy");
    } catch (const error& refused) { return refused.detail(); }
    return std::string("it was not refused");
  };
  const auto check_quoted = [](const std::string& told) {
    CAPTURE(told);
    CHECK(told.size() < 500);
    CHECK(std::none_of(told.begin(), told.end(), [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; }));
    CHECK(told.find("\xc2\x9b") == std::string::npos);
  };
  const auto no_json = refusal_of(header + "\n{\"position\":nonsense}\n");
  check_quoted(no_json);
  CHECK(no_json.starts_with("line 2 cannot be read: parse error at column "));
  const auto footer = "\n{\"records\":0,\"head\":\"\\u001b[2J\\u009bx ö" + std::string(100'000, 'x') + "\"}\n";
  const auto altered = refusal_of(header + footer);
  check_quoted(altered);
  CHECK(altered.starts_with("line 2 tells the head \\x1b[2J\\xc2\\x9bx öxxx"));
  CHECK(altered.find("x…, and what came before it gives") != std::string::npos);
  for (const std::string& wrong :
       {"{\"" + std::string(100'000, 'x') + "\x1b", std::string("{\"\xff\x1b\"}"), std::string("{\"a\x1b\x7f")}) {
    check_quoted(refusal_of(header + "\n" + wrong + "\n"));
  }
}

/// An export whose last line fits the ones before it, in which something was changed.
std::string with_its_own_head(std::vector<std::string> lines) {
  const auto records = std::to_string(lines.size() - 1);
  const auto footer = [&](const std::string& hash) {
    return "{\"records\":" + records + ",\"head\":\"" + records + ":" + hash + "\"}\n";
  };
  const temporary_folder folder;
  std::string refusal;
  try {
    import(text_of(lines) + footer(std::string(64, '0')), folder.path() / "copy");
  } catch (const error& refused) { refusal = refused.detail(); }
  const auto words = "gives " + records + ":";
  const auto at = refusal.find(words);
  REQUIRE_MESSAGE(at != std::string::npos, refusal);
  return text_of(lines) + footer(refusal.substr(at + words.size(), 64));
}

TEST_CASE("a record whose version does not follow is refused even where the chain is sound, however far into the export it is") {
  auto lines = lines_of(few_exported());
  lines.resize(2);
  lines[1].replace(lines[1].find("\"version\":1"), 11, "\"version\":2");
  check_refused(
      with_its_own_head(lines),
      "the export is unaltered, but of no sound store: the record at position 1 is version 2 of product/1, which has 0 events");

  const temporary_folder folder;
  { append_many(*open_store(folder.path() / "store"), 2'000); }
  lines = lines_of(export_of(folder.path() / "store"));
  lines.pop_back();
  auto& one = lines.at(1'900);
  const auto id = one.find("\"id\":\"") + 6;
  one[id] = one[id] == '0' ? '1' : '0';
  const auto refused = with_its_own_head(lines);
  check_refused(refused, "the export is unaltered, but of no sound store: the record at position 190");
  try {
    import(refused, folder.path() / "copy");
  } catch (const error& failure) { CHECK_FALSE(failure.detail().ends_with('.')); }  // who shows it ends the sentence
}

TEST_CASE("no input makes the import take more than it deserves") {
  const auto header = lines_of(few_exported()).at(0) + "\n";
  check_refused(header + std::string(1'000'000, '['), "line 2 is nested deeper than");
  check_refused(header + R"({"position":1,"data":)" + std::string(1'000'000, '['), "line 2 is nested deeper than");
  check_refused(header + "[" + std::string(70 << 20, ' ') + "]\n", "line 2 goes on for more than");
  std::string zeros = "[0";
  for (int n = 0; n < 3 << 20; ++n) zeros += ",0";
  check_refused(header + zeros + "]\n", "line 2 has more than");
  const auto packed = few_exported(export_format::msgpack);
  const auto object = packed.substr(0, packed.find("position") - 2);
  for (const auto& claim : {"\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff"}) {
    check_refused(object + claim, "object 2");
  }
  check_refused(object + std::string(1'000'000, '\x91'), "object 2 is nested deeper than");
}

TEST_CASE("an import leaves a folder alone that is not empty, and takes one that is") {
  const temporary_folder folder;
  const auto exported = few_exported();
  overwrite(folder.path() / "file", "mine");
  CHECK_THROWS_WITH_AS(import(exported, folder.path()), Contains("is not empty; choose a new folder"), error);
  CHECK_THROWS_WITH_AS(import(exported, folder.path() / "file"), Contains("is not empty; choose a new folder"), error);
  CHECK(entries_of(folder.path()) == 1);
  fs::create_directory(folder.path() / "empty");
  const auto head = import(exported, folder.path() / "empty" / "");
  CHECK(open_store(folder.path() / "empty")->head() == head);
  CHECK(import(exported, folder.path() / "made" / "too") == head);
  CHECK(entries_of(folder.path()) == 3);
}

TEST_CASE("the folder of an import has the mode that others have, or that of the empty one whose place it takes") {
  const temporary_folder folder;
  const auto exported = few_exported();
  const auto mode = [&](const char* name) { return fs::status(folder.path() / name).permissions(); };
  fs::create_directory(folder.path() / "usual");
  import(exported, folder.path() / "new");
  CHECK(mode("new") == mode("usual"));
  fs::create_directory(folder.path() / "narrow");
  fs::permissions(folder.path() / "narrow", fs::perms(0750));
  if (geteuid() == 0) REQUIRE(chown((folder.path() / "narrow").c_str(), 12345, 23456) == 0);
  import(exported, folder.path() / "narrow");
  CHECK(mode("narrow") == fs::perms(0750));
  if (geteuid() != 0) return;
  for (const auto& path : {folder.path() / "narrow", folder.path() / "narrow" / "identity"}) {
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK(status.st_uid == 12345);
    CHECK(status.st_gid == 23456);
  }
}

TEST_CASE("an import follows a link to an empty folder, and refuses one to nothing") {
  const temporary_folder folder;
  fs::create_directory(folder.path() / "empty");
  fs::create_directory_symlink("empty", folder.path() / "link");
  fs::create_directory_symlink("nothing", folder.path() / "broken");
  const auto head = import(few_exported(), folder.path() / "link");
  CHECK(fs::is_symlink(folder.path() / "link"));
  CHECK(open_store(folder.path() / "empty")->head() == head);
  CHECK_THROWS_WITH_AS(import(few_exported(), folder.path() / "broken"), Contains("is a link to nothing"), error);
  CHECK(entries_of(folder.path()) == 3);
}

TEST_CASE("an import into a mount point is refused before anything is read") {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string device, place, rest; mounts >> device >> place && std::getline(mounts, rest);) {
    std::error_code unreadable;
    if (!fs::is_directory(place, unreadable) || !fs::is_empty(place, unreadable) || unreadable) continue;
    struct stat here {};
    struct stat above {};
    if (stat(place.c_str(), &here) != 0 || stat((place + "/..").c_str(), &above) != 0 || here.st_dev == above.st_dev) continue;
    CAPTURE(place);
    CHECK_THROWS_WITH_AS(import("no export", place), Contains("is a mount point"), error);
    return;
  }
  MESSAGE("there is no empty mount point here to try it with");
}

TEST_CASE("an import that is refused takes the folders away that it has made") {
  const temporary_folder folder;
  CHECK_THROWS_WITH_AS(import("no export", folder.path() / "made" / "for" / "it"), Contains("is no export"), error);
  CHECK(entries_of(folder.path()) == 0);
  overwrite(folder.path() / "file", "mine");
  CHECK_THROWS_WITH_AS(import(few_exported(), folder.path() / "file" / "x" / "y"), Contains("cannot make: Not a directory"),
                       error);
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("what an import that was killed leaves behind is no store") {
  class interrupted_buffer : public std::streambuf {
  public:
    interrupted_buffer(std::string first, std::string second, std::function<void()> between)
        : parts_{std::move(first), std::move(second)}, between_(std::move(between)) {}

  protected:
    int_type underflow() override {
      if (part_ == parts_.size()) return traits_type::eof();
      if (part_ > 0) between_();
      auto& part = parts_[part_++];
      setg(part.data(), part.data(), part.data() + part.size());
      return traits_type::to_int_type(part.front());
    }

  private:
    std::array<std::string, 2> parts_;
    std::function<void()> between_;
    std::size_t part_ = 0;
  };
  const temporary_folder folder;
  const temporary_folder left;
  const auto exported = few_exported();
  interrupted_buffer buffer(exported.substr(0, exported.size() / 2), exported.substr(exported.size() / 2), [&] {
    REQUIRE(entries_of(folder.path()) == 1);
    fs::copy(fs::directory_iterator(folder.path())->path(), left.path(), fs::copy_options::recursive);
  });
  std::istream in(&buffer);
  import_store(in, folder.path() / "copy");
  CHECK_THROWS_WITH_AS(open_store(left.path()), Contains("was left by an import or a restore that did not finish"), error);
}

TEST_CASE("an output that takes no more ends the export with an error") {
  class full_buffer : public std::streambuf {
  public:
    explicit full_buffer(std::size_t room) : room_(room) {}

  protected:
    std::streamsize xsputn(const char*, std::streamsize size) override {
      const auto taken = std::min<std::streamsize>(size, static_cast<std::streamsize>(room_));
      room_ -= static_cast<std::size_t>(taken);
      return taken;
    }
    int_type overflow(int_type) override { return traits_type::eof(); }

  private:
    std::size_t room_;
  };
  const temporary_folder folder;
  const auto store = open_store(folder.path() / "store");
  append_many(*store, 3'000);
  const auto size = export_of(folder.path() / "store").size();
  for (const auto room : {std::size_t{0}, size / 2, size - 1}) {
    full_buffer buffer(room);
    std::ostream out(&buffer);
    CHECK_THROWS_WITH_AS(export_store(folder.path() / "store", out), Contains("the export cannot be written"), error);
  }
}

}  // namespace
}  // namespace cairn::tests
