// Makes the testkit's failures doctest's own, at the user's line. One source of a test program that includes this is enough.
//
// In each source that includes this, a failed CHECK also prints states, events, commands, answers, versions and timestamps, as
// the testkit's own reports do. Include it in every source that compares them, before the first CHECK.
// A failure ends its test case, as REQUIRE does: behind the first mismatch of a story, the others say nothing new.
#pragma once

#include <cairn/testkit/detail/doctest_strings.hpp>
#include <cairn/testkit/failure.hpp>

#include <doctest/doctest.h>

namespace cairn::inline v1::testkit::detail {

inline void report_to_doctest(const failure& failed) {
  // Outside of a test case, doctest has nowhere to put it.
  if (!doctest::is_running_in_test) throw failed;
  DOCTEST_ADD_FAIL_AT(failed.where().file_name(), static_cast<int>(failed.where().line()),
                      doctest::String(failed.text().c_str()));
}

inline const bool doctest_reports = (report_failures_to(report_to_doctest), true);

}  // namespace cairn::testkit::detail
