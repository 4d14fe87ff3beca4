// How a failed expectation gets to whoever wrote it: as an exception, by a callback, or as a failure of doctest's.
#include "reported.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/failure.hpp>

#include <doctest/doctest.h>
#include <string>
#include <vector>

namespace cairn::tests {

using testkit::fail;
using testkit::failure;

TEST_CASE("without a framework a failure is an exception that says where") {
  const failures_go_to nobody({});
  const auto line = std::to_string(__LINE__ + 2);
  try {
    fail("count: expected 2, actual 3");
    FAIL("nothing was thrown");
  } catch (const failure& failed) {
    CHECK(failed.text() == "count: expected 2, actual 3");
    CHECK(std::to_string(failed.where().line()) == line);
    CHECK(std::string(failed.what()) == std::string(__FILE__) + ":" + line + ": count: expected 2, actual 3");
  }
}

TEST_CASE("a failure is a std::logic_error, for frameworks that show exceptions") {
  const failures_go_to nobody({});
  CHECK_THROWS_AS(fail("no"), std::logic_error);
}

TEST_CASE("a callback gets each failure, and the test goes on behind it") {
  std::vector<std::string> texts;
  const failures_go_to here([&](const failure& failed) { texts.push_back(failed.text()); });
  fail("one");
  fail("two");
  CHECK(texts == std::vector<std::string>{"one", "two"});
}

// What doctest says is seen from outside: this program again, with this test case alone.
TEST_CASE("fails on purpose" * doctest::skip()) {
  fail("count: expected 2, actual 3");
  MESSAGE("the test went on");
}
constexpr int line_of_the_failure = __LINE__ - 3;

TEST_CASE("with doctest a failure is doctest's own, at the user's line, and ends the test case") {
  const auto run = run_alone("fails on purpose");
  CHECK(run.code == 1);
  CHECK(run.mentions("failure_test.cpp:" + std::to_string(line_of_the_failure) + ": FATAL ERROR: count: expected 2, actual 3"));
  CHECK_FALSE(run.mentions("the test went on"));
}

}  // namespace cairn::tests
