// The short way from bytes into a struct must do what msgpack-c does.
#include <cairn/codec.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/json_text.hpp>

#include "product.hpp"

#include <doctest/doctest.h>
#include <msgpack/adaptor/cpp11/tuple.hpp>
#include <msgpack/sbuffer.hpp>

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <typeinfo>
#include <utility>
#include <vector>

namespace cairn::tests {
enum class colour { red, green };
}  // namespace cairn::tests
MSGPACK_ADD_ENUM(cairn::tests::colour)

namespace cairn::tests {
namespace {

struct Point {
  std::int32_t x = 1;
  std::uint16_t y = 2;
  MSGPACK_DEFINE_ARRAY(x, y)
  bool operator==(const Point&) const = default;
};

struct Place {
  std::string name = "nowhere";
  MSGPACK_DEFINE_MAP(name)
  bool operator==(const Place&) const = default;
};

constexpr char name_of_two_hundred_bytes[] =
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

// The first name is the longest, and the second the shortest, of its kind of msgpack's texts.
struct LongNames {
  std::int64_t a = 0, b = 0, c = 0, d = 0;
  MSGPACK_DEFINE_MAP(MSGPACK_NVP("a name that is of thirty-one by", a), MSGPACK_NVP("a name that is of thirty-two byt", b),
                     MSGPACK_NVP(name_of_two_hundred_bytes, c), MSGPACK_NVP("", d))
  bool operator==(const LongNames&) const = default;
};

struct Everything : Place {
  bool yes = false;
  std::int8_t tiny = 0;
  std::uint64_t large = 0;
  std::int64_t negative = 0;
  double real = 0;
  float rough = 0;
  char letter = 'a';
  std::string text = {};
  Point point = {};
  colour paint = colour::red;
  std::optional<std::int64_t> perhaps = {};
  std::vector<Point> points = {};
  std::map<std::string, std::int64_t> counts = {};
  std::string renamed = {};
  MSGPACK_DEFINE_MAP(MSGPACK_BASE_MAP(Place), yes, tiny, large, negative, real, rough, letter, text, point, paint, perhaps,
                     points, counts, MSGPACK_NVP("other name", renamed))
  bool operator==(const Everything&) const = default;
};

struct SixteenFields {
  int a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0, j = 0, k = 0, l = 0, m = 0, n = 0, o = 0, p = 0;
  MSGPACK_DEFINE_MAP(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
  bool operator==(const SixteenFields&) const = default;
};

// Is written in another unit than it is held in, by all the functions that a macro would have made. What it packs is made on the
// way.
struct Disguised {
  std::int64_t cents = 0;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_map(1);
    packer.pack("euros");
    packer.pack(cents / 100);
  }
  void msgpack_unpack(const msgpack::object& parsed) { cents = 100 * parsed.via.map.ptr[0].val.as<std::int64_t>(); }
  template <class Object>
  void msgpack_object(Object*, msgpack::zone&) const {}
};

// Has the macros' functions from a base, and says itself how it is unpacked.
struct Checked : Place {
  void msgpack_unpack(const msgpack::object& parsed) {
    Place::msgpack_unpack(parsed);
    name += ", checked";
  }
};

static_assert(!cairn::detail::HasDefinedFields<Checked>);
static_assert(cairn::detail::HasDefinedFields<Everything> && cairn::detail::HasDefinedFields<Point>);
static_assert(!cairn::detail::HasDefinedFields<std::string>);
static_assert(cairn::detail::HasDefinedFields<Disguised>);

using testkit::detail::bytes_of;

// As msgpack-c reads it; nothing where it does not.
template <class T>
std::optional<T> by_msgpack(std::string_view bytes) {
  try {
    return cairn::detail::with_object(bytes, [](const msgpack::object& parsed) { return parsed.as<T>(); });
  } catch (const error&) { return std::nullopt; } catch (const std::bad_cast&) {
    return std::nullopt;
  }
}

template <class T>
std::optional<T> decoded(std::string_view bytes) {
  try {
    return codec<T>::decode(bytes);
  } catch (const error& refused) {
    CHECK(refused.kind() == errc::corrupt_record);
    return std::nullopt;
  }
}

// Whether the bytes need no help of msgpack-c's.
template <class T>
bool is_short_way(std::string_view bytes) {
  T value{};
  cairn::detail::byte_reader reader(bytes);
  return cairn::detail::read_fields(reader, value) && reader.at_end();
}

// NaN is no equal of itself, so the values' bytes are compared.
template <class T>
std::optional<std::string> written(const std::optional<T>& value) {
  return value ? std::optional(bytes_of(*value)) : std::nullopt;
}

// Each byte made each other byte, each place cut short, and a byte more: how many of them were still a value.
template <class T>
std::size_t try_all_changes(const T& value) {
  const auto sound = bytes_of(value);
  std::size_t values = 0;
  const auto same = [&](std::string_view bytes) {
    const auto ours = written(decoded<T>(bytes));
    if (ours != written(by_msgpack<T>(bytes)))
      CHECK_MESSAGE(false, "another value than msgpack-c's for ", bytes.size(), " bytes");
    values += ours.has_value();
  };
  for (std::size_t place = 0; place < sound.size(); ++place) {
    auto changed = sound;
    for (int byte = 0; byte < 256; ++byte) {
      changed[place] = static_cast<char>(byte);
      same(changed);
    }
    same(std::string_view(sound).substr(0, place));
  }
  same(sound + '\xc0');
  return values;
}

const Everything everything{{"Ulm"},   true,          -5, 1u << 20,         -70'000,    0.5, 0.25F, 'z', std::string(40, 'x'),
                            {-1, 300}, colour::green, 7,  {{1, 2}, {3, 4}}, {{"a", 1}}, "so"};

}  // namespace

TEST_CASE("what the macros wrote is read without msgpack-c's objects, and is what they read") {
  CHECK(codec<Everything>::decode(bytes_of(everything)) == everything);
  CHECK(is_short_way<Everything>(bytes_of(everything)));
  CHECK(is_short_way<SixteenFields>(bytes_of(SixteenFields{})));
  CHECK(is_short_way<stock::Product>(bytes_of(stock::Product{true, false, -3})));
  CHECK(is_short_way<stock::StockAdded>(bytes_of(stock::StockAdded{300, std::string(70'000, 'y')})));
}

TEST_CASE("integers of every width are read as they were written") {
  std::vector<std::int64_t> numbers{std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
  for (int bits = 0; bits < 63; ++bits) {
    for (const std::int64_t near : {-1, 0, 1}) {
      numbers.push_back((std::int64_t{1} << bits) + near);
      numbers.push_back(-(std::int64_t{1} << bits) + near);
    }
  }
  for (const auto number : numbers) {
    CAPTURE(number);
    const auto bytes = bytes_of(stock::StockAdded{number, {}});
    CHECK(is_short_way<stock::StockAdded>(bytes));
    CHECK(codec<stock::StockAdded>::decode(bytes).count == number);
    // As the fields of other widths, which may be too small for it.
    for (const auto& all : {bytes_of(std::make_tuple(number, 2)), bytes_of(std::make_tuple(1, number))}) {
      CHECK(decoded<Point>(all) == by_msgpack<Point>(all));
    }
  }
}

TEST_CASE("bytes that are changed, cut or longer are read as msgpack-c reads them, or refused as it does") {
  CHECK(try_all_changes(everything) > 1'000);
  CHECK(try_all_changes(SixteenFields{1, 2, 3, 4, 5, 6, 7, 8}) > 1'000);
  CHECK(try_all_changes(stock::StockAdded{300, "why"}) > 100);
  CHECK(try_all_changes(Point{-1, 40'000}) > 100);
}

TEST_CASE("the name of a field may be of any length") {
  const LongNames names{1, 2, 3, 4};
  CHECK(is_short_way<LongNames>(bytes_of(names)));
  CHECK(codec<LongNames>::decode(bytes_of(names)) == names);
  CHECK(try_all_changes(names) > 100);
}

TEST_CASE("fields in another order, missing, twice or unknown are read as msgpack-c reads them") {
  using pairs = std::vector<std::pair<std::string, int>>;
  for (const auto& fields : {pairs{{"x", 1}}, pairs{{"y", 2}, {"x", 1}}, pairs{{"x", 1}, {"x", 3}}, pairs{{"z", 9}, {"x", 1}}}) {
    std::string bytes;
    msgpack::sbuffer buffer;
    msgpack::packer<msgpack::sbuffer> packer(buffer);
    packer.pack_map(static_cast<std::uint32_t>(fields.size()));
    for (const auto& [name, value] : fields) packer.pack(name).pack(value);
    bytes.assign(buffer.data(), buffer.size());
    CHECK(decoded<SixteenFields>(bytes) == by_msgpack<SixteenFields>(bytes));
    CHECK(decoded<Place>(bytes) == by_msgpack<Place>(bytes));
  }
}

TEST_CASE("a type that packs by hand what is no field of it is refused, and told to specialise its codec") {
  CHECK_THROWS_WITH_AS(codec<Disguised>::decode(bytes_of(Disguised{700})),
                       "the type's msgpack_pack packs a value that is none of its fields; specialise cairn::codec: a stored "
                       "record is damaged",
                       error);
}

TEST_CASE("a type that says itself how it is unpacked is unpacked so") {
  CHECK(codec<Checked>::decode(bytes_of(Checked{{"Ulm"}})).name == "Ulm, checked");
}

}  // namespace cairn::tests
