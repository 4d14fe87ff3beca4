// How the testkit says that an expectation is not met, in any test framework.
//
// By itself a failure is an exception, which every framework shows as a failed test, and a plain program ends with. For a
// framework's own way, hand it over once, before the first test:
//
//     cairn::testkit::report_failures_to([](const cairn::testkit::failure& failure) {
//       ADD_FAILURE_AT(failure.where().file_name(), failure.where().line()) << failure.text();  // of GoogleTest
//     });
//
// For doctest that is <cairn/testkit/doctest.hpp>. Knows no framework.
#pragma once

#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>

namespace cairn::inline v1::testkit {

/// An expectation that is not met, and where it stands. what() has both, as `file:line: text`.
class failure : public std::logic_error {
public:
  failure(const std::string& text, std::source_location where);

  /// What was expected and what there was, in one or more lines; without the place.
  const std::string& text() const noexcept { return text_; }

  /// The line of the test that expects it.
  const std::source_location& where() const noexcept { return where_; }

private:
  std::string text_;
  std::source_location where_;
};

/// Has every failure of this process from now on handed to `report`; an empty one, as at the start, has it thrown. A `report`
/// that returns lets the test go on behind the failure. Not while another thread reports one.
void report_failures_to(std::function<void(const failure&)> report);

/// Reports that what the test at `where` expects is not so.
void fail(const std::string& what, std::source_location where = std::source_location::current());

}  // namespace cairn::testkit
