// Histories as JSON: byte for byte, and readable by others.
#include <product.hpp>

#include <cairn/testkit/history.hpp>

#include <doctest/doctest.h>

namespace cairn::tests {
namespace {

using namespace testkit;
using asked = command_asked<stock::Enrol, stock::AddStock>;
using operation = aggregate_operation<stock::Product, stock::Enrol, stock::AddStock>;

struct format {
  std::string json_of(const stock::Enrol& enrol) const { return R"({"count":)" + std::to_string(enrol.count) + "}"; }
  std::string json_of(const stock::AddStock& add) const { return std::to_string(add.count); }
  std::string json_of(const stock::Product& product) const { return "[" + std::to_string(product.count) + "]"; }
  std::string_view name_of(const stock::Enrol&) const { return "Enrol"; }
  std::string_view name_of(const stock::AddStock&) const { return "AddStock"; }
};

std::string line(aggregate_input<stock::Enrol, stock::AddStock> input, std::optional<aggregate_output<stock::Product>> output) {
  const auto returned = output ? std::optional<std::int64_t>(12) : std::nullopt;
  return json_line("7", operation{1, -10, returned, std::move(input), std::move(output)}, format{});
}

/// The part of a line that is the output.
std::string output_of(aggregate_output<stock::Product> output) {
  const auto all = line(state_asked{}, std::move(output));
  const std::string before = R"({"client":1,"aggregate":"7","call":-10,"return":12,"input":{"look":true},"output":)";
  CHECK(all.substr(0, before.size()) == before);
  CHECK(all.substr(all.size() - 2) == "}\n");
  return all.substr(before.size(), all.size() - before.size() - 2);
}

}  // namespace

TEST_CASE("A command is a line with all that it brought along; an unknown outcome is null, and so is its return") {
  CHECK(
      line(asked{stock::Enrol{3}, "c-1", expected_version::exactly(version{0}), true}, {}) ==
      R"({"client":1,"aggregate":"7","call":-10,"return":null,"input":{"command":"Enrol","data":{"count":3},"command_id":"c-1",)"
      R"("expected":0,"retried":true},"output":null})"
      "\n");
  CHECK(line(asked{stock::AddStock{2}}, testkit::accepted{version{2}, 1}) ==
        R"({"client":1,"aggregate":"7","call":-10,"return":12,"input":{"command":"AddStock","data":2,"command_id":"",)"
        R"("expected":null,"retried":false},"output":{"accepted":{"version":2,"events":1,"repeated":false}}})"
        "\n");
}

TEST_CASE("Each output has its own form") {
  CHECK(output_of(testkit::accepted{version{18446744073709551615u}, 2, true, "not shown"}) ==
        R"({"accepted":{"version":18446744073709551615,"events":2,"repeated":true}})");
  CHECK(output_of(rejected{"no \"more\"", version{4}}) == R"({"rejected":{"reason":"no \"more\"","version":4}})");
  CHECK(output_of(conflict{version{5}}) == R"({"conflict":{"stands":5}})");
  CHECK(output_of(not_stored{errc::deadline_passed}) == R"({"not_stored":"deadline_passed"})");
  CHECK(output_of(seen_state<stock::Product>{stock::Product{true, false, 6}, version{7}}) ==
        R"({"seen":{"version":7,"state":[6]}})");
}

TEST_CASE("Lines follow each other as they are given") {
  const operation look{1, 2, 3, state_asked{}, not_stored{errc::draining}};
  const operation other{4, 5, {}, state_asked{}, {}};
  CHECK(json_lines("a", std::vector{look, other}, format{}) == json_line("a", look, format{}) + json_line("a", other, format{}));
}

TEST_CASE("Strings are escaped where JSON demands it, and left alone elsewhere") {
  CHECK(json_string("") == R"("")");
  CHECK(json_string("a\"b\\c/") == R"("a\"b\\c/")");
  CHECK(json_string(std::string_view("\0\t\n\x1f\x7f", 5)) == R"("\u0000\t\n\u001f\u007f")");
  CHECK(json_string("é € 🜨 \xef\xbf\xbf \xf4\x8f\xbf\xbf") == "\"é € 🜨 \xef\xbf\xbf \xf4\x8f\xbf\xbf\"");
}

TEST_CASE("What is not UTF-8 is told as its bytes, so that two ids never become one") {
  for (const std::string text : {"\x80", "a\xff", "\xc0\xaf", "\xc3", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                                 "\xf4\x90\x80\x80", "\xe2\x82", "\xf5\x80\x80\x80", "\xe2(\xa1"}) {
    CHECK(json_string(text).starts_with(R"({"base64":")"));
  }
  CHECK(json_string("\x80") == R"({"base64":"gA=="})");
  CHECK(json_string("\x80") != json_string("\x81"));
}

TEST_CASE("Every error has the name that it has in the code") {
  CHECK(name_of(errc::version_conflict) == "version_conflict");
  CHECK(name_of(errc::corrupt_store) == "corrupt_store");
  for (int code = 1; code <= static_cast<int>(errc::corrupt_store); ++code) CHECK(name_of(static_cast<errc>(code)) != "unknown");
  CHECK(name_of(errc{}) == "unknown");
}

}  // namespace cairn::tests
