// How values of msgpack are shown as JSON: every type that msgpack has, and what JSON demands of texts.
#include <cairn/error.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/time.hpp>

#include <chrono>
#include <doctest/doctest.h>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::tests {

using namespace std::string_view_literals;
using testkit::detail::json_of;
using testkit::detail::json_text;

TEST_CASE("nothing, truth values and numbers are shown as JSON has them") {
  CHECK(json_text("\xc0"sv) == "null");
  CHECK(json_of(true) == "true");
  CHECK(json_of(false) == "false");
  CHECK(json_of(0) == "0");
  CHECK(json_of(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(json_of(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
}

TEST_CASE("a number with a fraction is the shortest that reads back, and always shows its fraction") {
  CHECK(json_of(0.1) == "0.1");
  CHECK(json_of(0.1F) == "0.1");
  CHECK(json_of(1e300) == "1e+300");
  CHECK(json_text("\xcb\x40\x00\x00\x00\x00\x00\x00\x00"sv) == "2.0");
  CHECK(json_of(std::numeric_limits<double>::quiet_NaN()) == "\"NaN\"");
  CHECK(json_of(std::numeric_limits<double>::infinity()) == "\"Infinity\"");
  CHECK(json_of(-std::numeric_limits<double>::infinity()) == "\"-Infinity\"");
}

TEST_CASE("texts are escaped where JSON demands it, and kept where it does not") {
  CHECK(json_of(std::string("plain")) == R"("plain")");
  CHECK(json_of(std::string("a\"b\\c\n\r\t")) == R"("a\"b\\c\n\r\t")");
  CHECK(json_of(std::string("\0\x1f\x7f"sv)) == R"("\u0000\u001f\u007f")");
  CHECK(json_of(std::string("Käse €😀")) == "\"Käse €😀\"");
}

TEST_CASE("a text that is not UTF-8 is shown as bytes") {
  for (const auto wrong : {"\x80"sv, "\xc3"sv, "\xc0\xaf"sv, "\xe0\x9f\xbf"sv, "\xed\xa0\x80"sv, "\xf0\x8f\xbf\xbf"sv,
                           "\xf4\x90\x80\x80"sv, "\xff"sv, "\xe2\x82"sv, "\xf0\x9f\x98"sv}) {
    CHECK(json_of(std::string(wrong)).starts_with("{\"base64\":"));
  }
  CHECK(json_of(std::string("\xff")) == R"({"base64":"/w=="})");
}

TEST_CASE("bytes and extensions are shown in base 64") {
  CHECK(json_text("\xc4\x00"sv) == R"({"base64":""})");
  CHECK(json_of(std::vector<char>{'a'}) == R"({"base64":"YQ=="})");
  CHECK(json_of(std::vector<char>{'a', 'b'}) == R"({"base64":"YWI="})");
  CHECK(json_of(std::vector<char>{'a', 'b', 'c'}) == R"({"base64":"YWJj"})");
  CHECK(json_of(std::vector<char>{'\xfb', '\xff', '\xfe', '\x00'}) == R"({"base64":"+//+AA=="})");
  CHECK(json_text("\xd4\x05\xff"sv) == R"({"ext":5,"base64":"/w=="})");
  CHECK(json_text("\xc7\x00\xff"sv) == R"({"ext":-1,"base64":""})");
}

TEST_CASE("a timestamp is shown as its date and time") {
  using namespace std::chrono_literals;
  CHECK(json_of(timestamp{1'795'512'600s}) == R"("2026-11-24T09:30:00.000000Z")");
  CHECK(json_of(timestamp{-1us}) == R"("1969-12-31T23:59:59.999999Z")");
  CHECK(json_of(timestamp{20'000'000'000s}) == R"("2603-10-11T11:33:20.000000Z")");
  CHECK(json_of(std::chrono::sys_time<std::chrono::nanoseconds>{1ns}) == R"("1970-01-01T00:00:00.000000001Z")");
  CHECK(json_text("\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"sv) ==
        R"({"ext":-1,"base64":"AAAAAH//////////"})");
  CHECK(json_text("\xd4\xff\x00"sv) == R"({"ext":-1,"base64":"AA=="})");
}

TEST_CASE("arrays and maps keep their order, and a key that is no text becomes one") {
  CHECK(json_of(std::vector<int>{}) == "[]");
  CHECK(json_of(std::vector<std::vector<int>>{{1, 2}, {}}) == "[[1,2],[]]");
  CHECK(json_of(std::map<std::string, int>{{"b", 2}, {"a\"", 1}}) == R"({"a\"":1,"b":2})");
  CHECK(json_text("\x82\xa1\x62\x01\xa1\x61\x02"sv) == R"({"b":1,"a":2})");
  CHECK(json_of(std::map<int, bool>{{-1, true}, {7, false}}) == R"({"-1":true,"7":false})");
  CHECK(json_text("\x84\xc0\x01\xc3\x02\xc4\x01\x61\x03\x91\xa1\x78\x04"sv) ==
        R"({"null":1,"true":2,"{\"base64\":\"YQ==\"}":3,"[\"x\"]":4})");
}

TEST_CASE("bytes that are not exactly one value are refused") {
  CHECK_THROWS_AS(json_text(""sv), error);
  CHECK_THROWS_AS(json_text("\x92\x01"sv), error);
  CHECK_THROWS_AS(json_text("\x01\x02"sv), error);
}

}  // namespace cairn::tests
