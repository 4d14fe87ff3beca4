// Decisions, the event codec, schema versions, moments and errors.
#include <cairn/aggregate.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/time.hpp>

#include "product.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

namespace cairn::tests {
namespace {

struct Opened {
  static constexpr std::string_view type = "OPENED";
};

struct NamedV1 {
  static constexpr std::string_view type = "NAMED";
  std::string name;
  MSGPACK_DEFINE_MAP(name)
};

// Version 2 split the name in two.
struct Named {
  static constexpr std::string_view type = "NAMED";
  static constexpr std::uint32_t schema_version = 2;
  std::string first;
  std::string last;
  MSGPACK_DEFINE_MAP(first, last)

  static Named upcast(std::uint32_t, const msgpack::object& old) {
    const auto before = old.as<NamedV1>();
    const auto space = before.name.find(' ');
    return {before.name.substr(0, space), before.name.substr(space + 1)};
  }
};

struct Person {
  static constexpr std::string_view category = "person";
  using Event = std::variant<Opened, Named>;
  std::string last;
  MSGPACK_DEFINE_MAP(last)
  void evolve(const Opened&) noexcept {}
  void evolve(const Named& event) noexcept { last = event.last; }
};

record_view record_of(std::string_view type, std::uint32_t schema_version, std::string_view payload) {
  record_view record;
  record.position = position{42};
  record.stream = {"person", "7"};
  record.version = version{3};
  record.type = type;
  record.schema_version = schema_version;
  record.payload = payload;
  return record;
}

std::string complaint(const record_view& record) {
  try {
    read_event<Person>(record);
  } catch (const error& reason) {
    CHECK(reason.kind() == errc::unknown_event);
    return reason.detail();
  }
  return "none";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// What is not an aggregate, each for one reason.
struct CanRefuse {
  static constexpr std::string_view category = "x";
  using Event = std::variant<Opened>;
  void evolve(const Opened&) {}
};
struct NoCategory {
  using Event = std::variant<Opened>;
  void evolve(const Opened&) noexcept {}
};
struct Mutates {
  static constexpr std::string_view category = "x";
  using Event = std::variant<Opened>;
  void evolve(const Opened&) noexcept {}
  decision<Event> decide(const Named&) { return cairn::accepted; }
};

static_assert(Aggregate<Person>);
static_assert(!Aggregate<CanRefuse>);
static_assert(!Aggregate<NoCategory>);
static_assert(Aggregate<Mutates> && !CommandOf<Named, Mutates>);

}  // namespace

TEST_CASE("a decision is events, nothing, or a rejection") {
  using Decision = decision<Person::Event, int>;
  const Decision one(Opened{}, 7), several(std::vector<Person::Event>{Opened{}, Named{}}, 0), none(cairn::accepted, 3),
      no(reject("why"));
  CHECK(one.events().size() == 1);
  CHECK(one.result() == 7);
  CHECK(several.events().size() == 2);
  CHECK(none.events().empty());
  CHECK(none.result() == 3);
  REQUIRE(no.rejected());
  CHECK(no.rejected()->code == "why");
  CHECK(no.events().empty());
}

TEST_CASE("an event without fields is an empty map") {
  std::string bytes;
  cairn::detail::encode(bytes, Opened{});
  CHECK(bytes == "\x80");
  CHECK_NOTHROW(codec<Opened>::decode(bytes));
}

TEST_CASE("a field that is not there yet has its default, and one that is no longer known is passed over") {
  std::string bytes;
  cairn::detail::encode(bytes, NamedV1{"somebody"});
  const auto removed = codec<stock::StockRemoved>::decode(bytes);
  CHECK(removed == stock::StockRemoved{});
}

TEST_CASE("msgpack that claims more than it holds is refused before room is made for it") {
  // Sixty arrays, one in the other, each of which says that it is as long as the whole.
  std::string bytes;
  for (int level = 0; level < 60; ++level) bytes.append("\xdd\x00\x0f\x00\x00", 5);
  bytes.resize(std::size_t{1} << 20, '\x01');
  try {
    codec<std::vector<int>>::decode(bytes);
    FAIL("it was taken");
  } catch (const error& refused) {
    CHECK(refused.kind() == errc::corrupt_record);
    CHECK(refused.detail() == "not msgpack: it is cut short, or no such value");
  }
  std::string sound;
  cairn::detail::encode(sound, std::vector<std::string>(500, "as long as it says"));
  CHECK(codec<std::vector<std::string>>::decode(sound).size() == 500);
}

TEST_CASE("an older schema version is upcast when it is read") {
  std::string bytes;
  cairn::detail::encode(bytes, NamedV1{"Ada Lovelace"});
  const auto event = read_event<Person>(record_of("NAMED", 1, bytes));
  CHECK(std::get<Named>(event).first == "Ada");
  CHECK(std::get<Named>(event).last == "Lovelace");
}

TEST_CASE("what cannot be read is an error that names type, schema version, aggregate, version and position") {
  for (const auto& told : {complaint(record_of("RENAMED", 1, "\x80")), complaint(record_of("NAMED", 3, "\x80")),
                           complaint(record_of("OPENED", 0, "\x80")), complaint(record_of("NAMED", 2, "\xc1")),
                           complaint(record_of("NAMED", 2, "")), complaint(record_of("NAMED", 2, "\x01\x01"))}) {
    CAPTURE(told);
    CHECK(has(told, "schema version"));
    CHECK(has(told, "person/7"));
    CHECK(has(told, "version 3"));
    CHECK(has(told, "position 42"));
  }
  CHECK(has(complaint(record_of("RENAMED", 1, "\x80")), "RENAMED"));
}

TEST_CASE("a payload that claims to be huge is refused without its memory being asked for") {
  CHECK(complaint(record_of("NAMED", 2, std::string_view("\xdd\xff\xff\xff\xff", 5))) != "none");
  CHECK(complaint(record_of("NAMED", 2, std::string_view("\xdf\xff\xff\xff\xff", 5))) != "none");
  CHECK(complaint(record_of("NAMED", 2, std::string(5'000, '\x91'))) != "none");
}

namespace {

// Unpacks by decoding something else in between, as a nested blob would.
struct Nested {
  int depth = 0;
  std::string blob;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(2);
    packer.pack(blob);
    packer.pack(depth);
  }
  void msgpack_unpack(const msgpack::object& object) {
    blob = object.via.array.ptr[0].as<std::string>();
    if (!blob.empty()) CHECK(codec<Nested>::decode(blob).depth == 1);
    depth = object.via.array.ptr[1].as<int>();
  }
};

}  // namespace

TEST_CASE("decoding inside a decoding disturbs neither") {
  Nested outer{2, {}};
  cairn::detail::encode(outer.blob, Nested{1, {}});
  std::string bytes;
  cairn::detail::encode(bytes, outer);
  CHECK(codec<Nested>::decode(bytes).depth == 2);
}

TEST_CASE("an error says its detail and its sentence") {
  const error failure(errc::version_conflict, "product/1 is at version 4");
  CHECK(std::string(failure.what()) == "product/1 is at version 4: the aggregate is not at the expected version");
  CHECK(failure.code() == errc::version_conflict);
  CHECK(failure.kind() == errc::version_conflict);
}

TEST_CASE("moments are written in ISO 8601, also before 1970") {
  using namespace std::chrono_literals;
  CHECK(to_string(timestamp{std::chrono::sys_days{2010y / 12 / 1} + 8h + 26min}) == "2010-12-01T08:26:00.000000Z");
  CHECK(to_string(timestamp{-1us}) == "1969-12-31T23:59:59.999999Z");
}

TEST_CASE("versions and names compare and print") {
  CHECK(version{3} < version{4});
  CHECK(version{3} + 1 == version{4});
  CHECK(to_string(stream_id("product", "85123A")) == "product/85123A");
  CHECK(stream_hash{}(stream_id("a", "b")) == stream_hash{}(stream_view{"a", "b"}));
  CHECK_FALSE(stream_view{"a", "b"} == stream_view{"b", "a"});
}

}  // namespace cairn::tests
