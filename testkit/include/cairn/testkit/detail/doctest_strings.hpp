// Values of cairn and of applications as doctest prints them in a failed CHECK.
//
// An application's own operator<<, toString() or StringMaker has precedence. A specialisation for one type, or for a template
// such as StringMaker<std::vector<T>>, is more specialised than this one.
#pragma once

#include <cairn/testkit/detail/report_text.hpp>

#include <doctest/doctest.h>

namespace doctest {

template <cairn::testkit::detail::Reportable T>
struct StringMaker<T> {
  static String convert(const T& value) { return cairn::testkit::detail::report_text(value).c_str(); }
};

}  // namespace doctest
