// How doctest prints values of cairn and of applications if their CHECK fails.
#include "reported.hpp"

#include <cairn/answer.hpp>
#include <cairn/testkit/detail/printing.hpp>
#include <cairn/testkit/doctest.hpp>

#include "../../examples/product/product.hpp"

#include <chrono>
#include <doctest/doctest.h>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <variant>
#include <vector>

namespace cairn::tests {

using namespace std::chrono_literals;
using stock::AddStock;
using stock::Product;
using stock::StockAdded;

struct Streamed {
  int number = 0;
  MSGPACK_DEFINE_MAP(number)
  friend std::ostream& operator<<(std::ostream& out, const Streamed&) { return out << "by its own operator"; }
};
struct Made {
  int number = 0;
  MSGPACK_DEFINE_MAP(number)
};
template <class T>
struct MadeOf {
  T value = {};
  MSGPACK_DEFINE_MAP(value)
};
struct Named {
  int number = 0;
  MSGPACK_DEFINE_MAP(number)
};
inline doctest::String toString(const Named&) { return "by its own toString"; }
struct Unknown {
  int number = 0;
};
struct Closed {};

}  // namespace cairn::tests

namespace doctest {

template <>
struct StringMaker<cairn::tests::Made> {
  static String convert(const cairn::tests::Made&) { return "by its own StringMaker"; }
};
template <class T>
struct StringMaker<cairn::tests::MadeOf<T>> {
  static String convert(const cairn::tests::MadeOf<T>&) { return "by the StringMaker of its template"; }
};

}  // namespace doctest

namespace cairn::tests {
namespace {

/// Returns the text that doctest prints for `value`, found as in a CHECK.
template <class T>
std::string printed(const T& value) {
  using doctest::toString;
  return toString(value).c_str();
}

Product three_pieces() {
  Product product;
  product.enrolled = true;
  product.count = 3;
  return product;
}

// doctest's own report is seen from outside: this program again, with this test case alone.
TEST_CASE("two states differ" * doctest::skip()) { CHECK(three_pieces() == Product{}); }

TEST_CASE("a failed comparison of two states prints both") {
  const auto run = run_alone("two states differ");
  CHECK(run.mentions("CHECK( " + testkit::detail::shown(three_pieces()) + " == " + testkit::detail::shown(Product{}) + " )"));
  CHECK_FALSE(run.mentions("{?}"));
}

TEST_CASE("states, events and commands are printed as in the testkit's own reports") {
  CHECK(printed(three_pieces()) == testkit::detail::shown(three_pieces()));
  CHECK(printed(StockAdded{3, "found"}) == R"(ADD {"count":3,"reason":"found"})");
  CHECK(printed(Product::Event{StockAdded{3, ""}}) == R"(ADD {"count":3,"reason":""})");
  CHECK(printed(std::vector<Product::Event>{StockAdded{3, ""}, StockAdded{4, ""}}) ==
        R"([ADD {"count":3,"reason":""}, ADD {"count":4,"reason":""}])");
  CHECK(printed(AddStock{3}) == testkit::detail::shown_command(AddStock{3}));
  CHECK(printed(Closed{}) == "cairn::tests::Closed {}");
}

TEST_CASE("versions, positions, timestamps and errors are printed") {
  CHECK(printed(version{3}) == "version 3");
  CHECK(printed(position{4}) == "position 4");
  CHECK(printed(timestamp{1'795'512'600s}) == "2026-11-24T09:30:00.000000Z");
  CHECK(printed(rejection{"no_room"}) == "rejected: no_room");
  CHECK(printed(std::optional<version>{version{3}}) == "version 3");
  CHECK(printed(std::optional<errc>{}) == "no error of cairn's");
}

TEST_CASE("answers and states with their version are printed") {
  answer<> accepted;
  accepted.version = version{3};
  accepted.events = 1;
  CHECK(printed(accepted) == "version 3, 1 event");
  accepted.repeated = true;
  CHECK(printed(accepted) == "version 3, 1 event, repeated");
  accepted.rejected = rejection{"no_room"};
  CHECK(printed(accepted) == "rejected: no_room, version 3");
  answer<int> counted;
  counted.result = 7;
  CHECK(printed(counted) == "version 0, 0 events, result 7");
  counted.detail = "the disk is full";
  CHECK(printed(counted) == "version 0, failed: the disk is full");
  versioned<Product> found;
  found.version = version{3};
  found.state = three_pieces();
  CHECK(printed(found) == "version 3 " + testkit::detail::shown(three_pieces()));
}

TEST_CASE("containers of known values are printed, and those of unknown values are left to doctest") {
  CHECK(printed(std::vector<int>{1, 2}) == "[1,2]");
  CHECK(printed(std::map<std::string, std::vector<AddStock>>{{"a", {}}}) == R"({"a":[]})");
  CHECK(printed(std::optional<int>{}) == "null");
  CHECK(printed(Unknown{}) == "{?}");
  CHECK(printed(std::vector<Unknown>{}) == "{?}");
  CHECK(printed(std::vector<Closed>{}) == "{?}");
  CHECK(printed(std::map<int, Unknown>{}) == "{?}");
  CHECK(printed(std::variant<int, Unknown>{}) == "{?}");
}

TEST_CASE("a type's own operator<<, StringMaker or toString has precedence") {
  CHECK(printed(Streamed{}) == "by its own operator");
  CHECK(printed(Made{}) == "by its own StringMaker");
  CHECK(printed(MadeOf<int>{}) == "by the StringMaker of its template");
  CHECK(printed(Named{}) == "by its own toString");
  CHECK(printed(std::string("text")) == "text");
}

}  // namespace
}  // namespace cairn::tests
